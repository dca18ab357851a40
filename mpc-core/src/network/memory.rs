//! Three parties in one process, joined by channels: for tests, examples and in-process benchmarks.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Branch, Network};
use crate::error::{Error, Result};
use crate::role::Role;

type Message = Vec<u8>;
type Ends = (Option<Sender<Message>>, Option<Receiver<Message>>);

/// Channels by (branch, from, to), created by whichever end comes first.
type Switchboard = Arc<Mutex<HashMap<(Branch, Role, Role), Ends>>>;

/// One party's ends of an in-memory mesh.
pub struct MemoryNetwork {
    role: Role,
    deadline: Duration,
    switchboard: Switchboard,
    senders: [Option<Sender<Message>>; 3],
    receivers: [Option<Receiver<Message>>; 3],
}

/// A mesh of three, whose receivers give up after `deadline`.
pub fn mesh(deadline: Duration) -> [MemoryNetwork; 3] {
    let switchboard = Switchboard::default();
    Role::ALL.map(|role| MemoryNetwork::join(role, deadline, switchboard.clone(), Branch::ROOT))
}

impl MemoryNetwork {
    fn join(role: Role, deadline: Duration, switchboard: Switchboard, branch: Branch) -> Self {
        let mut network = Self {
            role,
            deadline,
            switchboard: switchboard.clone(),
            senders: [None, None, None],
            receivers: [None, None, None],
        };
        let mut ends = switchboard.lock().expect("no panic while locked");
        let mut channel_of = |from, to| -> Ends {
            let (sender, receiver) = channel();
            let (s, r) = ends.remove(&(branch, from, to)).unwrap_or((Some(sender), Some(receiver)));
            if from == role {
                ends.insert((branch, from, to), (None, r));
                (s, None)
            } else {
                ends.insert((branch, from, to), (s, None));
                (None, r)
            }
        };
        for peer in [role.next(), role.prev()] {
            network.senders[peer.index()] = channel_of(role, peer).0;
            network.receivers[peer.index()] = channel_of(peer, role).1;
        }
        ends.retain(|_, (sender, receiver)| sender.is_some() || receiver.is_some());
        drop(ends);
        network
    }
}

impl Network for MemoryNetwork {
    fn role(&self) -> Role {
        self.role
    }

    fn send(&mut self, to: Role, message: &[u8]) -> Result<()> {
        let sender = self.senders[to.index()].as_ref().expect("never to oneself");
        let lost = || Error::Transport { peer: to, step: "send", reason: "the other end is gone".into() };
        sender.send(message.to_vec()).map_err(|_| lost())
    }

    fn recv(&mut self, from: Role, message: &mut [u8]) -> Result<()> {
        let receiver = self.receivers[from.index()].as_ref().expect("never from oneself");
        let got = receiver.recv_timeout(self.deadline).map_err(|e| match e {
            RecvTimeoutError::Timeout => Error::Timeout { peer: from, step: "receive", waited: self.deadline },
            RecvTimeoutError::Disconnected => {
                Error::Transport { peer: from, step: "receive", reason: "the other end is gone".into() }
            }
        })?;
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

    fn branch(&mut self, branch: Branch) -> Result<Box<dyn Network>> {
        Ok(Box::new(Self::join(self.role, self.deadline, self.switchboard.clone(), branch)))
    }
}
