//! `init` and `rotate`: makes and replaces the keys of a party, and prints the operator's next steps.

use std::io::Write;
use std::path::Path;

use mpc_core::network::certificate::date;
use mpc_core::network::identity::TLS_CERTIFICATE_FILE;
use mpc_core::network::keys::{self, Made};

use crate::error::{Error, Result};
use crate::store::{DATABASE_FILE, KEY_FILE, StoreKey};

/// The options for a certificate.
#[derive(Debug, clap::Args)]
pub(crate) struct Certificate {
    /// Name in the certificate, for people
    #[arg(long, default_value = "mpc-party")]
    name: String,
    /// Days for which a new certificate is valid
    #[arg(long, value_name = "N", default_value_t = mpc_core::network::identity::DAYS,
        value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// Makes the keys that the folder lacks, and prints the next steps.
pub(crate) fn init(dir: &Path, certificate: &Certificate) -> Result<()> {
    let store_key = dir.join(KEY_FILE);
    if !store_key.exists() {
        refuse_beside_store(dir)?;
    }
    let made = keys::init(dir, &certificate.name, certificate.days, false)?;
    if !store_key.exists() {
        StoreKey::fresh()?.save(&store_key)?;
    }
    let (fingerprint, name, dir) = (made.identity.fingerprint(), &certificate.name, dir.display());
    let what = if made.key { "Made this party's key" } else { "This party's key is there already" };
    let ends = ends(&made);
    say(&format!(
        "\
{what}, in {dir}. Its fingerprint:

  {fingerprint}

{ends}

What to do next:
 1. Give the fingerprint and your address to the operators of the other two parties, and agree on the order of the three.
 2. Write cluster.toml, the same for all parties and clients, with three entries in that order:

      [[parties]]
      name = {name:?}
      addresses = [\"your.host.example:7100\"]
      fingerprints = [\"{fingerprint}\"]

 3. Write {dir}/party.toml:

      role = 0                      # 0, 1 or 2: your place in cluster.toml
      listen = \"0.0.0.0:7100\"       # UDP
      cluster = \"cluster.toml\"

      [security]
      minimum = \"passive\"           # \"active\" refuses questions that a cheating server could answer wrongly

      [[clients]]                   # who may come in: the fingerprint that `mpc-client init` prints
      name = \"alice\"
      fingerprints = [\"sha256:...\"]
      may = [\"classify\"]            # and \"publish\" for those who publish models

 4. mpc-party check --config {dir}/party.toml tells what is still wrong; then
    mpc-party serve --config {dir}/party.toml

Once it serves it does not need identity.key, only renewals do: you may keep that file elsewhere."
    ))
}

/// Renews the certificate of the existing key, and does nothing else: at once, or only `if_due`.
pub(crate) fn renew(dir: &Path, certificate: &Certificate, if_due: bool) -> Result<()> {
    if !dir.join(TLS_CERTIFICATE_FILE).exists() {
        let dir = dir.display();
        return Err(Error::Keys(format!("{dir}: there is no certificate to renew; make one with the key first")));
    }
    let made = keys::init(dir, &certificate.name, certificate.days, !if_due)?;
    let (fingerprint, ends) = (made.identity.fingerprint(), ends(&made));
    match made.certificate {
        true => {
            say(&format!("{ends} The fingerprint stays {fingerprint}. A party that runs takes it with: kill -HUP PID"))
        }
        false => say(&format!("Nothing is due. {ends}")),
    }
}

/// Refuses to make a new key beside a store that is sealed with another one: the party could not open it.
fn refuse_beside_store(dir: &Path) -> Result<()> {
    let stores = [dir.join("data").join(DATABASE_FILE), dir.join(DATABASE_FILE)];
    let Some(store) = stores.iter().find(|store| store.exists()) else { return Ok(()) };
    Err(Error::Keys(format!(
        "{} is sealed with a key that is not in {}: put {KEY_FILE} back, or move the store away for a new one. A renewal of the \
         certificate needs neither",
        store.display(),
        dir.display()
    )))
}

/// Creates the identity that will replace this one.
pub(crate) fn rotate(dir: &Path, certificate: &Certificate) -> Result<()> {
    let made = keys::rotate(dir, &certificate.name, certificate.days)?;
    let (fingerprint, ends, dir) = (made.identity.fingerprint(), ends(&made), dir.display());
    let what = if made.key { "Made the next key" } else { "The next key is there already" };
    say(&format!(
        "\
{what}, in {dir}/next. Its fingerprint:

  {fingerprint}

{ends}

What to do next:
 1. Everybody (the other two parties, you, the clients) adds it to this party's `fingerprints` in cluster.toml, behind the old
    one; every party reloads: kill -HUP PID.
 2. When all have: mpc-party rotate --dir {dir} --finish, then kill -HUP PID here.
 3. When `mpc-party health` is content everywhere, everybody removes the old fingerprint and reloads."
    ))
}

/// Puts the next identity into place.
pub(crate) fn finish_rotation(dir: &Path) -> Result<()> {
    let identity = keys::finish_rotation(dir)?;
    say(&format!(
        "The new key is in place, the old one in {}/previous. The fingerprint is now\n\n  {}\n\nTell the party: kill -HUP PID. \
         When everybody has removed the old fingerprint, delete the old key.",
        dir.display(),
        identity.fingerprint()
    ))
}

fn ends(made: &Made) -> String {
    let validity = made.identity.validity();
    let what = if made.certificate { "A new certificate, valid until" } else { "Its certificate is valid until" };
    let renewal = "`mpc-party init --renew` makes another one, with the same fingerprint.";
    format!("{what} {} ({} days). {renewal}", date(validity.until), validity.days_left())
}

fn say(text: &str) -> Result<()> {
    writeln!(anstream::stdout(), "{text}").map_err(Error::system("standard output"))
}
