//! Three parties in one process, joined by queues: for tests, examples and in-process benchmarks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Network;
use crate::error::{Error, Result};
use crate::role::Role;
use crate::session::Branch;

/// One party's ends of an in-memory mesh.
pub struct MemoryNetwork {
    role: Role,
    deadline: Duration,
    branch: Branch,
    session: Arc<Mutex<Exchange>>,
}

/// The state of all three parties. Whichever end comes first creates a queue.
#[derive(Default)]
struct Exchange {
    queues: HashMap<(Branch, Role, Role), Arc<Queue>>,
    /// Who ended the session early, and why.
    ended: Option<(Role, Error)>,
}

/// Messages of one branch from one party to another.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Vec<u8>>,
    /// One end is gone: the messages in the queue are the last.
    closed: bool,
}

/// A mesh of three parties, whose receivers give up after `deadline`.
pub fn mesh(deadline: Duration) -> [MemoryNetwork; 3] {
    let session = Arc::default();
    Role::ALL.map(|role| MemoryNetwork { role, deadline, branch: Branch::ROOT, session: Arc::clone(&session) })
}

impl MemoryNetwork {
    /// The queue of this branch between two parties, closed where the session has ended.
    fn queue(&self, from: Role, to: Role) -> Arc<Queue> {
        let mut session = self.session.lock();
        let ended = session.ended.is_some();
        let queue = session.queues.entry((self.branch, from, to)).or_default();
        if ended {
            queue.close();
        }
        queue.clone()
    }

    /// The error that this party reports for the ended session; it was waiting for `peer`.
    fn ended(&self, peer: Role, step: &'static str) -> Error {
        match &self.session.lock().ended {
            Some((by, reason)) if *by == self.role || matches!(reason, Error::Cheating { .. }) => reason.clone(),
            Some((by, _)) => {
                let reason = "it left the session because of an error".into();
                Error::Transport { peer: *by, step: "session", reason }
            }
            None => Error::Transport { peer, step, reason: "the other end is gone".into() },
        }
    }
}

impl Network for MemoryNetwork {
    fn role(&self) -> Role {
        self.role
    }

    fn send(&mut self, to: Role, message: &[u8]) -> Result<()> {
        let queue = self.queue(self.role, to);
        let mut state = queue.state.lock();
        if state.closed {
            drop(state);
            return Err(self.ended(to, "send"));
        }
        state.messages.push_back(message.to_vec());
        queue.changed.notify_one();
        Ok(())
    }

    fn recv(&mut self, from: Role, message: &mut [u8]) -> Result<()> {
        let queue = self.queue(from, self.role);
        let nothing = |state: &mut State| state.messages.is_empty() && !state.closed;
        let mut state = queue.state.lock();
        let waited = queue.changed.wait_while_for(&mut state, nothing, self.deadline);
        let got = state.messages.pop_front();
        drop(state);
        let got = match got {
            Some(got) => got,
            None if waited.timed_out() => {
                return Err(Error::Timeout { peer: from, step: "receive", waited: self.deadline });
            }
            None => return Err(self.ended(from, "receive")),
        };
        if got.len() != message.len() {
            let (expected, got) = (format!("{} bytes", message.len()), format!("{} bytes", got.len()));
            return Err(Error::Malformed { peer: from, expected, got });
        }
        message.copy_from_slice(&got);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn abort(&mut self, reason: &Error) {
        let mut session = self.session.lock();
        session.ended.get_or_insert_with(|| (self.role, reason.clone()));
        session.queues.values().for_each(|queue| queue.close());
    }

    fn branch(&mut self, branch: Branch) -> Result<Box<dyn Network>> {
        let session = self.session.clone();
        Ok(Box::new(Self { role: self.role, deadline: self.deadline, branch, session }))
    }
}

impl Drop for MemoryNetwork {
    fn drop(&mut self) {
        for peer in [self.role.next(), self.role.prev()] {
            self.queue(self.role, peer).close();
            self.queue(peer, self.role).close();
        }
    }
}

impl Queue {
    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Step;

    #[test]
    fn an_abort_ends_every_wait_in_every_branch() {
        let cheating = Error::Cheating { step: Step::Products };
        let [mut p0, mut p1, mut p2] = mesh(Duration::from_secs(60));
        let mut branch = p0.branch(Branch::ROOT.child(0)).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| p1.recv(Role::P2, &mut [0]));
            branch.abort(&cheating);
            assert_eq!(waiting.join().unwrap(), Err(cheating.clone()));
        });
        // Waits that begin later learn of it too, and the first reason stays.
        p2.abort(&Error::Aborted("another".into()));
        assert_eq!(p2.branch(Branch::ROOT.child(1)).unwrap().recv(Role::P1, &mut [0]), Err(cheating));
    }

    #[test]
    fn other_errors_name_the_party_that_left() {
        let [mut p0, mut p1, p2] = mesh(Duration::from_secs(60));
        p0.send(Role::P1, &[7]).unwrap();
        p0.abort(&Error::invalid("weights", "damaged"));
        drop(p2);
        assert_eq!(p1.recv(Role::P0, &mut [0]), Ok(()), "what was sent before arrives");
        let Err(Error::Transport { peer: Role::P0, .. }) = p1.recv(Role::P2, &mut [0]) else { panic!("P0 has left") };
    }
}
