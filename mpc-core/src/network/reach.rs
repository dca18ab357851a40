//! Calling a party, and why it cannot be reached: the causes that one machine can tell apart, each with a remedy.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quinn::{Connection, ConnectionError, Endpoint};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::certificate::Distrust;
use super::endpoint;
use super::identity::Identity;
use super::tls;
use crate::error::{Error, Result};
use crate::role::Role;
use crate::wire::cluster::PartyEntry;
use crate::wire::message::Purpose;

/// Time limit for the other probes of a silent address.
const PROBE: Duration = Duration::from_secs(2);

/// Why a call failed. The text says where, what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// The name has no address.
    #[error("{address}: the name cannot be resolved ({reason}); correct the address in the cluster file, or the DNS")]
    Name {
        /// As the cluster file says.
        address: String,
        /// What the resolver said.
        reason: String,
    },
    /// This machine cannot send there.
    #[error("{address}: this machine cannot send there: {reason}")]
    Local {
        /// As the cluster file says.
        address: String,
        /// What the operating system said.
        reason: String,
    },
    /// The machine reports the port as closed.
    #[error("{address}: nothing listens on that UDP port; is the party running, and is it the right port?")]
    NothingThere {
        /// As the cluster file says.
        address: String,
    },
    /// The machine answers TCP, but the UDP port is silent.
    #[error(
        "{address}: the machine is up, but nobody answers on that UDP port: the party hangs or is suspended, its machine is \
         overloaded, or a firewall drops UDP to that port (let it pass, both ways)"
    )]
    Mute {
        /// As the cluster file says.
        address: String,
    },
    /// The party began to answer, then fell silent.
    #[error(
        "{address}: it began to answer, then fell silent: it is overloaded, was just suspended, or large packets are lost on \
         the way"
    )]
    Stalled {
        /// As the cluster file says.
        address: String,
    },
    /// Nothing came back.
    #[error(
        "{address}: no answer over UDP or TCP: the machine is down, the address is wrong, or a firewall drops everything"
    )]
    Silent {
        /// As the cluster file says.
        address: String,
    },
    /// The party shows a certificate that is not accepted.
    #[error("{address}: {distrust}")]
    Distrusted {
        /// As the cluster file says.
        address: String,
        /// Why.
        distrust: Distrust,
    },
    /// The two sides have no version of the protocol in common.
    #[error("{address}: it speaks another version of the protocol; update the older side")]
    OtherVersion {
        /// As the cluster file says.
        address: String,
    },
    /// The party answered and closed the connection.
    #[error("{address}: {reason}")]
    Closed {
        /// As the cluster file says.
        address: String,
        /// The reason it gave.
        reason: String,
    },
}

/// Calls a party, and finds out more where it does not answer within `deadline`.
///
/// # Errors
/// Why the party was not reached.
pub async fn reach(
    endpoint: &Endpoint,
    identity: &Identity,
    purpose: Purpose,
    entry: &PartyEntry,
    deadline: Duration,
) -> Result<Connection, Unreachable> {
    let answered = AtomicBool::new(false);
    let late = || {
        let address = entry.addresses.first().cloned().unwrap_or_default();
        if answered.load(Ordering::Relaxed) {
            Unreachable::Stalled { address }
        } else {
            Unreachable::Silent { address }
        }
    };
    // Even a closed port is retried until the deadline: the party may be starting.
    let called = timeout(deadline, call_noting(endpoint, identity, purpose, entry, &answered)).await;
    match called.unwrap_or_else(|_| Err(late())) {
        Err(Unreachable::Silent { address }) => Err(look_closer(address).await),
        called => called,
    }
}

/// Connects to the party `role` described by `entry`, which must show one of the keys listed there, to ask it
/// something.
///
/// # Errors
/// [`Error::Transport`] in step `connect` with what [`call`] says; [`Error::Malformed`] where it speaks another version
/// of the protocol; [`Error::Invalid`] on an identity or fingerprint that cannot be used.
pub async fn connect(endpoint: &Endpoint, identity: &Identity, role: Role, entry: &PartyEntry) -> Result<Connection> {
    endpoint::pins(entry)?;
    call(endpoint, identity, Purpose::Ask, entry).await.map_err(|unreachable| match unreachable {
        Unreachable::OtherVersion { .. } => {
            Error::Malformed { peer: role, expected: "this version of the protocol".into(), got: "another".into() }
        }
        other => Error::Transport { peer: role, step: "connect", reason: other.to_string() },
    })
}

/// Calls a party for `purpose`; `entry` says where it is and which keys it may show. The caller sets the deadline.
///
/// # Errors
/// Why the party was not reached.
pub async fn call(
    endpoint: &Endpoint,
    identity: &Identity,
    purpose: Purpose,
    entry: &PartyEntry,
) -> Result<Connection, Unreachable> {
    call_noting(endpoint, identity, purpose, entry, &AtomicBool::new(false)).await
}

