//! The QUIC endpoint of a process: one I/O thread, transport settings, calling a party and telling why it failed.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::crypto::rustls::HandshakeData;
use quinn::{
    AckFrequencyConfig, Connection, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig,
    TransportConfig, TransportErrorCode, VarInt,
};
use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::certificate::Validity;
use super::congestion::BoundedConfig;
use super::drivers::Drivers;
use super::identity::{Fingerprint, Identity};
use super::reach::Unreachable;
use super::tls;
use crate::error::{Error, Result};
use crate::role::Role;
use crate::wire::cluster::PartyEntry;
use crate::wire::message::Purpose;

/// A peer that is silent for so long is given up; keep-alives go out five times as often.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Application error codes that close a connection; the reason phrase beside them is for people.
pub mod close {
    use quinn::VarInt;

    /// The work is done, or the process ends in order.
    pub const DONE: VarInt = VarInt::from_u32(0);
    /// The certificate is not one that this party serves.
    pub const NOT_TRUSTED: VarInt = VarInt::from_u32(1);
    /// The same peer has connected again.
    pub const REPLACED: VarInt = VarInt::from_u32(2);
    /// Too many connections or streams.
    pub const BUSY: VarInt = VarInt::from_u32(3);
    /// The other side broke the protocol.
    pub const PROTOCOL: VarInt = VarInt::from_u32(4);
}

/// The thread that moves the packets of a process: a current-thread runtime. Protocol threads poll their streams
/// themselves, put what they send on the wire, and wait for this thread's wake-ups otherwise.
pub struct Io {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Io {
    /// Starts the thread `quic-io`.
    ///
    /// # Errors
    /// [`Error::System`] where the operating system gives no thread or no poller.
    pub fn start() -> Result<Self> {
        let failed = |e: std::io::Error| Error::system("I/O thread", e);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || drop(runtime.block_on(stopped));
        let thread = std::thread::Builder::new().name("quic-io".into()).spawn(run).map_err(failed)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// To spawn tasks on the thread, or to `block_on` from another one.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened, and there is no caller to hand it to.
            drop(thread.join());
        }
    }
}

/// What the kernel holds of packets that the I/O thread has not fetched yet, if it allows as much. Its default is less than a
/// burst of the congestion window, and what does not fit is lost.
const SOCKET_BUFFER: usize = 4 << 20;

/// An endpoint that calls and is called, on a bound UDP socket. Call within the runtime.
///
/// # Errors
/// [`Error::System`] on a socket, [`Error::Invalid`] on an identity that cannot be used.
pub fn serve(socket: UdpSocket, identity: &Identity) -> Result<Endpoint> {
    let config = answering(identity)?;
    let options = SockRef::from(&socket);
    let sized = options.set_recv_buffer_size(SOCKET_BUFFER).and_then(|()| options.set_send_buffer_size(SOCKET_BUFFER));
    sized.map_err(|e| Error::system("UDP socket", e))?;
    let endpoint = Endpoint::new(remembered(identity), Some(config), socket, Arc::new(Drivers));
    endpoint.map_err(|e| Error::system("UDP socket", e))
}

/// How calls are answered as `identity`.
pub(super) fn answering(identity: &Identity) -> Result<quinn::ServerConfig> {
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls::server(identity)?));
    config.transport_config(Arc::new(transport()));
    config.max_incoming(1024);
    Ok(config)
}

/// Lets a restarted process tell its former peers at once that their connections are gone (stateless reset, RFC 9000,
/// 10.3): the reset key outlives the process because it follows from the identity.
fn remembered(identity: &Identity) -> EndpointConfig {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &*identity.derive(b"mpc stateless reset"));
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

/// Connection ids that say nothing, so that those of a former process are recognised as unknown and answered.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; 8];
        getrandom::fill(&mut id).expect("the operating system has randomness");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// An endpoint that only calls, on any free port. Call within the runtime.
///
/// # Errors
/// [`Error::System`] where no UDP socket can be had.
pub fn caller() -> Result<Endpoint> {
    let any = |address: &str| address.parse::<SocketAddr>().map_err(std::io::Error::other).and_then(Endpoint::client);
    any("[::]:0").or_else(|_| any("0.0.0.0:0")).map_err(|e| Error::system("UDP socket", e))
}

/// Connects to the party `role` described by `entry`, which must show one of the keys listed there, in order to ask it something.
///
/// # Errors
/// [`Error::Transport`] in step `connect` with what [`call`] says; [`Error::Malformed`] where it speaks another version of the
/// protocol; [`Error::Invalid`] on an identity or fingerprint that cannot be used.
pub async fn connect(endpoint: &Endpoint, identity: &Identity, role: Role, entry: &PartyEntry) -> Result<Connection> {
    pins(entry)?;
    call(endpoint, identity, Purpose::Ask, entry).await.map_err(|unreachable| match unreachable {
        Unreachable::OtherVersion { .. } => {
            Error::Malformed { peer: role, expected: "this version of the protocol".into(), got: "another".into() }
        }
        other => Error::Transport { peer: role, step: "connect", reason: other.to_string() },
    })
}

