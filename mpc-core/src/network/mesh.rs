//! One party's standing connections to its two peers, over which sessions and control streams run.
//!
//! One UDP port serves peers and clients alike. Whose connection it is follows from the certificate alone: that of a lower
//! role joins the mesh, everybody else goes to the application.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::Branch;
use super::endpoint::{self, Io, close, explain};
use super::identity::{Fingerprint, Identity};
use super::quic::QuicNetwork;
use super::session::{EARLY_FOR, Header, Routes, leaving};
use crate::error::{Error, Result};
use crate::role::Role;
use crate::wire::cluster::Cluster;
use crate::wire::message::{Id, short};

/// A call that is not answered within this time is made again.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause before a lost peer is called again; doubles up to [`MAX_PAUSE`] as long as it is in vain.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Most handshakes at a time.
const MAX_HANDSHAKES: usize = 256;

/// How long somebody may take for a handshake or a stream header.
const GREETING: Duration = Duration::from_secs(5);

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
/// growing pause whenever the connection is lost. Lives until [`Mesh::close`] or the end of its [`Io`] thread.
#[derive(Clone)]
pub struct Mesh {
    inner: Arc<Inner>,
}

struct Inner {
    role: Role,
    identity: Arc<Identity>,
    cluster: Cluster,
    pins: [Vec<Fingerprint>; 3],
    endpoint: Endpoint,
    handle: Handle,
    /// By role; one's own stays down.
    lines: [watch::Sender<Line>; 3],
    routes: Arc<Routes>,
    controls: mpsc::Sender<Control>,
    callers: mpsc::Sender<Caller>,
    closed: AtomicBool,
}

/// The state of the connection to a peer.
#[derive(Clone)]
enum Line {
    Up(Connection),
    /// And why.
    Down(String),
}

