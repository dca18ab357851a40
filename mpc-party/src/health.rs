//! Asks a running party on this machine how it is, with the party's own identity.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mpc_core::Role;
use mpc_core::network::endpoint::{self, Io};
use mpc_core::network::identity::Identity;
use mpc_core::wire::cluster::PartyEntry;
use mpc_core::wire::message::{MAX_CONTROL, Reply, Request, Status, Versioned};
use mpc_core::wire::stream;
use tokio::time::timeout;

use crate::config::Config;

/// A healthy party answers within this time.
const DEADLINE: Duration = Duration::from_secs(5);

/// What the party that this configuration describes says of itself.
///
/// # Errors
/// It does not answer.
pub fn ask(config: &Config) -> Result<Status> {
    let identity = Identity::load(&config.identity)?;
    let address = reachable(config.listen);
    let entry = PartyEntry {
        name: "this party".into(),
        addresses: vec![address.to_string()],
        fingerprints: vec![identity.fingerprint().to_string()],
    };
    let io = Io::start()?;
    let answer = async {
        let endpoint = endpoint::caller()?;
        let connection = endpoint::connect(&endpoint, &identity, config.role(), &entry).await?;
        let (mut send, mut recv) = connection.open_bi().await?;
        stream::send(&mut send, &Versioned::new(Request::Status)).await?;
        match stream::receive(&mut recv, MAX_CONTROL).await? {
            Reply::Status(status) => Ok(status),
            Reply::Refused { reason } => bail!("{reason}"),
            _ => bail!("it answered another question"),
        }
    };
    let answered = io.handle().block_on(async { timeout(DEADLINE, answer).await });
    answered.with_context(|| format!("no answer from {address} within {DEADLINE:?}"))?
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

/// Where a socket on all interfaces is reached from this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        specific => specific,
    }
}
