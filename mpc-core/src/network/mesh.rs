//! One party's standing connections to its two peers, over which sessions and control streams run.
//!
//! One UDP port serves peers and clients alike. The certificate alone tells who calls, the handshake tells why: a lower
//! role that calls [for the mesh](crate::wire::message::Purpose::Mesh) joins the mesh; a caller that wants to ask goes
//! to the application.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::endpoint::{self, Io, close, explain};
use super::fingerprint::Fingerprint;
use super::identity::Identity;
use super::quic::QuicNetwork;
use super::quiet::Quiet;
use super::roles::Views;
use super::session::{Header, Routes};
use crate::error::{Error, Result};
use crate::role::Role;
use crate::session::{Branch, Id};
use crate::wire::cluster::Cluster;

/// Streams and connections for the application to serve.
pub struct Inbox {
    /// Control streams that peers opened.
    pub controls: mpsc::Receiver<Control>,
    /// Connections of callers that want to ask: clients, parties, and strangers, whom the application refuses.
    pub callers: mpsc::Receiver<Caller>,
}

/// A control stream, opened by a peer.
pub struct Control {
    /// The peer that opened it, by its certificate.
    pub peer: Role,
    /// Towards the peer.
    pub send: SendStream,
    /// From the peer.
    pub recv: RecvStream,
}

/// A connection of a caller that wants to ask, before anything was served.
pub struct Caller {
    /// The connection, handshake complete.
    pub connection: Connection,
    /// The caller's key.
    pub fingerprint: Fingerprint,
}

/// One party's connections to its peers; clones share them. The lower role calls the higher one, and again with a
/// growing pause whenever the connection is lost. Lives until [`Mesh::close`] or the end of its [`Io`] thread.
#[derive(Clone)]
pub struct Mesh {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) role: Role,
    settings: Mutex<Arc<Settings>>,
    pub(super) endpoint: Endpoint,
    pub(super) handle: Handle,
    /// By role; one's own stays down.
    pub(super) lines: [watch::Sender<Line>; 3],
    /// How often each connection came up, by role.
    pub(super) came_up: [AtomicU64; 3],
    /// By role: tells to call a peer although it is connected.
    pub(super) again: [Notify; 3],
    pub(super) routes: Arc<Routes>,
    /// What this party knows about the others' cluster files.
    pub(super) views: Views,
    /// Limits log lines about calls, by subject.
    pub(super) quiet: Quiet<&'static str>,
    pub(super) controls: mpsc::Sender<Control>,
    pub(super) callers: mpsc::Sender<Caller>,
    pub(super) closed: AtomicBool,
}

/// Reason to retire a connection whose key was removed.
pub(super) const NOT_LISTED: &str = "its key is no longer listed in the cluster";

/// What [`Mesh::reload`] replaces.
pub(super) struct Settings {
    pub(super) identity: Arc<Identity>,
    pub(super) cluster: Cluster,
    pins: [Vec<Fingerprint>; 3],
}

impl Settings {
    fn new(identity: Arc<Identity>, role: Role, cluster: &Cluster) -> Result<Self> {
        let pins = cluster.parties.iter().map(endpoint::pins).collect::<Result<Vec<_>>>()?;
        let pins: [_; 3] = pins.try_into().map_err(|_| Error::invalid("cluster", "names other than three parties"))?;
        let own = identity.fingerprint();
        if !pins[role.index()].contains(&own) {
            let reason = format!("lists {:?} for {role}, but this party's key is {own}", pins[role.index()]);
            return Err(Error::invalid("cluster", reason));
        }
        Ok(Self { identity, cluster: cluster.clone(), pins })
    }

    pub(super) fn role_of(&self, fingerprint: Fingerprint) -> Option<Role> {
        Role::ALL.into_iter().find(|role| self.pins[role.index()].contains(&fingerprint))
    }
}

/// The state of the connection to a peer.
#[derive(Clone)]
pub(super) enum Line {
    Up(Connection),
    /// The peer is not connected, for this reason.
    Down(String),
}

/// The successive connections to one peer.
pub struct Connections {
    line: watch::Receiver<Line>,
}

impl Connections {
    /// Waits for the next connection. May be dropped and called again without missing one.
    pub async fn next(&mut self) {
        while self.line.changed().await.is_ok() {
            if matches!(*self.line.borrow(), Line::Up(_)) {
                return;
            }
        }
        // The mesh is gone: no connection will come.
        std::future::pending().await
    }
}