/// Calls a party for some purpose; `entry` says where it is and which keys it may show. The caller sets the deadline.
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
pub(super) async fn call_noting(
    endpoint: &Endpoint,
    identity: &Identity,
    purpose: Purpose,
    entry: &PartyEntry,
    answered: &AtomicBool,
) -> Result<Connection, Unreachable> {
    let address = entry.addresses.first().cloned().unwrap_or_default();
    let local = |e: &dyn std::fmt::Display| Unreachable::Local { address: address.clone(), reason: e.to_string() };
    let name = |reason: String| Unreachable::Name { address: address.clone(), reason };
    let expected = pins(entry).map_err(|e| local(&e))?;
    let (crypto, distrust) = tls::client(identity, &expected, purpose).map_err(|e| local(&e))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport()));
    let resolved = tokio::net::lookup_host(&address).await.map_err(|e| name(e.to_string()))?.next();
    let resolved = resolved.ok_or_else(|| name("it has no address".into()))?;
    // The name in the hello is not looked at: keys are pinned.
    let mut connecting = endpoint.connect_with(config, resolved, "party").map_err(|e| local(&e))?;
    if connecting.handshake_data().await.is_ok() {
        answered.store(true, Ordering::Relaxed);
    }
    connecting.await.map_err(|e| match (distrust.get().cloned(), &e) {
        (Some(distrust), _) => Unreachable::Distrusted { address, distrust },
        (None, e) if is_other_version(e) => Unreachable::OtherVersion { address },
        (None, ConnectionError::TimedOut) => Unreachable::Silent { address },
        (None, e) => Unreachable::Closed { address, reason: explain(e) },
    })
}

/// The keys that a party may show.
///
/// # Errors
/// [`Error::Invalid`] on text that is no fingerprint.
pub fn pins(entry: &PartyEntry) -> Result<Vec<Fingerprint>> {
    entry.fingerprints.iter().map(|text| text.parse()).collect()
}

/// The fingerprint of whoever is at the other end of a connection: of the identity that signed the certificate of its key.
pub fn peer_fingerprint(connection: &Connection) -> Option<Fingerprint> {
    Fingerprint::of_certificate(peer_chain(connection)?.get(1)?).ok()
}

/// When the certificate is valid that was shown at the other end of a connection.
pub fn peer_validity(connection: &Connection) -> Option<Validity> {
    match peer_chain(connection)?.as_slice() {
        [leaf, identity] => tls::validity(leaf, identity).ok(),
        _ => None,
    }
}

fn peer_chain(connection: &Connection) -> Option<Vec<CertificateDer<'static>>> {
    connection.peer_identity()?.downcast().ok().map(|chain| *chain)
}

/// What the caller wants of a connection that was accepted.
pub(super) fn purpose(connection: &Connection) -> Option<Purpose> {
    let agreed = connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol?;
    Purpose::ALL.into_iter().find(|purpose| purpose.alpn() == agreed)
}

/// Closes a connection with a reason that the other side will read.
pub fn refuse(connection: &Connection, code: VarInt, reason: &str) {
    connection.close(code, reason.as_bytes());
}

/// One line for people on why a connection ended.
pub fn explain(error: &ConnectionError) -> String {
    match error {
        error if is_other_version(error) => "it speaks another version of the protocol; update the older side".into(),
        ConnectionError::TimedOut => "no answer; it may be down or cut off".into(),
        ConnectionError::ApplicationClosed(closed) => printable(&closed.reason),
        ConnectionError::LocallyClosed => "this side closed the connection".into(),
        ConnectionError::Reset => "it has restarted".into(),
        ConnectionError::TransportError(e) => match alert(e.code) {
            Some(CERTIFICATE_EXPIRED) => {
                format!(
                    "its certificate is not valid today: its operator renews it, or a clock is wrong ({})",
                    e.reason
                )
            }
            _ => e.reason.clone(),
        },
        ConnectionError::ConnectionClosed(e) => match alert(e.error_code) {
            Some(CERTIFICATE_EXPIRED) => {
                "it says that this side's certificate is not valid today: renew it, or set the clock that is wrong"
                    .into()
            }
            Some(BAD_CERTIFICATE | UNSUPPORTED_CERTIFICATE | UNKNOWN_CA | DECRYPT_ERROR) => {
                "it cannot use this side's certificate: renew it, or update the older side".into()
            }
            Some(CERTIFICATE_UNKNOWN | ACCESS_DENIED | CERTIFICATE_REQUIRED) => {
                "it does not accept this side's key: its cluster file lists another one for this address, or it called the wrong one"
                    .into()
            }
            _ => printable(error.to_string().as_bytes()),
        },
        other => other.to_string(),
    }
}

