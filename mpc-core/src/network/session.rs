//! What the branches of one session share, and how a peer's streams find the session that waits for them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use quinn::{Connection, RecvStream};
use tokio::sync::oneshot;

use super::{Branch, endpoint::close};
use crate::error::{Error, Result};
use crate::role::Role;
use crate::wire::message::Id;

/// Most streams of one peer that wait for a session to claim them.
const MAX_EARLY: usize = 4096;

/// How long they wait: a party may enter a session later than its peers, by the time it takes to start a thread.
pub(super) const EARLY_FOR: Duration = Duration::from_secs(10);

/// A session at this party: its connections and how it ended.
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
    /// The connection to a peer that the session started with; a later one is not the same session.
    pub(super) fn connection(&self, peer: Role) -> &Connection {
        self.connections[peer.index()].as_ref().expect("a session has both peers and never talks to itself")
    }

    /// Ends the session for every branch. The first reason stays.
    pub(super) fn end(&self, reason: Error) {
        if self.ended.set(reason).is_ok() {
            lock(&self.waiting).values().for_each(Waker::wake_by_ref);
        }
    }

    /// Why the session has ended, if it has.
    pub(super) fn ended(&self) -> Option<&Error> {
        self.ended.get()
    }

    /// From now on the end of the session wakes this branch through `waker`.
    pub(super) fn watch(&self, branch: Branch, waker: &Waker) {
        match lock(&self.waiting).entry(branch) {
            Entry::Occupied(mut known) => known.get_mut().clone_from(waker),
            Entry::Vacant(new) => drop(new.insert(waker.clone())),
        }
    }

    /// Asks for the stream of a branch from a peer, which may be there already.
    pub(super) fn claim(&self, peer: Role, branch: Branch) -> Result<oneshot::Receiver<RecvStream>> {
        self.routes.claim((self.id, peer, branch))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.routes.forget(&self.id);
    }
}

type Key = (Id, Role, Branch);

/// The streams between peers and sessions of one mesh.
#[derive(Default)]
pub(super) struct Routes {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<Id, Weak<Session>>,
    streams: HashMap<Key, Slot>,
    early: [usize; 3],
}

enum Slot {
    /// A session waits for the stream.
    Awaited(oneshot::Sender<RecvStream>),
    /// The stream waits for a session.
    Early(RecvStream),
    /// They have met.
    Met,
}

impl Routes {
    /// Enters a session over the given connections.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it runs already: its keys would be used twice.
    pub(super) fn enter(
        self: &Arc<Self>,
        id: Id,
        role: Role,
        deadline: Duration,
        connections: [Option<Connection>; 3],
    ) -> Result<Arc<Session>> {
        let mut table = lock(&self.table);
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
        Ok(session)
    }

    fn claim(&self, key: Key) -> Result<oneshot::Receiver<RecvStream>> {
        let (sender, receiver) = oneshot::channel();
        let mut table = lock(&self.table);
        match table.streams.remove(&key) {
            None => drop(table.streams.insert(key, Slot::Awaited(sender))),
            Some(Slot::Early(stream)) => {
                table.early[key.1.index()] -= 1;
                table.streams.insert(key, Slot::Met);
                // The receiver is in our hands.
                drop(sender.send(stream));
            }
            Some(_) => return Err(Error::invalid("session", format!("branch {} is open already", key.2.0))),
        }
        Ok(receiver)
    }

    /// Hands over a stream that a peer opened. Whether it has to wait: then [`Routes::expire`] it after [`EARLY_FOR`].
    pub(super) fn deliver(&self, key: Key, mut stream: RecvStream) -> bool {
        let mut table = lock(&self.table);
        let early = table.early[key.1.index()];
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
                table.early[key.1.index()] += 1;
                table.streams.insert(key, Slot::Early(stream));
                return true;
            }
        }
        false
    }

    /// Stops a stream that no session has claimed.
    pub(super) fn expire(&self, key: Key) {
        let mut table = lock(&self.table);
        if matches!(table.streams.get(&key), Some(Slot::Early(_))) {
            table.early[key.1.index()] -= 1;
            table.streams.remove(&key);
        }
    }

    /// Ends every session that ran over this connection to a peer.
    pub(super) fn lost(&self, peer: Role, connection: &Connection, reason: &str) {
        let sessions: Vec<_> = lock(&self.table).sessions.values().filter_map(Weak::upgrade).collect();
        for session in sessions {
            if session.connection(peer).stable_id() == connection.stable_id() {
                session.end(Error::Transport { peer, step: "session", reason: reason.to_owned() });
            }
        }
    }

    fn forget(&self, id: &Id) {
        let mut table = lock(&self.table);
        let table = &mut *table;
        table.sessions.remove(id);
        table.streams.retain(|(session, peer, _), slot| {
            let keep = session != id;
            table.early[peer.index()] -= usize::from(!keep && matches!(slot, Slot::Early(_)));
            keep
        });
    }
}

/// Every value behind these locks is whole at any time, so a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