impl Mesh {
    /// Serves on a bound UDP socket and starts to call the peers. `cluster` must list `identity` for `role`.
    ///
    /// # Errors
    /// [`Error::Invalid`] on a cluster that lists other keys for `role`, unreadable fingerprints; [`Error::System`] on
    /// an unusable socket.
    pub fn start(
        io: &Io,
        socket: UdpSocket,
        identity: Arc<Identity>,
        role: Role,
        cluster: &Cluster,
    ) -> Result<(Mesh, Inbox)> {
        let settings = Settings::new(identity, role, cluster)?;
        let _runtime = io.handle().enter();
        let endpoint = endpoint::serve(socket, &settings.identity)?;
        let (controls, control_inbox) = mpsc::channel(endpoint::MAX_CONTROLS);
        let (callers, caller_inbox) = mpsc::channel(256);
        let inner = Arc::new(Inner {
            role,
            settings: Mutex::new(Arc::new(settings)),
            endpoint,
            handle: io.handle().clone(),
            lines: [(); 3].map(|()| watch::Sender::new(Line::Down("not connected yet".into()))),
            came_up: Default::default(),
            again: [const { Notify::const_new() }; 3],
            routes: Arc::new(Routes::new(io.handle().clone())),
            views: Views::default(),
            quiet: Quiet::default(),
            controls,
            callers,
            closed: AtomicBool::new(false),
        });
        io.handle().spawn(inner.clone().answer_calls());
        for peer in Role::ALL.into_iter().filter(|peer| *peer > role) {
            io.handle().spawn(inner.clone().keep_calling(peer));
        }
        Ok((Mesh { inner }, Inbox { controls: control_inbox, callers: caller_inbox }))
    }

    /// The role of this party.
    pub fn role(&self) -> Role {
        self.inner.role
    }

    /// The identity that this party shows.
    pub fn identity(&self) -> Arc<Identity> {
        self.inner.settings().identity.clone()
    }

    /// Who the three parties are.
    pub fn cluster(&self) -> Cluster {
        self.inner.settings().cluster.clone()
    }

