//! How a running party is.

use anyhow::{Result, bail};
use mpc_core::Role;
use mpc_core::wire::message::{Reply, Request, Status};

use crate::config::Config;
use crate::operator;

/// What the party that this configuration describes says of itself.
///
/// # Errors
/// It does not answer.
pub fn ask(config: &Config) -> Result<Status> {
    match operator::ask(config, Request::Status)? {
        Reply::Status(status) => Ok(status),
        _ => bail!("it answered another question"),
    }
}

/// Whether the party serves: it is up and connected to both peers.
pub fn is_healthy(status: &Status) -> bool {
    status.peers == [true; 2]
}

/// One line for people.
pub fn describe(status: &Status) -> String {
    let role = Role::from_index(status.role.into());
    let missing: Vec<String> = [role.next(), role.prev()]
        .into_iter()
        .zip(status.peers)
        .filter(|(_, up)| !up)
        .map(|(peer, _)| peer.to_string())
        .collect();
    match missing.as_slice() {
        [] => format!(
            "{role} serves {} models, {} sessions running, both peers connected",
            status.models, status.sessions
        ),
        missing => format!("{role} is up, but not connected to {}", missing.join(" and ")),
    }
}
