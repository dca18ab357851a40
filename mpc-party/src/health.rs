//! The health of a running party.

use mpc_core::Role;
use mpc_core::wire::message::{Reply, Request, Status};
use serde::Serialize;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::operator;

/// The health of a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Health {
    /// The party serves new requests, and everything in service.
    Healthy,
    /// The party serves new requests, but not everything in service: a model is damaged or older than at the others, or
    /// templates are missing.
    Degraded,
    /// The party serves no new requests.
    NotReady,
}

impl Health {
    /// The health of a party with this status.
    pub(crate) fn of(status: &Status) -> Self {
        let ready = status.peers == [true; 2] && status.not_ready.is_empty();
        match (ready, status.problems.is_empty()) {
            (true, true) => Self::Healthy,
            (true, false) => Self::Degraded,
            (false, _) => Self::NotReady,
        }
    }
}

/// The status of the running party that this configuration describes.
///
/// # Errors
/// The party does not answer.
pub(crate) fn ask(config: &Config) -> Result<Status> {
    match operator::ask(config, Request::Status)? {
        Reply::Status(status) => Ok(status),
        _ => Err(Error::party("the party answered another question")),
    }
}

/// A description for people: one line for the whole, and one for each problem.
pub(crate) fn describe(status: &Status) -> String {
    let (role, models, sessions) = (Role::from_index(status.role.into()), status.models, status.sessions);
    let whole = match Health::of(status) {
        Health::Healthy => format!("{role} serves {models} models, {sessions} sessions running, both peers connected"),
        Health::Degraded => {
            format!(
                "{role} is degraded: it serves {models} models, {sessions} sessions running, but not all in service"
            )
        }
        Health::NotReady => format!("{role} is up, but serves no new requests"),
    };
    let peers = [role.next(), role.prev()].into_iter().zip(status.peers).zip(&status.troubles);
    let lost =
        peers.filter(|((_, up), _)| !up).map(|((peer, _), trouble)| format!("not connected to {peer}: {trouble}"));
    let lines = lost.chain(status.not_ready.iter().chain(&status.problems).cloned());
    std::iter::once(whole).chain(lines).collect::<Vec<_>>().join("\n  ")
}
