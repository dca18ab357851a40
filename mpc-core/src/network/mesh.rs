//! One party's standing connections to its two peers, over which sessions and control streams run.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::mpsc;

use super::endpoint::Io;
use super::identity::{Fingerprint, Identity};
use super::quic::QuicNetwork;
use crate::error::Result;
use crate::role::Role;
use crate::wire::cluster::Cluster;
use crate::wire::message::Id;

/// Streams and connections that are the application's to serve.
pub struct Inbox {
    /// Control streams that peers opened.
    pub controls: mpsc::Receiver<Control>,
    /// Connections of everybody who is no peer: clients, and strangers that the application refuses.
    pub callers: mpsc::Receiver<Caller>,
}

/// A control stream, opened by a peer.
pub struct Control {
    /// Who opened it, as its certificate says.
    pub peer: Role,
    /// Towards the peer.
    pub send: SendStream,
    /// From the peer.
    pub recv: RecvStream,
}

/// A connection of somebody who is no peer. Nothing was served yet.
pub struct Caller {
    /// The connection, handshake complete.
    pub connection: Connection,
    /// The caller's key.
    pub fingerprint: Fingerprint,
}

/// One party's connections to its peers; clones share them. The lower role calls the higher one, and again with a
/// growing pause whenever the connection is lost.
#[derive(Clone)]
pub struct Mesh {
    inner: Arc<()>,
}

impl Mesh {
    /// Serves on a bound UDP socket and starts calling the peers. `identity` must be the one that `cluster` lists
    /// for `role`.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) on a cluster that lists other keys for `role`, unreadable fingerprints, or an unusable socket.
    pub fn start(
        _io: &Io,
        _socket: UdpSocket,
        _identity: Arc<Identity>,
        _role: Role,
        _cluster: &Cluster,
    ) -> Result<(Mesh, Inbox)> {
        let _ = Self { inner: Arc::new(()) }.inner;
        unimplemented!()
    }

    /// Whose mesh this is.
    pub fn role(&self) -> Role {
        unimplemented!()
    }

    /// Where this party serves.
    pub fn local_address(&self) -> Result<SocketAddr> {
        unimplemented!()
    }

    /// Whether the connection to a peer stands.
    pub fn is_connected(&self, _peer: Role) -> bool {
        unimplemented!()
    }

    /// Waits until both peers are connected.
    ///
    /// # Errors
    /// [`Error::Transport`](crate::Error::Transport) with the last reason, naming the peer, after `deadline`.
    pub async fn connected(&self, _deadline: Duration) -> Result<()> {
        unimplemented!()
    }

    /// Opens a control stream to a peer; it appears in the peer's [`Inbox::controls`] once something is written.
    ///
    /// # Errors
    /// [`Error::Transport`](crate::Error::Transport) where the peer is not connected.
    pub async fn control(&self, _peer: Role) -> Result<(SendStream, RecvStream)> {
        unimplemented!()
    }

    /// Enters a session, from the thread that will run it. `deadline` bounds every single wait in it. Both peers must
    /// enter the same session; streams of one that comes early wait for the others.
    ///
    /// # Errors
    /// [`Error::Transport`](crate::Error::Transport) where a peer is not connected, [`Error::Invalid`](crate::Error::Invalid) where the session runs already.
    pub fn session(&self, _session: Id, _deadline: Duration) -> Result<QuicNetwork> {
        unimplemented!()
    }

    /// Closes every connection, telling the others why, and serves no more.
    pub async fn close(&self, _reason: &str) {
        unimplemented!()
    }
}
