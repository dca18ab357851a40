//! The state that the branches of one session share, and the routing of a peer's streams to it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use quinn::{Connection, RecvStream, VarInt};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::endpoint::close;
use crate::error::{Error, Result, Step};
use crate::role::Role;
use crate::session::{Branch, Id};

/// Maximum number of streams of one peer that wait for a session to claim them.
const MAX_EARLY: usize = 4096;

/// How long such streams wait: a party may enter a session later than its peers, by the time to start a thread.
pub(super) const EARLY_FOR: Duration = Duration::from_secs(10);

/// First bytes of a unidirectional stream between peers: its kind (one byte), the session (32), and the branch or the
/// code with which the sender leaves (`u64`, little endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// Messages of a branch follow.
    Branch(Id, Branch),
    /// The sender has left the session, see [`leaving`]. Sent on a stream of its own, because the reset of a stream can
    /// overtake its header.
    Left(Id, VarInt),
    /// The sender wants another connection: its own identity, or what it knows about the receiver, has changed. Belongs
    /// to no session.
    CallAgain,
    /// The roles of the sender and the receiver, by the order in the sender's cluster file. The first header on a
    /// connection.
    Roles(Role, Role),
}

impl Header {
    pub(super) const LENGTH: usize = 1 + 32 + 8;

    pub(super) fn encode(self) -> [u8; Self::LENGTH] {
        let (kind, id, value) = match self {
            Self::Branch(id, branch) => (0, id, branch.0),
            Self::Left(id, code) => (1, id, code.into_inner()),
            Self::CallAgain => (2, Id::default(), 0),
            Self::Roles(own, other) => (3, Id::default(), (own.index() + 3 * other.index()) as u64),
        };
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = kind;
        bytes[1..33].copy_from_slice(&id);
        bytes[33..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let (mut id, mut value) = ([0; 32], [0; 8]);
        id.copy_from_slice(&bytes[1..33]);
        value.copy_from_slice(&bytes[33..]);
        let value = u64::from_le_bytes(value);
        match bytes[0] {
            0 => Some(Self::Branch(id, Branch(value))),
            1 => Some(Self::Left(id, VarInt::from_u64(value).ok()?)),
            2 => Some(Self::CallAgain),
            3 if value < 9 => {
                Some(Self::Roles(Role::from_index(value as usize % 3), Role::from_index(value as usize / 3)))
            }
            _ => None,
        }
    }
}

/// Codes with which a party leaves a session early.
pub(super) mod leaving {
    use super::{Error, Role, Step, VarInt};

    const FAILED: VarInt = VarInt::from_u32(16);
    const ABORTED: VarInt = VarInt::from_u32(17);

    /// A check of active security failed; the step is added.
    const CHEATING: u32 = 64;

    fn lost(peer: Role) -> VarInt {
        VarInt::from_u32(32 + peer.index() as u32)
    }

    pub(in super::super) fn code(reason: &Error) -> VarInt {
        match reason {
            Error::Aborted(_) => ABORTED,
            Error::Transport { peer, .. } | Error::Timeout { peer, .. } => lost(*peer),
            Error::Cheating { step } => VarInt::from_u32(CHEATING + *step as u32),
            _ => FAILED,
        }
    }

    /// The failed check that this code reports.
    pub(in super::super) fn cheating(code: VarInt) -> Option<Step> {
        let position = code.into_inner().checked_sub(CHEATING.into())?;
        Step::ALL.get(usize::try_from(position).ok()?).copied()
    }

    /// The error that `role` reports where `peer` left with this code.
    pub(in super::super) fn reason(role: Role, peer: Role, code: VarInt) -> Error {
        if let Some(step) = cheating(code) {
            return Error::Cheating { step };
        }
        let culprit = Role::ALL.into_iter().find(|culprit| code == lost(*culprit));
        let (peer, reason) = match (culprit, code) {
            (Some(culprit), _) if culprit == role => (peer, "it has lost this party".into()),
            (Some(culprit), _) => (culprit, format!("{peer} has lost it")),
            (_, ABORTED) => (peer, "it was told to end the session".into()),
            (_, FAILED) => (peer, "it left the session because of an error".into()),
            _ => (peer, "it left the session".into()),
        };
        Error::Transport { peer, step: "session", reason }
    }
}

/// A session at this party: its connections, and how it ended.
pub(super) struct Session {
    pub(super) id: Id,
    pub(super) role: Role,
    pub(super) deadline: Duration,
    connections: [Option<Connection>; 3],
    routes: Arc<Routes>,
    ended: OnceLock<Error>,
    waiting: Mutex<HashMap<Branch, Waker>>,
}

impl Session {
    /// The connection to a peer that the session started with; a later connection never carries the session.
    pub(super) fn connection(&self, peer: Role) -> &Connection {
        self.connections[peer.index()].as_ref().expect("a session has both peers and never talks to itself")
    }

