//! How connections between peers begin, are replaced and end: calling, answering, accepting streams.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, RecvStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::endpoint::{self, GREETING, IDLE_TIMEOUT, close, explain};
use super::fingerprint::Fingerprint;
use super::mesh::{Caller, Control, Inner, Line, NOT_LISTED};
use super::reach::reach;
use super::roles::Side;
use super::session::{EARLY_FOR, Header, leaving};
use crate::role::Role;
use crate::wire::message::{Purpose, short};

/// A call without an answer after this time is repeated.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause before a lost peer is called again; doubles with each failure, up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// See [`MIN_PAUSE`].
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Maximum number of handshakes at a time.
const MAX_HANDSHAKES: usize = 256;

/// With more handshakes under way, a caller must first prove that it receives at its address (RFC 9000, 8.1.2).
const FEW_HANDSHAKES: usize = 32;

impl Inner {
    /// Keeps a connection to a peer with a higher role.
    pub(super) async fn keep_calling(self: Arc<Self>, peer: Role) {
        let mut pause = MIN_PAUSE;
        while !self.closed.load(Ordering::Relaxed) {
            let settings = self.settings();
            let entry = &settings.cluster.parties[peer.index()];
            match reach(&self.endpoint, &settings.identity, Purpose::Mesh, entry, CALL_TIMEOUT).await {
                Ok(connection) => {
                    let started = Instant::now();
                    tokio::select! {
                        // It stays open until no session needs it.
                        () = self.again[peer.index()].notified() => {}
                        held = self.handle.spawn(self.clone().hold(peer, connection, Side::Caller)) => drop(held),
                    }
                    if started.elapsed() > MAX_PAUSE {
                        pause = MIN_PAUSE;
                    }
                }
                Err(unreachable) => self.down(peer, unreachable.to_string()),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    pub(super) async fn answer_calls(self: Arc<Self>) {
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        while let Some(call) = self.endpoint.accept().await {
            if handshakes.available_permits() < MAX_HANDSHAKES - FEW_HANDSHAKES && call.may_retry() {
                // A retry costs this side nothing, and a forged address cannot hold up other callers.
                drop(call.retry());
                continue;
            }
            let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
            let mesh = self.clone();
            self.handle.spawn(async move {
                let answered = timeout(GREETING, async { call.await }).await;
                drop(permit);
                match answered {
                    Ok(Ok(connection)) => mesh.welcome(connection).await,
                    Ok(Err(e)) => mesh.quiet.note("gave up", |left_out| {
                        tracing::info!(reason = explain(&e), left_out, "a caller gave up");
                    }),
                    Err(_) => mesh.quiet.note("handshake", |left_out| {
                        tracing::info!(left_out, "a caller did not finish its handshake");
                    }),
                }
            });
        }
    }

    /// Dispatches a caller by its certificate and its purpose.
    async fn welcome(self: Arc<Self>, connection: Connection) {
        let Some(fingerprint) = endpoint::peer_fingerprint(&connection) else {
            return endpoint::refuse(&connection, close::NOT_TRUSTED, "no certificate");
        };
        if endpoint::purpose(&connection) == Some(Purpose::Mesh) {
            return match self.settings().role_of(fingerprint) {
                Some(peer) if peer < self.role => self.hold(peer, connection, Side::Called).await,
                listed => self.turn_away(listed, fingerprint, &connection),
            };
        }
        let caller = Caller { connection: connection.clone(), fingerprint };
        if self.callers.try_send(caller).is_err() {
            endpoint::refuse(&connection, close::BUSY, "too many connections; try again later");
        }
    }

    /// Refuses a caller that may not join the mesh: an unlisted key, or a party that is called instead of calling.
    fn turn_away(&self, listed: Option<Role>, fingerprint: Fingerprint, connection: &Connection) {
        let (role, from) = (self.role, connection.remote_address());
        let reason = match listed.filter(|peer| *peer > role) {
            Some(peer) => {
                let how = format!("{role} lists the key {fingerprint} as {peer}, which does not call {role}");
                let reason = self.views.differs(role, peer, &how);
                self.down(peer, reason.clone());
                reason
            }
            None => {
                self.quiet.note("refused a peer", |left_out| {
                    tracing::warn!(%fingerprint, %from, left_out, "refused a peer whose key is not listed");
                });
                format!("{role} lists the key {fingerprint} for no party that calls it")
            }
        };
        endpoint::refuse(connection, close::NOT_TRUSTED, &reason);
    }

    /// Serves the connection to a peer until it is lost. A newer connection replaces an older one, which ends when no
    /// session needs it.
    async fn hold(self: Arc<Self>, peer: Role, connection: Connection, side: Side) {
        if let Err(reason) = self.views.compare(self.role, peer, &connection, side).await {
            self.down(peer, reason.clone());
            if side == Side::Called {
                // The caller closes once it has read this party's roles.
                drop(timeout(GREETING, connection.closed()).await);
            }
            return endpoint::refuse(&connection, close::PROTOCOL, &reason);
        }
        endpoint::widen(&connection);
        tracing::info!(%peer, address = %connection.remote_address(), "connected");
        self.came_up[peer.index()].fetch_add(1, Ordering::Relaxed);
        let before = self.lines[peer.index()].send_replace(Line::Up(connection.clone()));
        if let Line::Up(before) = before {
            self.handle.spawn(self.clone().drain(peer, before));
        }
        // The cluster may have changed since the peer's key was looked up.
        if endpoint::peer_fingerprint(&connection).and_then(|key| self.settings().role_of(key)) != Some(peer) {
            self.retire(peer, &connection, NOT_LISTED);
        }
        let reason = explain(&self.accept_streams(peer, &connection).await);
        self.routes.lost(peer, &connection, &reason);
        if self.lose(peer, &connection, &reason) {
            tracing::warn!(%peer, reason, "disconnected");
        }
    }

    /// Closes a retired connection once the sessions on it have ended.
    pub(super) async fn drain(self: Arc<Self>, peer: Role, connection: Connection) {
        tokio::select! {
            () = self.routes.unused(peer, &connection) => {}
            _ = connection.closed() => return,
        }
        // The last packets may need to be sent again.
        tokio::time::sleep(IDLE_TIMEOUT).await;
        endpoint::refuse(&connection, close::REPLACED, "another connection has replaced it");
    }

    async fn accept_streams(self: &Arc<Self>, peer: Role, connection: &Connection) -> ConnectionError {
        loop {
            tokio::select! {
                stream = connection.accept_uni() => match stream {
                    Ok(stream) => {
                        self.handle.spawn(route(self.clone(), peer, connection.stable_id(), stream));
                    }
                    Err(e) => return e,
                },
                stream = connection.accept_bi() => match stream {
                    Ok((mut send, mut recv)) if !self.carries(peer, connection) => {
                        drop((send.reset(close::NOT_TRUSTED), recv.stop(close::NOT_TRUSTED)));
                    }
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

    /// Whether new sessions with a peer use this connection.
    fn carries(&self, peer: Role, connection: &Connection) -> bool {
        matches!(&*self.lines[peer.index()].borrow(), Line::Up(up) if up.stable_id() == connection.stable_id())
    }

    /// Marks a peer as down if this was the connection to it; returns whether it was.
    pub(super) fn lose(&self, peer: Role, connection: &Connection, reason: &str) -> bool {
        self.lines[peer.index()].send_if_modified(|line| {
            let current = matches!(line, Line::Up(up) if up.stable_id() == connection.stable_id());
            if current {
                *line = Line::Down(reason.to_owned());
            }
            current
        })
    }

    /// Notes why a peer is still down, and logs the reason if it is a new one.
    fn down(&self, peer: Role, reason: String) {
        self.lines[peer.index()].send_if_modified(|line| {
            let Line::Down(before) = line else { return false };
            if *before == reason {
                return false;
            }
            self.quiet.note("cannot connect", |left_out| tracing::warn!(%peer, reason, left_out, "cannot connect"));
            *before = reason;
            true
        });
    }
}

/// Reads the header of a session stream and hands the stream to its session.
async fn route(mesh: Arc<Inner>, peer: Role, connection: usize, mut stream: RecvStream) {
    let mut header = [0; Header::LENGTH];
    if !matches!(timeout(GREETING, stream.read_exact(&mut header)).await, Ok(Ok(()))) {
        return;
    }
    let routes = &mesh.routes;
    match Header::decode(&header) {
        Some(Header::Branch(session, branch)) => {
            let key = (session, peer, branch);
            if routes.deliver(key, connection, stream) {
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
        Some(Header::CallAgain) => mesh.again[peer.index()].notify_one(),
        Some(Header::Roles(..)) | None => drop(stream.stop(close::PROTOCOL)),
    }
}