/// As [`call`]; sets `answered` once the party has begun to answer.
async fn call_noting(
    endpoint: &Endpoint,
    identity: &Identity,
    purpose: Purpose,
    entry: &PartyEntry,
    answered: &AtomicBool,
) -> Result<Connection, Unreachable> {
    let address = entry.addresses.first().cloned().unwrap_or_default();
    let local = |e: &dyn std::fmt::Display| Unreachable::Local { address: address.clone(), reason: e.to_string() };
    let name = |reason: String| Unreachable::Name { address: address.clone(), reason };
    let expected = endpoint::pins(entry).map_err(|e| local(&e))?;
    let (crypto, distrust) = tls::client(identity, &expected, purpose).map_err(|e| local(&e))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(endpoint::transport()));
    let resolved = tokio::net::lookup_host(&address).await.map_err(|e| name(e.to_string()))?.next();
    let resolved = resolved.ok_or_else(|| name("it has no address".into()))?;
    // Nobody checks the name in the hello: keys are pinned.
    let mut connecting = endpoint.connect_with(config, resolved, "party").map_err(|e| local(&e))?;
    if connecting.handshake_data().await.is_ok() {
        answered.store(true, Ordering::Relaxed);
    }
    connecting.await.map_err(|e| match (distrust.get().cloned(), &e) {
        (Some(distrust), _) => Unreachable::Distrusted { address, distrust },
        (None, e) if endpoint::is_other_version(e) => Unreachable::OtherVersion { address },
        (None, ConnectionError::TimedOut) => Unreachable::Silent { address },
        (None, e) => Unreachable::Closed { address, reason: endpoint::explain(e) },
    })
}

async fn resolve(address: &str) -> Option<SocketAddr> {
    timeout(PROBE, lookup_host(address)).await.ok()?.ok()?.next()
}

/// Probes an address that does not answer, within [`PROBE`].
async fn look_closer(address: String) -> Unreachable {
    let Some(found) = resolve(&address).await else { return Unreachable::Silent { address } };
    let (port_closed, machine_up) = tokio::join!(udp_port_is_closed(found), answers_tcp(found));
    match (port_closed, machine_up) {
        (true, _) => Unreachable::NothingThere { address },
        (false, true) => Unreachable::Mute { address },
        (false, false) => Unreachable::Silent { address },
    }
}

/// Whether an ICMP message reports the port closed; only a connected socket receives it.
async fn udp_port_is_closed(address: SocketAddr) -> bool {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let asked = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        // Not a QUIC packet: a party ignores it.
        socket.send(&[0]).await?;
        socket.recv(&mut [0; 1]).await
    };
    matches!(timeout(PROBE, asked).await, Ok(Err(e)) if e.kind() == ErrorKind::ConnectionRefused)
}

/// Whether the machine answers, even with a refusal.
async fn answers_tcp(address: SocketAddr) -> bool {
    match timeout(PROBE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => true,
        Ok(Err(e)) => e.kind() == ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::certificate::{Validity, date, now};

    #[test]
    fn what_does_not_answer_is_told_apart() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let identity = Identity::generate("caller").unwrap();
            let endpoint = endpoint::caller().unwrap();
            let reach = async |address: String| {
                let fingerprints = vec![identity.fingerprint().to_string()];
                let entry = PartyEntry { name: "party".into(), addresses: vec![address], fingerprints };
                reach(&endpoint, &identity, Purpose::Ask, &entry, Duration::from_millis(200)).await.unwrap_err()
            };
            // A UDP socket that nobody reads, as if its process were suspended: the machine is up, the packets vanish.
            let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = silent.local_addr().unwrap().to_string();
            assert_eq!(reach(address.clone()).await, Unreachable::Mute { address: address.clone() });
            drop(silent);
            assert_eq!(reach(address.clone()).await, Unreachable::NothingThere { address });
            let unknown = reach("no-such-host.invalid:7100".into()).await;
            assert!(matches!(unknown, Unreachable::Name { .. } | Unreachable::Silent { .. }), "{unknown:?}");
        });
    }

    #[test]
    fn whose_certificate_has_ended_is_said_on_both_sides() {
        let io = endpoint::Io::start().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let good = Identity::issue(&key, "good", Validity::of_days(1)).unwrap();
        let ended = Validity { from: now() - 200_000, until: now() - 100_000 };
        let old = Identity::issue(&key, "old", ended).unwrap();
        io.handle().block_on(async {
            let call = async |party: &Identity, us: &Identity| {
                let party = endpoint::serve(std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), party).unwrap();
                let addresses = vec![party.local_addr().unwrap().to_string()];
                let fingerprints = vec![good.fingerprint().to_string()];
                let entry = PartyEntry { name: "party".into(), addresses, fingerprints };
                let answering = async { party.accept().await.unwrap().await.err().map(|e| endpoint::explain(&e)) };
                let caller = endpoint::caller().unwrap();
                let (said, called) = tokio::join!(answering, super::call(&caller, us, Purpose::Ask, &entry));
                let told = match called {
                    // TLS lets the caller finish first.
                    Ok(connection) => Ok(endpoint::explain(&connection.closed().await)),
                    Err(unreachable) => Err(unreachable),
                };
                (said.expect("it is refused"), told)
            };
            let (said, told) = call(&old, &good).await;
            assert!(said.contains("this side's certificate") && said.contains("renew it"), "{said}");
            let Err(Unreachable::Distrusted { distrust, .. }) = told else { panic!("{told:?}") };
            assert!(matches!(distrust, Distrust::Ended { until, .. } if until == ended.until), "{distrust}");
            assert!(distrust.to_string().contains(&date(ended.until)), "{distrust}");

            let (said, told) = call(&good, &old).await;
            assert!(said.contains("its certificate is not valid today"), "{said}");
            let told = told.unwrap_or_else(|unreachable| unreachable.to_string());
            assert!(told.contains("this side's certificate") && told.contains("renew it"), "{told}");
        });
    }
}
