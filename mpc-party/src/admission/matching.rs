//! Matches the request that a client sent to P1 or P2 with P0's proposal of it, whichever comes first.

use std::collections::HashMap;
use std::time::Duration;

use mpc_core::Role;
use mpc_core::session::Id;
use mpc_core::wire::message::{Code, Refusal};
use mpc_core::wire::peer::{Propose, Verdict};
use parking_lot::{Mutex, MutexGuard};
use quinn::{RecvStream, SendStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::say;

/// Ties together the requests of one client to the three parties: the client's key and its random number.
pub(crate) type Ticket = (Id, Id);

/// P0's proposal on its stream.
pub(super) struct Proposal {
    pub(super) propose: Propose,
    /// P0's commitment to its random number.
    pub(super) commitment: Id,
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
}

impl Proposal {
    pub(super) async fn refuse(mut self, refusal: Refusal) {
        // If P0 is gone too, nobody remains to be told.
        drop(say(Role::P0, &mut self.send, &Verdict::Refuse(refusal)).await);
    }
}

/// The half of a match that came first.
enum Waiting {
    Request(oneshot::Sender<Proposal>),
    Proposal(Proposal),
    /// The request was refused here.
    Refused(Refusal),
}

/// Requests without a proposal, and proposals without a request.
pub(super) struct Matching {
    /// Longest wait for the other half.
    wait: Duration,
    waiting: Mutex<HashMap<Ticket, Waiting>>,
}

impl Matching {
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, waiting: Mutex::default() }
    }

    /// P0's proposal of a request that has arrived.
    ///
    /// # Errors
    /// The proposal does not come, or the request is here already.
    pub(super) async fn await_proposal(&self, ticket: Ticket) -> Result<Proposal, Refusal> {
        let arrives = {
            let mut waiting = self.lock();
            match waiting.remove(&ticket) {
                Some(Waiting::Proposal(proposal)) => return Ok(proposal),
                Some(Waiting::Request(first)) => {
                    waiting.insert(ticket, Waiting::Request(first));
                    return Err(Code::Replayed.because("a request of the same number is waiting already"));
                }
                Some(Waiting::Refused(refusal)) => return Err(refusal),
                None => {
                    let (sender, arrives) = oneshot::channel();
                    waiting.insert(ticket, Waiting::Request(sender));
                    arrives
                }
            }
        };
        let _leaves = Leave { matching: self, ticket };
        match timeout(self.wait, arrives).await {
            Ok(Ok(proposal)) => Ok(proposal),
            _ => {
                let reason = format!("P0 did not propose this request within {:?}; did P0 receive it?", self.wait);
                Err(Code::Unavailable.because(reason))
            }
        }
    }

    /// Brings a proposal to the client's request. Returns whether the proposal has to wait.
    ///
    /// # Errors
    /// The proposal, and why its request was refused.
    pub(super) fn meet(&self, ticket: Ticket, proposal: Proposal) -> Result<bool, Box<(Proposal, Refusal)>> {
        let mut waiting = self.lock();
        let sent = match waiting.remove(&ticket) {
            Some(Waiting::Request(request)) => request.send(proposal),
            Some(Waiting::Refused(refusal)) => return Err(Box::new((proposal, refusal))),
            _ => Err(proposal),
        };
        Ok(sent.map_err(|proposal| waiting.insert(ticket, Waiting::Proposal(proposal))).is_err())
    }

    /// Refuses a proposal whose request did not come.
    pub(super) async fn expire(&self, ticket: Ticket, refusal: Refusal) {
        let expired = {
            let mut waiting = self.lock();
            match waiting.remove(&ticket) {
                Some(request @ Waiting::Request(_)) => {
                    waiting.insert(ticket, request);
                    None
                }
                other => other,
            }
        };
        if let Some(Waiting::Proposal(proposal)) = expired {
            proposal.refuse(refusal).await;
        }
    }

    /// Refuses the proposal of a request that was refused here, now or when it comes.
    pub(super) async fn refuse(&self, ticket: Ticket, refusal: Refusal) {
        let proposal = {
            let mut waiting = self.lock();
            match waiting.remove(&ticket) {
                Some(Waiting::Proposal(proposal)) => Some(proposal),
                Some(request @ Waiting::Request(_)) => {
                    waiting.insert(ticket, request);
                    return;
                }
                _ => {
                    waiting.insert(ticket, Waiting::Refused(refusal.clone()));
                    None
                }
            }
        };
        if let Some(proposal) = proposal {
            return proposal.refuse(refusal).await;
        }
        tokio::time::sleep(self.wait).await;
        let mut waiting = self.lock();
        if matches!(waiting.get(&ticket), Some(Waiting::Refused(_))) {
            waiting.remove(&ticket);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, Waiting>> {
        self.waiting.lock()
    }
}

/// Removes a request that stopped waiting.
struct Leave<'a> {
    matching: &'a Matching,
    ticket: Ticket,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.matching.lock().remove(&self.ticket);
    }
}
