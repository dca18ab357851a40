//! The figures of one moment, read from the party's owners.

use std::time::Duration;

use mpc_core::Role;

/// The state of the party at one moment.
pub(crate) struct Snapshot {
    /// The next party, then the previous one.
    pub(crate) peers: [PeerSnapshot; 2],
    /// Why the party serves no new requests, other than a missing peer; one line each.
    pub(crate) obstacles: Vec<String>,
    /// Why the party does not serve some of what is in service; one line each.
    pub(crate) problems: Vec<String>,
    /// Running sessions.
    pub(crate) sessions: u32,
    /// Requests that wait for admission.
    pub(crate) waiting: u32,
    /// Requests taken on that have not ended.
    pub(crate) open_requests: usize,
    /// Models that are served.
    pub(crate) models: usize,
    /// Memory that running sessions may need.
    pub(crate) reserved_mib: u64,
    /// When the certificate expires, seconds since 1970.
    pub(crate) certificate_end: u64,
    /// Whether the last attempt to write the audit log failed.
    pub(crate) audit_fails: bool,
}

/// The connection to a peer.
pub(crate) struct PeerSnapshot {
    /// The peer.
    pub(crate) peer: Role,
    /// Whether the peer is connected.
    pub(crate) is_connected: bool,
    /// How often it came up.
    pub(crate) times_connected: u64,
    /// Its round trip time, as the transport estimates it.
    pub(crate) round_trip: Option<Duration>,
}

impl Snapshot {
    /// Why the party serves no new requests, one line each; empty where it does.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let lost = self.peers.iter().filter(|peer| !peer.is_connected);
        lost.map(|peer| format!("not connected to {}", peer.peer)).chain(self.obstacles.iter().cloned()).collect()
    }
}
