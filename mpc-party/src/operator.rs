//! Asks the running party on this machine, with the party's own key.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mpc_core::network::endpoint::{self, Io};
use mpc_core::network::identity::Identity;
use mpc_core::network::reach::reach;
use mpc_core::network::stream;
use mpc_core::wire::cluster::PartyEntry;
use mpc_core::wire::message::{MAX_CONTROL, Purpose, Refusal, Reply, Request, Versioned};
use tokio::time::timeout;

use crate::config::Config;
use crate::error::{Error, Result};

/// Time limit for connecting to a running party.
const CONNECT: Duration = Duration::from_secs(5);

/// The reply of the running party that this configuration describes.
///
/// # Errors
/// The party does not answer, or refuses.
pub(crate) fn ask(config: &Config, request: Request) -> Result<Reply> {
    let identity = Identity::load(&config.identity)?;
    let address = reachable(config.listen);
    let entry = PartyEntry {
        name: "this party".into(),
        addresses: vec![address.to_string()],
        fingerprints: vec![identity.fingerprint().to_string()],
    };
    let io = Io::start()?;
    io.handle().block_on(async {
        let endpoint = endpoint::caller()?;
        let connection = reach(&endpoint, &identity, Purpose::Ask, &entry, CONNECT).await.map_err(Error::party)?;
        let (mut send, mut recv) = connection.open_bi().await.map_err(Error::party)?;
        stream::send(&mut send, &Versioned::new(request)).await.map_err(Error::party)?;
        let limit = config.limits.session_timeout();
        let reply = timeout(limit, stream::receive(&mut recv, MAX_CONTROL)).await;
        let reply = reply.map_err(|_| Error::Party(format!("no answer from {address} within {limit:?}")))?;
        match reply.map_err(Error::party)? {
            Reply::Refused(Refusal { reason, .. }) | Reply::Failed { reason } => Err(Error::Party(reason)),
            reply => Ok(reply),
        }
    })
}

/// The address at which this machine reaches a socket that listens on all interfaces.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        specific => specific,
    }
}
