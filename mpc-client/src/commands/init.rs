//! `init`: this client's key and certificate.

use mpc_client::{Identity, Result, cluster};
use mpc_core::network::identity::KEY_FILE;
use serde::Serialize;

use crate::cli::Global;
use crate::output::{print_json, print_line};

#[derive(Serialize)]
struct Made {
    command: &'static str,
    identity: String,
    fingerprint: String,
    created: bool,
}

/// Makes a key where there is none, and says what the operators need.
pub(crate) fn run(global: &Global) -> Result<()> {
    let dir = cluster::identity_dir(global.identity.as_deref(), None)?;
    let created = !dir.join(KEY_FILE).exists();
    let identity = if created {
        let identity = Identity::generate("mpc-client")?;
        identity.save(&dir)?;
        identity
    } else {
        Identity::load(&dir)?
    };
    let fingerprint = identity.fingerprint().to_string();
    let folder = dir.display();
    if global.json {
        return print_json(&Made { command: "init", identity: folder.to_string(), fingerprint, created });
    }
    let made = if created { "made a new key" } else { "there is a key already" };
    print_line(&format!(
        "{made} in {folder}\n\n{fingerprint}\n\n\
         Send this fingerprint to the operators of the three servers. Each of them adds to party.toml\n\n  \
         [[clients]]\n  name = \"your name\"\n  fingerprint = \"{fingerprint}\"\n\n\
         ([[publishers]] if you are to publish models) and restarts the server. The key itself stays here.\n\
         Ask them for cluster.toml, which names the servers, and try `mpc-client --cluster cluster.toml models`."
    ))
}
