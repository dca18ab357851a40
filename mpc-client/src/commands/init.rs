//! `init`: this client's key and certificate.

use mpc_client::Result;
use mpc_core::network::certificate::date;
use mpc_core::network::identity::DAYS;
use mpc_core::network::keys;
use serde::Serialize;

use crate::cli::Global;
use crate::cluster;
use crate::output::{print_json, print_line};

#[derive(Serialize)]
struct Printed {
    command: &'static str,
    identity: String,
    fingerprint: String,
    ends: String,
    created: bool,
    renewed: bool,
}

/// Creates the missing key and certificate, and prints what the operators need.
pub(crate) fn run(global: &Global, renew: bool) -> Result<()> {
    let dir = cluster::identity_dir(global.identity.as_deref(), None)?;
    let made = keys::init(&dir, "mpc-client", DAYS, renew)?;
    let (fingerprint, folder) = (made.identity.fingerprint().to_string(), dir.display());
    let ends = date(made.identity.validity().until);
    if global.json {
        let (created, renewed) = (made.key, made.certificate && !made.key);
        return print_json(&Printed {
            command: "init",
            identity: folder.to_string(),
            fingerprint,
            ends,
            created,
            renewed,
        });
    }
    let key = if made.key { "made a new key" } else { "there is a key already" };
    let certificate = if made.certificate { "A new certificate" } else { "Its certificate" };
    print_line(&format!(
        "{key} in {folder}\n\n{fingerprint}\n\n\
         Send this fingerprint to the operators of the three servers. Each of them adds to party.toml\n\n  \
         [[clients]]\n  name = \"your name\"\n  fingerprints = [\"{fingerprint}\"]\n\n\
         (and may = [\"classify\", \"publish\"] if you are to publish models) and reloads the server. The key itself stays here.\n\
         Ask them for cluster.toml, which names the servers, and try `mpc-client --cluster cluster.toml check`.\n\n\
         {certificate} is valid until {ends}; `mpc-client init --renew` makes another one, with the same fingerprint."
    ))
}
