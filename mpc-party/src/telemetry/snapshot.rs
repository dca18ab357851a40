//! The figures of one moment, as the owners of the party give them.

use std::time::Duration;

use mpc_core::Role;

/// How the party is at one moment.
pub(crate) struct Snapshot {
    /// The next party, then the previous one.
    pub(crate) peers: [PeerSnapshot; 2],
    /// Why new requests are not served, other than for want of a peer; one line each.
    pub(crate) obstacles: Vec<String>,
    /// Why some of what is in service is not served, although the rest is; one line each.
    pub(crate) problems: Vec<String>,
    /// Sessions that are computed.
    pub(crate) sessions: u32,
    /// Requests that wait for admission.
    pub(crate) waiting: u32,
    /// Requests that were taken on and have not ended.
    pub(crate) open_requests: usize,
    /// Models that are served.
    pub(crate) models: usize,
    /// Memory that running sessions may need.
    pub(crate) reserved_mib: u64,
    /// When the certificate ends, seconds since 1970.
    pub(crate) certificate_end: u64,
    /// Whether the last attempt to write the audit log failed.
    pub(crate) audit_fails: bool,
}

/// The connection to a peer.
pub(crate) struct PeerSnapshot {
    /// The peer.
    pub(crate) peer: Role,
    /// Whether the connection stands.
    pub(crate) is_connected: bool,
    /// How often it came up.
    pub(crate) times_connected: u64,
    /// Its round trip time, as the transport estimates it.
    pub(crate) round_trip: Option<Duration>,
}

impl Snapshot {
    /// Why new requests are not served, one line each; none where they are.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let lost = self.peers.iter().filter(|peer| !peer.is_connected);
        lost.map(|peer| format!("not connected to {}", peer.peer)).chain(self.obstacles.iter().cloned()).collect()
    }
}