    /// The address that this party serves.
    ///
    /// # Errors
    /// [`Error::System`] where the socket is gone.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.inner.endpoint.local_addr().map_err(|e| Error::system("UDP socket", e))
    }

    /// Whether a peer is connected.
    pub fn is_connected(&self, peer: Role) -> bool {
        matches!(*self.inner.lines[peer.index()].borrow(), Line::Up(_))
    }

    /// The transport's estimate of the round trip time to a peer, while it is connected.
    pub fn round_trip(&self, peer: Role) -> Option<Duration> {
        match &*self.inner.lines[peer.index()].borrow() {
            Line::Up(connection) => Some(connection.rtt()),
            Line::Down(_) => None,
        }
    }

    /// How often the connection to a peer came up since the start.
    pub fn times_connected(&self, peer: Role) -> u64 {
        self.inner.came_up[peer.index()].load(Ordering::Relaxed)
    }

    /// Waits until both peers are connected.
    ///
    /// # Errors
    /// [`Error::Transport`] with the last reason, naming the peer, after `deadline`.
    pub async fn connected(&self, deadline: Duration) -> Result<()> {
        let until = tokio::time::Instant::now() + deadline;
        for peer in [self.role().next(), self.role().prev()] {
            let mut line = self.inner.lines[peer.index()].subscribe();
            let up = tokio::time::timeout_at(until, line.wait_for(|line| matches!(line, Line::Up(_)))).await;
            drop(up.map_err(|_| ()));
            self.inner.connection(peer, "connect")?;
        }
        Ok(())
    }

    /// Reports each connection to a peer, starting with the current one.
    pub fn connections(&self, peer: Role) -> Connections {
        let mut line = self.inner.lines[peer.index()].subscribe();
        line.mark_changed();
        Connections { line }
    }

    /// Opens a control stream to a peer; it appears in the peer's [`Inbox::controls`] once something is written.
    ///
    /// # Errors
    /// [`Error::Transport`] where the peer is not connected.
    pub async fn control(&self, peer: Role) -> Result<(SendStream, RecvStream)> {
        const STEP: &str = "open a control stream";
        let opened = self.inner.connection(peer, STEP)?.open_bi().await;
        opened.map_err(|e| Error::Transport { peer, step: STEP, reason: explain(&e) })
    }

    /// Enters a session, from the thread that will run it. `deadline` bounds each single wait. Both peers must enter
    /// the same session; streams of a party that comes early wait for the others.
    ///
    /// # Errors
    /// [`Error::Transport`] where a peer is not connected, [`Error::Invalid`] where the session runs already.
    pub fn session(&self, session: Id, deadline: Duration) -> Result<QuicNetwork> {
        let role = self.role();
        let mut connections = [None, None, None];
        for peer in [role.next(), role.prev()] {
            connections[peer.index()] = Some(self.inner.connection(peer, "start of the session")?);
        }
        QuicNetwork::open(self.inner.routes.enter(session, role, deadline, connections)?, Branch::ROOT)
    }

    /// The party that has this key in the current cluster.
    pub fn role_of(&self, fingerprint: Fingerprint) -> Option<Role> {
        self.inner.settings().role_of(fingerprint)
    }

    /// The key that a connected peer has shown, for tests.
    #[cfg(feature = "testing")]
    pub fn key_of(&self, peer: Role) -> Option<Fingerprint> {
        match &*self.inner.lines[peer.index()].borrow() {
            Line::Up(connection) => endpoint::peer_fingerprint(connection),
            Line::Down(_) => None,
        }
    }

    /// Why a peer is not connected, for people; `None` where it is.
    pub fn trouble(&self, peer: Role) -> Option<String> {
        match &*self.inner.lines[peer.index()].borrow() {
            Line::Up(_) => None,
            Line::Down(reason) => Some(reason.clone()),
        }
    }

    /// Switches to another identity or cluster, in the same role. Running sessions are not affected.
    ///
    /// A peer whose key is no longer listed gets no new session over its connection, which closes once its running
    /// sessions have ended. Where this party's identity or a peer's address has changed, a new connection replaces the
    /// old one, which stays until then.
    ///
    /// # Errors
    /// As [`Mesh::start`]; then nothing changes.
    pub fn reload(&self, identity: Arc<Identity>, cluster: &Cluster) -> Result<()> {
        let inner = &self.inner;
        let new = Arc::new(Settings::new(identity, inner.role, cluster)?);
        inner.endpoint.set_server_config(Some(endpoint::answering(&new.identity)?));
        let old = std::mem::replace(&mut *inner.settings.lock(), new.clone());
        let shown_anew = old.identity.chain() != new.identity.chain();
        for peer in [self.role().next(), self.role().prev()] {
            let Line::Up(connection) = inner.lines[peer.index()].borrow().clone() else { continue };
            let listed = endpoint::peer_fingerprint(&connection).and_then(|key| new.role_of(key)) == Some(peer);
            if !listed {
                inner.retire(peer, &connection, NOT_LISTED);
            }
            let moved = old.cluster.parties[peer.index()].addresses != new.cluster.parties[peer.index()].addresses;
            if !listed || shown_anew || moved {
                inner.call_again(peer, connection);
            }
        }
        Ok(())
    }

    /// Closes every connection, telling the others why, and stops serving.
    pub async fn close(&self, reason: &str) {
        self.inner.closed.store(true, Ordering::Relaxed);
        self.inner.routes.close(reason);
        self.inner.endpoint.close(close::DONE, reason.as_bytes());
        // A peer that is not told within a second runs into the idle timeout.
        drop(timeout(Duration::from_secs(1), self.inner.endpoint.wait_idle()).await);
    }
}

impl Inner {
    /// The settings in force.
    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.lock().clone()
    }

    fn connection(&self, peer: Role, step: &'static str) -> Result<Connection> {
        match &*self.lines[peer.index()].borrow() {
            Line::Up(connection) => Ok(connection.clone()),
            Line::Down(reason) => Err(Error::Transport { peer, step, reason: reason.clone() }),
        }
    }

    /// Lets a connection carry no new sessions, and closes it after the running ones.
    pub(super) fn retire(self: &Arc<Self>, peer: Role, connection: &Connection, reason: &str) {
        tracing::info!(%peer, reason, "retired a connection");
        self.lose(peer, connection, reason);
        self.handle.spawn(self.clone().drain(peer, connection.clone()));
    }

    /// Has another connection to a peer replace this one. The lower role calls; the higher role asks it to.
    fn call_again(&self, peer: Role, connection: Connection) {
        if peer > self.role {
            return self.again[peer.index()].notify_one();
        }
        self.handle.spawn(async move {
            if let Ok(mut stream) = connection.open_uni().await {
                // A peer that is gone calls again anyway.
                drop(stream.write_all(&Header::CallAgain.encode()).await);
            }
        });
    }
}