impl Mesh {
    /// Serves on a bound UDP socket and starts calling the peers. `identity` must be one that `cluster` lists for `role`.
    ///
    /// # Errors
    /// [`Error::Invalid`] on a cluster that lists other keys for `role`, unreadable fingerprints, or an unusable socket.
    pub fn start(
        io: &Io,
        socket: UdpSocket,
        identity: Arc<Identity>,
        role: Role,
        cluster: &Cluster,
    ) -> Result<(Mesh, Inbox)> {
        let pins = cluster.parties.iter().map(endpoint::pins).collect::<Result<Vec<_>>>()?;
        let pins: [_; 3] = pins.try_into().map_err(|_| Error::invalid("cluster", "names other than three parties"))?;
        let own = identity.fingerprint();
        if !pins[role.index()].contains(&own) {
            let reason = format!("lists {:?} for {role}, but this party's key is {own}", pins[role.index()]);
            return Err(Error::invalid("cluster", reason));
        }
        let _runtime = io.handle().enter();
        let endpoint = endpoint::serve(socket, &identity)?;
        let (controls, control_inbox) = mpsc::channel(endpoint::MAX_CONTROLS);
        let (callers, caller_inbox) = mpsc::channel(256);
        let inner = Arc::new(Inner {
            role,
            identity,
            cluster: cluster.clone(),
            pins,
            endpoint,
            handle: io.handle().clone(),
            lines: [(); 3].map(|()| watch::Sender::new(Line::Down("not connected yet".into()))),
            routes: Arc::new(Routes::new(io.handle().clone())),
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

    /// Whose mesh this is.
    pub fn role(&self) -> Role {
        self.inner.role
    }

    /// Where this party serves.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the socket is gone.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.inner.endpoint.local_addr().map_err(|e| Error::invalid("UDP socket", e.to_string()))
    }

    /// Whether the connection to a peer stands.
    pub fn is_connected(&self, peer: Role) -> bool {
        matches!(*self.inner.lines[peer.index()].borrow(), Line::Up(_))
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

    /// Opens a control stream to a peer; it appears in the peer's [`Inbox::controls`] once something is written.
    ///
    /// # Errors
    /// [`Error::Transport`] where the peer is not connected.
    pub async fn control(&self, peer: Role) -> Result<(SendStream, RecvStream)> {
        const STEP: &str = "open a control stream";
        let opened = self.inner.connection(peer, STEP)?.open_bi().await;
        opened.map_err(|e| Error::Transport { peer, step: STEP, reason: explain(&e) })
    }

    /// Enters a session, from the thread that will run it. `deadline` bounds every single wait in it. Both peers must
    /// enter the same session; streams of one that comes early wait for the others.
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

    /// Closes every connection, telling the others why, and serves no more.
    pub async fn close(&self, reason: &str) {
        self.inner.closed.store(true, Ordering::Relaxed);
        self.inner.endpoint.close(close::DONE, reason.as_bytes());
        // Whoever does not hear of it in a second runs into the idle timeout.
        drop(timeout(Duration::from_secs(1), self.inner.endpoint.wait_idle()).await);
    }
}

impl Inner {
    fn connection(&self, peer: Role, step: &'static str) -> Result<Connection> {
        match &*self.lines[peer.index()].borrow() {
            Line::Up(connection) => Ok(connection.clone()),
            Line::Down(reason) => Err(Error::Transport { peer, step, reason: reason.clone() }),
        }
    }

    /// Holds the connection to a peer with a higher role.
    async fn keep_calling(self: Arc<Self>, peer: Role) {
        let entry = &self.cluster.parties[peer.index()];
        let mut pause = MIN_PAUSE;
        loop {
            let call = endpoint::connect(&self.endpoint, &self.identity, peer, entry);
            match timeout(CALL_TIMEOUT, call).await {
                Ok(Ok(connection)) => {
                    let started = Instant::now();
                    self.hold(peer, connection).await;
                    if started.elapsed() > MAX_PAUSE {
                        pause = MIN_PAUSE;
                    }
                }
                Ok(Err(Error::Transport { reason, .. })) => self.down(peer, reason),
                Ok(Err(other)) => self.down(peer, other.to_string()),
                Err(_) => self.down(peer, format!("{}: no answer", entry.addresses.join(", "))),
            }
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn answer_calls(self: Arc<Self>) {
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        while let Some(call) = self.endpoint.accept().await {
            let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
            let mesh = self.clone();
            self.handle.spawn(async move {
                let answered = timeout(GREETING, async { call.await }).await;
                drop(permit);
                match answered {
                    Ok(Ok(connection)) => mesh.welcome(connection).await,
                    Ok(Err(e)) => tracing::info!(reason = explain(&e), "a caller gave up"),
                    Err(_) => tracing::info!("a caller did not finish its handshake"),
                }
            });
        }
    }

    /// Sorts a caller by its certificate.
    async fn welcome(self: Arc<Self>, connection: Connection) {
        let Some(fingerprint) = endpoint::peer_fingerprint(&connection) else {
            return endpoint::refuse(&connection, close::NOT_TRUSTED, "no certificate");
        };
        let peers = Role::ALL.into_iter().filter(|peer| *peer < self.role);
        match peers.into_iter().find(|peer| self.pins[peer.index()].contains(&fingerprint)) {
            Some(peer) => self.hold(peer, connection).await,
            None => {
                let caller = Caller { connection: connection.clone(), fingerprint };
                if self.callers.try_send(caller).is_err() {
                    endpoint::refuse(&connection, close::BUSY, "too many connections; try again later");
                }
            }
        }
    }

    /// Serves the connection to a peer until it is lost. A newer one replaces an older one: the peer has restarted.
    async fn hold(&self, peer: Role, connection: Connection) {
        endpoint::widen(&connection);
        tracing::info!(%peer, address = %connection.remote_address(), "connected");
        let before = self.lines[peer.index()].send_replace(Line::Up(connection.clone()));
        if let Line::Up(before) = before {
            endpoint::refuse(&before, close::REPLACED, "the same party connected again");
        }
        let reason = explain(&self.accept_streams(peer, &connection).await);
        self.lines[peer.index()].send_if_modified(|line| {
            let current = matches!(line, Line::Up(up) if up.stable_id() == connection.stable_id());
            if current {
                *line = Line::Down(reason.clone());
            }
            current
        });
        self.routes.lost(peer, &connection, &reason);
        tracing::warn!(%peer, reason, "disconnected");
    }

    async fn accept_streams(&self, peer: Role, connection: &Connection) -> ConnectionError {
        loop {
            tokio::select! {
                stream = connection.accept_uni() => match stream {
                    Ok(stream) => drop(self.handle.spawn(route(self.routes.clone(), peer, stream))),
                    Err(e) => return e,
                },
                stream = connection.accept_bi() => match stream {
                    Ok((send, recv)) => {
                        if let Err(refused) = self.controls.try_send(Control { peer, send, recv }) {
                            let mut control = refused.into_inner();
                            drop((control.send.reset(close::BUSY), control.recv.stop(close::BUSY)));
                        }
                    }
                    Err(e) => return e,
                },
            }
        }
    }

    fn down(&self, peer: Role, reason: String) {
        tracing::debug!(%peer, reason, "cannot connect");
        self.lines[peer.index()].send_if_modified(|line| {
            let down = matches!(line, Line::Down(_));
            if down {
                *line = Line::Down(reason);
            }
            down
        });
    }
}

/// Reads the header of a session stream and brings the stream to its session.
async fn route(routes: Arc<Routes>, peer: Role, mut stream: RecvStream) {
    let mut header = [0; Header::LENGTH];
    if !matches!(timeout(GREETING, stream.read_exact(&mut header)).await, Ok(Ok(()))) {
        return;
    }
    match Header::decode(&header) {
        Some(Header::Branch(session, branch)) => {
            let key = (session, peer, branch);
            if routes.deliver(key, stream) {
                tokio::time::sleep(EARLY_FOR).await;
                routes.expire(key);
            }
        }
        Some(Header::Left(session, code)) => {
            if routes.left(session, peer, code) {
                if let Some(step) = leaving::cheating(code) {
                    let session = short(&session);
                    tracing::warn!(session, %step, "a peer reports a deviation in a session that does not run here");
                }
                tokio::time::sleep(EARLY_FOR).await;
                routes.expire_left(session, peer);
            }
        }
        None => drop(stream.stop(close::PROTOCOL)),
    }
}
