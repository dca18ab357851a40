//! The cell: this worker and the two workers, one at each peer, that it computes with. Worker i of each party talks
//! only to worker i of the others. No module above this one knows how a peer is reached.

use std::time::Duration;

use mpc_core::network::Network;
use mpc_core::network::mesh::{Connections, Control, Mesh};
use mpc_core::network::quic::QuicNetwork;
use mpc_core::network::stream;
use mpc_core::prss::Prss;
use mpc_core::session::{Id, Mode};
use mpc_core::wire::codec::{self, MAX_ENCODED};
use mpc_core::wire::message::Versioned;
use mpc_core::wire::peer::{PeerRequest, Verdict};
use mpc_core::{Error, Party, Result, Role};
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::ended::unreadable;

/// This worker's connections to its peers; clones share them.
#[derive(Clone)]
pub(crate) struct Cell {
    mesh: Mesh,
    wait: Duration,
}

impl Cell {
    /// A cell over the connections of `mesh`, in which no wait for a peer's next message exceeds `wait`.
    pub(crate) fn new(mesh: Mesh, wait: Duration) -> Self {
        Self { mesh, wait }
    }

    /// This party.
    pub(crate) fn role(&self) -> Role {
        self.mesh.role()
    }

    /// Longest wait for a peer's next message.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Whether a peer is connected.
    pub(crate) fn is_connected(&self, peer: Role) -> bool {
        self.mesh.is_connected(peer)
    }

    /// Waits until both peers are connected.
    ///
    /// # Errors
    /// The peer that is not connected by the `deadline`.
    pub(crate) async fn connected(&self, deadline: Duration) -> Result<()> {
        self.mesh.connected(deadline).await
    }

    /// The successive connections to a peer.
    pub(crate) fn connections(&self, peer: Role) -> Connections {
        self.mesh.connections(peer)
    }

    /// Opens a control stream to a peer and sends the request.
    ///
    /// # Errors
    /// The peer cannot be reached, in the words of the transport.
    pub(crate) async fn ask(&self, peer: Role, request: PeerRequest) -> Result<(SendStream, RecvStream), String> {
        let (mut send, recv) = self.mesh.control(peer).await.map_err(|e| e.to_string())?;
        stream::send(&mut send, &Versioned::new(request)).await.map_err(|e| format!("lost {peer}: {e}"))?;
        Ok((send, recv))
    }

    /// Reads the request of a peer that opened a control stream, if the peer may make it and does so in time.
    pub(crate) async fn hear(&self, control: Control) -> Option<(PeerRequest, SendStream, RecvStream)> {
        let Control { peer, mut send, mut recv } = control;
        match timeout(self.wait, stream::receive_first(&mut recv, MAX_ENCODED)).await {
            Ok(Ok(request)) if peer == Role::P0 || request == PeerRequest::InService => {
                return Some((request, send, recv));
            }
            Ok(Ok(_)) => tracing::warn!(%peer, "requested something that only P0 may request"),
            Ok(Err(error)) => {
                tracing::warn!(%peer, "control stream: {error}");
                // A peer that has left does not need the refusal.
                drop(stream::send(&mut send, &Verdict::Refuse(unreadable(&error))).await);
            }
            Err(_) => tracing::warn!(%peer, "opened a control stream and said nothing"),
        }
        None
    }

    /// Enters a session, from the thread that runs it.
    ///
    /// # Errors
    /// A peer is not connected, or the session runs already.
    pub(crate) fn enter(&self, session: Id) -> Result<QuicNetwork> {
        self.mesh.session(session, self.wait)
    }

    /// Tells both peers that this party will not take part in a session that they may have entered.
    pub(crate) async fn abort(&self, session: Id, reason: String) {
        let cell = self.clone();
        // A peer that has left has lost its own side of the session too.
        let tell = move || drop(cell.enter(session).map(|mut network| network.abort(&Error::Aborted(reason))));
        drop(tokio::task::spawn_blocking(tell).await);
    }
}

/// Exchanges hellos of fixed length with both peers: 1 round. Sends to both before it waits for either.
///
/// # Errors
/// [`Error::Malformed`] with the part of the peer's hello that differs; errors of the network.
pub(crate) fn greet<H: Serialize + DeserializeOwned>(
    network: &mut QuicNetwork,
    hello: &H,
    difference: impl Fn(&H, &H) -> Option<&'static str>,
) -> Result<()> {
    let ours = codec::encode(hello)?;
    let peers = [network.role().next(), network.role().prev()];
    for peer in peers {
        network.send(peer, &ours)?;
    }
    for peer in peers {
        let mut theirs = vec![0; ours.len()];
        network.recv(peer, &mut theirs)?;
        let difference = codec::decode(&theirs).map(|theirs| difference(hello, &theirs));
        if let Some(what) = difference.unwrap_or(Some("encoding of the session's parameters")) {
            return Err(Error::Malformed {
                peer,
                expected: format!("the same {what} as here"),
                got: "another one".into(),
            });
        }
    }
    Ok(())
}

/// The party of a session after the exchange of hellos.
///
/// # Errors
/// A connection is gone.
pub(crate) fn party(network: QuicNetwork, security: Mode, transcript: &Id) -> Result<Party> {
    let (own, next) = network.prss_keys()?;
    Ok(Party::new(Box::new(network), Prss::new(own, next), security, transcript))
}