    /// Ends the session for every branch, and tells the peers. The first reason stays.
    pub(super) fn end(&self, reason: Error) {
        let notice = Header::Left(self.id, leaving::code(&reason)).encode();
        if self.ended.set(reason).is_err() {
            return;
        }
        self.waiting.lock().values().for_each(Waker::wake_by_ref);
        for connection in self.connections.clone().into_iter().flatten() {
            self.routes.handle.spawn(async move {
                if let Ok(mut stream) = connection.open_uni().await {
                    // A peer that is gone needs no notice.
                    drop(stream.write_all(&notice).await);
                }
            });
        }
    }

    fn left_by(&self, peer: Role, code: VarInt) {
        self.end(leaving::reason(self.role, peer, code));
    }

    /// Why the session has ended, if it has.
    pub(super) fn ended(&self) -> Option<&Error> {
        self.ended.get()
    }

    /// Has the end of the session wake this branch through `waker`.
    pub(super) fn watch(&self, branch: Branch, waker: &Waker) {
        match self.waiting.lock().entry(branch) {
            Entry::Occupied(mut known) => known.get_mut().clone_from(waker),
            Entry::Vacant(new) => drop(new.insert(waker.clone())),
        }
    }

    /// Claims the stream of a branch from a peer, whether it has arrived or not.
    pub(super) fn claim(&self, peer: Role, branch: Branch) -> Result<oneshot::Receiver<RecvStream>> {
        self.routes.claim((self.id, peer, branch), self.connection(peer).stable_id())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.routes.forget(&self.id);
    }
}

/// Both ends of a session must use the same connection, because the session's keys come from it.
fn replaced(peer: Role) -> Error {
    let reason = "its connection was replaced while the session started; ask again".into();
    Error::Transport { peer, step: "session", reason }
}

type Key = (Id, Role, Branch);

/// Matches the streams of peers with the sessions of one mesh.
pub(super) struct Routes {
    handle: Handle,
    table: Mutex<Table>,
    /// Signals that a session has ended.
    ended: Notify,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<Id, Weak<Session>>,
    streams: HashMap<Key, Slot>,
    /// Peers that left a session which this party has not entered yet.
    left: HashMap<(Id, Role), VarInt>,
    /// Streams and notices that wait for a session, by peer.
    early: [usize; 3],
}

enum Slot {
    /// A session waits for the stream.
    Awaited(oneshot::Sender<RecvStream>),
    /// The stream, which came over the connection of this stable id, waits for a session.
    Early(usize, RecvStream),
    /// Session and stream have met.
    Met,
}

impl Routes {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, table: Mutex::default(), ended: Notify::new() }
    }

    /// Enters a session over the given connections.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the session runs already: its keys would be used twice.
    pub(super) fn enter(
        self: &Arc<Self>,
        id: Id,
        role: Role,
        deadline: Duration,
        connections: [Option<Connection>; 3],
    ) -> Result<Arc<Session>> {
        let mut table = self.table.lock();
        let Entry::Vacant(free) = table.sessions.entry(id) else {
            return Err(Error::invalid("session", "a session of this name runs already; start a new one"));
        };
        let session = Arc::new(Session {
            id,
            role,
            deadline,
            connections,
            routes: self.clone(),
            ended: OnceLock::new(),
            waiting: Mutex::default(),
        });
        free.insert(Arc::downgrade(&session));
        let left = [role.next(), role.prev()].map(|peer| table.left.get(&(id, peer)).map(|code| (peer, *code)));
        drop(table);
        for (peer, code) in left.into_iter().flatten() {
            session.left_by(peer, code);
        }
        Ok(session)
    }

    fn claim(&self, key: Key, connection: usize) -> Result<oneshot::Receiver<RecvStream>> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.table.lock();
        match table.streams.remove(&key) {
            None => drop(table.streams.insert(key, Slot::Awaited(sender))),
            Some(Slot::Early(from, stream)) => {
                table.early[key.1.index()] -= 1;
                if from != connection {
                    return Err(replaced(key.1));
                }
                table.streams.insert(key, Slot::Met);
                // This function returns the receiver, so sending cannot fail.
                drop(sender.send(stream));
            }
            Some(_) => return Err(Error::invalid("session", format!("branch {} is open already", key.2.0))),
        }
        Ok(receiver)
    }

    /// Hands over a stream that a peer opened on a connection. Returns whether the stream has to wait: if so,
    /// [`Routes::expire`] it after [`EARLY_FOR`].
    pub(super) fn deliver(&self, key: Key, connection: usize, mut stream: RecvStream) -> bool {
        let (id, peer, _) = key;
        let session = self.table.lock().sessions.get(&id).and_then(Weak::upgrade);
        if let Some(session) = session
            && session.connection(peer).stable_id() != connection
        {
            drop(stream.stop(close::REPLACED));
            session.end(replaced(peer));
            return false;
        }
        let mut table = self.table.lock();
        let early = table.early[peer.index()];
        match table.streams.remove(&key) {
            Some(Slot::Awaited(session)) => {
                table.streams.insert(key, Slot::Met);
                if let Err(mut orphan) = session.send(stream) {
                    drop(orphan.stop(close::DONE));
                }
            }
            Some(slot) => {
                table.streams.insert(key, slot);
                drop(stream.stop(close::PROTOCOL));
            }
            None if early >= MAX_EARLY => drop(stream.stop(close::BUSY)),
            None => {
                table.early[peer.index()] += 1;
                table.streams.insert(key, Slot::Early(connection, stream));
                return true;
            }
        }
        false
    }

    /// Notes that a peer has left a session. Returns whether the notice has to wait for this party to enter: if so,
    /// [`Routes::expire_left`] it after [`EARLY_FOR`].
    pub(super) fn left(&self, id: Id, peer: Role, code: VarInt) -> bool {
        let mut table = self.table.lock();
        if let Some(session) = table.sessions.get(&id).and_then(Weak::upgrade) {
            drop(table);
            session.left_by(peer, code);
            return false;
        }
        let waits = table.early[peer.index()] < MAX_EARLY && table.left.insert((id, peer), code).is_none();
        table.early[peer.index()] += usize::from(waits);
        waits
    }

    /// Forgets that a peer left a session that this party never entered.
    pub(super) fn expire_left(&self, id: Id, peer: Role) {
        let mut table = self.table.lock();
        let known = table.left.remove(&(id, peer)).is_some();
        table.early[peer.index()] -= usize::from(known);
    }

    /// Stops a stream that no session has claimed.
    pub(super) fn expire(&self, key: Key) {
        let mut table = self.table.lock();
        if matches!(table.streams.get(&key), Some(Slot::Early(..))) {
            table.early[key.1.index()] -= 1;
            table.streams.remove(&key);
        }
    }

    /// Ends every session because this party closes; no peer is to blame.
    pub(super) fn close(&self, reason: &str) {
        for session in self.sessions() {
            session.end(Error::Aborted(reason.to_owned()));
        }
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        self.table.lock().sessions.values().filter_map(Weak::upgrade).collect()
    }

    /// Ends every session that ran over this connection to a peer.
    pub(super) fn lost(&self, peer: Role, connection: &Connection, reason: &str) {
        for session in self.sessions() {
            if session.connection(peer).stable_id() == connection.stable_id() {
                session.end(Error::Transport { peer, step: "session", reason: reason.to_owned() });
            }
        }
    }

    /// Waits until no session runs over this connection to a peer.
    pub(super) async fn unused(&self, peer: Role, connection: &Connection) {
        let uses = |session: &Arc<Session>| session.connection(peer).stable_id() == connection.stable_id();
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if !self.sessions().iter().any(uses) {
                return;
            }
            ended.await;
        }
    }

    fn forget(&self, id: &Id) {
        let mut table = self.table.lock();
        let table = &mut *table;
        table.sessions.remove(id);
        table.streams.retain(|(session, peer, _), slot| {
            let keep = session != id;
            table.early[peer.index()] -= usize::from(!keep && matches!(slot, Slot::Early(..)));
            keep
        });
        self.ended.notify_waiters();
    }
}
