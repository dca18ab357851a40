//! The QUIC endpoint of a process: one I/O thread, transport settings, the identity of the other end, and why a
//! connection ended.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::crypto::rustls::HandshakeData;
use quinn::{
    AckFrequencyConfig, Connection, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig,
    TokioRuntime, TransportConfig, TransportErrorCode, VarInt,
};
use rustls::AlertDescription;
use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::certificate::{self, Validity};
use super::congestion::BoundedConfig;
use super::fingerprint::Fingerprint;
use super::identity::Identity;
use super::tls;
use crate::error::{Error, Result};
use crate::wire::cluster::PartyEntry;
use crate::wire::message::Purpose;

/// A peer silent for this long is given up; keep-alives go out five times as often.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for a handshake or a stream header.
pub(super) const GREETING: Duration = Duration::from_secs(5);

/// Application error codes that close a connection; the reason phrase beside them is for people.
pub mod close {
    use quinn::VarInt;

    /// The work is done, or the process exits normally.
    pub const DONE: VarInt = VarInt::from_u32(0);
    /// This party does not serve the holder of that certificate.
    pub const NOT_TRUSTED: VarInt = VarInt::from_u32(1);
    /// The same peer has connected again.
    pub const REPLACED: VarInt = VarInt::from_u32(2);
    /// Too many connections or streams.
    pub const BUSY: VarInt = VarInt::from_u32(3);
    /// The other side broke the protocol.
    pub const PROTOCOL: VarInt = VarInt::from_u32(4);
}

/// The thread that moves the packets of a process: a current-thread runtime. Protocol threads poll their streams
/// themselves, and wait for this thread to wake them.
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

    /// The handle to spawn tasks on the thread, or to `block_on` from another one.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported, and no caller remains to receive it.
            drop(thread.join());
        }
    }
}

/// Bytes of packets that the kernel buffers for the I/O thread, if it allows that many. Its default is less than a
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
    let endpoint = Endpoint::new(remembered(identity), Some(config), socket, Arc::new(TokioRuntime));
    endpoint.map_err(|e| Error::system("UDP socket", e))
}

/// The configuration to answer calls as `identity`.
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

/// Connection ids without meaning, so that those of a former process count as unknown and are answered.
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
/// [`Error::System`] where the system gives no UDP socket.
pub fn caller() -> Result<Endpoint> {
    let any = |address: &str| address.parse::<SocketAddr>().map_err(std::io::Error::other).and_then(Endpoint::client);
    any("[::]:0").or_else(|_| any("0.0.0.0:0")).map_err(|e| Error::system("UDP socket", e))
}

/// The keys that a party may show.
///
/// # Errors
/// [`Error::Invalid`] on text that is no fingerprint.
pub fn pins(entry: &PartyEntry) -> Result<Vec<Fingerprint>> {
    entry.fingerprints.iter().map(|text| text.parse()).collect()
}

/// The fingerprint of the other end of a connection: of the identity that signed its certificate.
pub fn peer_fingerprint(connection: &Connection) -> Option<Fingerprint> {
    Fingerprint::of_certificate(peer_chain(connection)?.get(1)?).ok()
}

/// The validity of the certificate that the other end of a connection has shown.
pub fn peer_validity(connection: &Connection) -> Option<Validity> {
    match peer_chain(connection)?.as_slice() {
        [leaf, identity] => certificate::validity(leaf, identity).ok(),
        _ => None,
    }
}

fn peer_chain(connection: &Connection) -> Option<Vec<CertificateDer<'static>>> {
    connection.peer_identity()?.downcast().ok().map(|chain| *chain)
}

/// The purpose that the caller named for an accepted connection.
pub(super) fn purpose(connection: &Connection) -> Option<Purpose> {
    let agreed = connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol?;
    Purpose::ALL.into_iter().find(|purpose| purpose.alpn() == agreed)
}

/// Closes a connection with a reason for the other side.
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
            Some(AlertDescription::CertificateExpired) => {
                format!(
                    "its certificate is not valid today: its operator must renew it, or a clock is wrong ({})",
                    e.reason
                )
            }
            _ => e.reason.clone(),
        },
        ConnectionError::ConnectionClosed(e) => match alert(e.error_code) {
            Some(AlertDescription::CertificateExpired) => {
                "it says that this side's certificate is not valid today: renew it, or set the clock that is wrong"
                    .into()
            }
            Some(
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::DecryptError,
            ) => {
                "it cannot use this side's certificate: renew it, or update the older side".into()
            }
            Some(
                AlertDescription::CertificateUnknown
                | AlertDescription::AccessDenied
                | AlertDescription::CertificateRequired,
            ) => {
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
    let ConnectionError::ConnectionClosed(closed) = error else { return false };
    matches!(
        alert(closed.error_code),
        Some(
            AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::DecryptError
                | AlertDescription::CertificateRequired
        )
    )
}

/// The TLS alert in a QUIC error code (RFC 9001, 4.8).
fn alert(code: TransportErrorCode) -> Option<AlertDescription> {
    let alert = u64::from(code).checked_sub(0x100)?;
    u8::try_from(alert).ok().map(AlertDescription::from)
}

/// Whether the two sides have no version of the protocol (ALPN) in common.
pub(super) fn is_other_version(error: &ConnectionError) -> bool {
    let code = match error {
        ConnectionError::TransportError(e) => e.code,
        ConnectionError::ConnectionClosed(e) => e.error_code,
        _ => return false,
    };
    alert(code) == Some(AlertDescription::NoApplicationProtocol)
}

/// Text of another party, on one line and shortened.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Bytes that one connection may make this process hold, in either direction.
const WINDOW: u32 = 32 << 20;

/// The same for a peer: every session's largest layer at once, in one message each.
const PEER_WINDOW: u32 = 1 << 30;

/// Maximum number of control streams of a peer at a time: one for each request that waits or runs.
pub(super) const MAX_CONTROLS: usize = 4096;

/// Lets a connection carry sessions, once it is known to be a peer's.
pub(super) fn widen(connection: &Connection) {
    connection.set_receive_window(VarInt::from_u32(PEER_WINDOW));
    connection.set_send_window(u64::from(PEER_WINDOW));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(MAX_CONTROLS as u32));
}

/// Large windows, because a layer is one message; short timers, because parties are nearby or at least always on.
pub(super) fn transport() -> TransportConfig {
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