/// Whether the other side ended the connection because of this side's certificate.
pub fn blames_certificate(error: &ConnectionError) -> bool {
    const ALERTS: [u64; 8] = [
        BAD_CERTIFICATE,
        UNSUPPORTED_CERTIFICATE,
        CERTIFICATE_EXPIRED,
        CERTIFICATE_UNKNOWN,
        UNKNOWN_CA,
        ACCESS_DENIED,
        DECRYPT_ERROR,
        CERTIFICATE_REQUIRED,
    ];
    let ConnectionError::ConnectionClosed(closed) = error else { return false };
    alert(closed.error_code).is_some_and(|alert| ALERTS.contains(&alert))
}

/// TLS alerts (RFC 8446, 6) that concern certificates and versions.
const BAD_CERTIFICATE: u64 = 42;
const UNSUPPORTED_CERTIFICATE: u64 = 43;
const CERTIFICATE_EXPIRED: u64 = 45;
const CERTIFICATE_UNKNOWN: u64 = 46;
const UNKNOWN_CA: u64 = 48;
const ACCESS_DENIED: u64 = 49;
const DECRYPT_ERROR: u64 = 51;
const CERTIFICATE_REQUIRED: u64 = 116;
const NO_APPLICATION_PROTOCOL: u64 = 120;

/// The TLS alert in a QUIC error code (RFC 9001, 4.8).
fn alert(code: TransportErrorCode) -> Option<u64> {
    u64::from(code).checked_sub(0x100).filter(|alert| *alert < 0x100)
}

/// Whether the two sides have no version of the protocol (ALPN) in common.
fn is_other_version(error: &ConnectionError) -> bool {
    let code = match error {
        ConnectionError::TransportError(e) => e.code,
        ConnectionError::ConnectionClosed(e) => e.error_code,
        _ => return false,
    };
    alert(code) == Some(NO_APPLICATION_PROTOCOL)
}

/// What somebody else wrote, on one line and not too long.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Memory that one connection may make this process hold, in either direction.
const WINDOW: u32 = 32 << 20;

/// The same for a peer: every session's largest layer at once, in one message each.
const PEER_WINDOW: u32 = 1 << 30;

/// Most control streams of a peer at a time: one for each request that waits or runs.
pub(super) const MAX_CONTROLS: usize = 4096;

/// Lets a connection, now known to be a peer's, carry the sessions.
pub(super) fn widen(connection: &Connection) {
    connection.set_receive_window(VarInt::from_u32(PEER_WINDOW));
    connection.set_send_window(u64::from(PEER_WINDOW));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(MAX_CONTROLS as u32));
}

/// Large windows, because a layer is sent in one message; short timers, because parties are near or at least awake.
fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(8)).max_ack_delay(Some(Duration::from_millis(5)));
    config
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT.as_millis() as u32).into()))
        .keep_alive_interval(Some(IDLE_TIMEOUT / 5))
        .initial_rtt(Duration::from_millis(5))
        .stream_receive_window(VarInt::from_u32(PEER_WINDOW / 4))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .max_concurrent_uni_streams(VarInt::from_u32(4096))
        .max_concurrent_bidi_streams(VarInt::from_u32(256))
        .datagram_receive_buffer_size(None)
        .ack_frequency_config(Some(acks))
        .congestion_controller_factory(Arc::new(BoundedConfig));
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::certificate::{Distrust, date, now};

    #[test]
    fn whose_certificate_has_ended_is_said_on_both_sides() {
        let io = Io::start().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let good = Identity::issue(&key, "good", Validity::of_days(1)).unwrap();
        let ended = Validity { from: now() - 200_000, until: now() - 100_000 };
        let old = Identity::issue(&key, "old", ended).unwrap();
        io.handle().block_on(async {
            let call = async |party: &Identity, us: &Identity| {
                let party = serve(UdpSocket::bind("127.0.0.1:0").unwrap(), party).unwrap();
                let addresses = vec![party.local_addr().unwrap().to_string()];
                let fingerprints = vec![good.fingerprint().to_string()];
                let entry = PartyEntry { name: "party".into(), addresses, fingerprints };
                let answering = async { party.accept().await.unwrap().await.err().map(|e| explain(&e)) };
                let caller = caller().unwrap();
                let (said, called) = tokio::join!(answering, super::call(&caller, us, Purpose::Ask, &entry));
                let told = match called {
                    // TLS lets the caller finish first.
                    Ok(connection) => Ok(explain(&connection.closed().await)),
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
