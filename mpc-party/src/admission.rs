//! Admission: the three parties agree which sessions run, and in which order they start.
//!
//! The client asks each party itself. P0 proposes every request that it got to P1 and P2, which match it with the request
//! that they got; once both accept, it waits in P0's queue and P0 commits it when a place is free. Were the three
//! limits independent, P0 could run session A while P1 ran B, each waiting for the other for ever. A request that was not
//! sent to all three holds no place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::lines::Conditions;
use mpc_core::network::mesh::{Control, Mesh};
use mpc_core::wire::message::{Decision, Id, MAX_CONTROL, PeerRequest, Propose, Verdict, Versioned, session_id};
use mpc_core::wire::stream;
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// Why a request is not admitted, for the client.
pub(crate) type Refusal = String;

/// A session that all three parties agreed on.
pub(crate) struct Admitted {
    /// Its name.
    pub(crate) session: Id,
    /// Its place at P0, to be kept until it ends.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    /// What to plan it for.
    pub(crate) conditions: Conditions,
}

/// What ties the requests of one client to the three parties together: its key and its random number.
type Ticket = (Id, Id);

/// P0's proposal on its stream.
struct Proposal {
    propose: Propose,
    send: SendStream,
    recv: RecvStream,
}

/// Whoever came first, the client's request or P0's proposal.
enum Waiting {
    Request(oneshot::Sender<Proposal>),
    Proposal(Proposal),
}

/// One party's side of admission.
pub(crate) struct Admission {
    mesh: Mesh,
    /// Longest wait for a peer's answer.
    wait: Duration,
    /// Places for running sessions, handed out in order; only P0's count.
    places: Arc<Semaphore>,
    waiting: Mutex<HashMap<Ticket, Waiting>>,
}

impl Admission {
    /// With so many places.
    pub(crate) fn new(mesh: Mesh, places: usize, wait: Duration) -> Self {
        Self { mesh, wait, places: Arc::new(Semaphore::new(places)), waiting: Mutex::default() }
    }

    /// Waits until the request of this number, digest and client is admitted by all three parties. P0 plans for `conditions`.
    ///
    /// # Errors
    /// Which party refuses, and why.
    pub(crate) async fn admit(
        &self,
        request: Id,
        digest: Id,
        client: Id,
        conditions: Conditions,
    ) -> Result<Admitted, Refusal> {
        let propose = Propose { request, digest, client };
        match self.mesh.role() {
            Role::P0 => self.order(propose, conditions).await,
            _ => self.follow(propose).await,
        }
    }

    /// P0's side.
    async fn order(&self, propose: Propose, conditions: Conditions) -> Result<Admitted, Refusal> {
        let (p1, p2) = tokio::join!(self.propose(Role::P1, &propose), self.propose(Role::P2, &propose));
        let (mut p1, mut p2) = match (p1, p2) {
            (Ok(p1), Ok(p2)) => (p1, p2),
            (Err(reason), accepted) | (accepted, Err(reason)) => {
                if let Ok(mut accepted) = accepted {
                    // Where it is gone meanwhile, the first reason stays.
                    drop(accepted.decide(&Decision::Abort { reason: reason.clone() }).await);
                }
                return Err(reason);
            }
        };
        let place = self.places.clone().acquire_owned().await.map_err(|_| "P0 is stopping")?;
        let nonces = [fresh()?, p1.nonce, p2.nonce];
        let commit = Decision::Commit { nonces, conditions };
        tokio::try_join!(p1.decide(&commit), p2.decide(&commit))?;
        let session = session_id(&propose.digest, &propose.client, &nonces);
        Ok(Admitted { session, place: Some(place), conditions })
    }

    async fn propose(&self, peer: Role, propose: &Propose) -> Result<Accepted, Refusal> {
        let (mut send, mut recv) = self.mesh.control(peer).await.map_err(|e| e.to_string())?;
        say(peer, &mut send, &Versioned::new(PeerRequest::Propose(propose.clone()))).await?;
        // The peer itself waits for the client that long.
        match hear(peer, &mut recv, 2 * self.wait).await? {
            Verdict::Accept { nonce } => Ok(Accepted { peer, nonce, send }),
            Verdict::Refuse { reason } => Err(format!("{peer}: {reason}")),
        }
    }

    /// P1's and P2's side.
    async fn follow(&self, request: Propose) -> Result<Admitted, Refusal> {
        if !self.mesh.is_connected(Role::P0) {
            return Err("P0, which orders the sessions, is not connected; try again".into());
        }
        let Proposal { propose, mut send, mut recv } = self.await_proposal((request.client, request.request)).await?;
        if propose != request {
            let reason = "the client did not ask all parties the same";
            say(Role::P0, &mut send, &Verdict::Refuse { reason: reason.into() }).await?;
            return Err(reason.into());
        }
        let nonce = fresh()?;
        say(Role::P0, &mut send, &Verdict::Accept { nonce }).await?;
        // As long as the client waits: the request is in P0's queue.
        match stream::receive(&mut recv, MAX_CONTROL).await.map_err(|e| lost(Role::P0, &e))? {
            Decision::Abort { reason } => Err(reason),
            Decision::Commit { nonces, .. } if nonces[self.mesh.role().index()] != nonce => {
                Err("P0 committed a session with another random number than ours".into())
            }
            Decision::Commit { nonces, conditions } => {
                let session = session_id(&propose.digest, &propose.client, &nonces);
                Ok(Admitted { session, place: None, conditions })
            }
        }
    }

    async fn await_proposal(&self, ticket: Ticket) -> Result<Proposal, Refusal> {
        let arrives = {
            let mut waiting = self.lock();
            match waiting.remove(&ticket) {
                Some(Waiting::Proposal(proposal)) => return Ok(proposal),
                Some(Waiting::Request(first)) => {
                    waiting.insert(ticket, Waiting::Request(first));
                    return Err("a request of the same number is waiting already".into());
                }
                None => {
                    let (sender, arrives) = oneshot::channel();
                    waiting.insert(ticket, Waiting::Request(sender));
                    arrives
                }
            }
        };
        let _leaves = Leave { admission: self, ticket };
        match timeout(self.wait, arrives).await {
            Ok(Ok(proposal)) => Ok(proposal),
            _ => Err(format!("P0 did not propose this request within {:?}; did it get it?", self.wait)),
        }
    }

    /// What a peer wants that opened a control stream, if it is P0 and says so in time.
    pub(crate) async fn hear_peer(&self, control: Control) -> Option<(PeerRequest, SendStream, RecvStream)> {
        let Control { peer, mut send, mut recv } = control;
        match timeout(self.wait, stream::receive_first(&mut recv, MAX_CONTROL)).await {
            Ok(Ok(request)) if peer == Role::P0 => return Some((request, send, recv)),
            Ok(Ok(_)) => tracing::warn!(%peer, "asked for a session, which only P0 may"),
            Ok(Err(error)) => {
                tracing::warn!(%peer, "control stream: {error}");
                let refused = Verdict::Refuse { reason: error.to_string() };
                // The refusal is all there is to say.
                drop(say(peer, &mut send, &refused).await);
            }
            Err(_) => tracing::warn!(%peer, "opened a control stream and said nothing"),
        }
        None
    }

    /// Serves a proposal of P0.
    pub(crate) async fn serve_proposal(&self, propose: Propose, send: SendStream, recv: RecvStream) {
        let ticket = (propose.client, propose.request);
        let proposal = Proposal { propose, send, recv };
        let early = {
            let mut waiting = self.lock();
            let sent = match waiting.remove(&ticket) {
                Some(Waiting::Request(request)) => request.send(proposal),
                _ => Err(proposal),
            };
            sent.map_err(|proposal| waiting.insert(ticket, Waiting::Proposal(proposal))).is_err()
        };
        if early {
            tokio::time::sleep(self.wait).await;
            self.expire(ticket).await;
        }
    }

    /// Refuses a proposal whose client did not come.
    async fn expire(&self, ticket: Ticket) {
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
        if let Some(Waiting::Proposal(mut proposal)) = expired {
            let reason = format!("the client's request did not arrive here within {:?}", self.wait);
            // Where P0 is gone too, nobody is left to tell.
            drop(say(Role::P0, &mut proposal.send, &Verdict::Refuse { reason }).await);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Ticket, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a request that stopped waiting.
struct Leave<'a> {
    admission: &'a Admission,
    ticket: Ticket,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.admission.lock().remove(&self.ticket);
    }
}

/// A peer that accepted and waits for the decision.
struct Accepted {
    peer: Role,
    nonce: Id,
    send: SendStream,
}

impl Accepted {
    async fn decide(&mut self, decision: &Decision) -> Result<(), Refusal> {
        say(self.peer, &mut self.send, decision).await
    }
}

async fn say(peer: Role, send: &mut SendStream, message: &impl Serialize) -> Result<(), Refusal> {
    stream::send(send, message).await.map_err(|e| lost(peer, &e))
}

async fn hear<T: DeserializeOwned>(peer: Role, recv: &mut RecvStream, wait: Duration) -> Result<T, Refusal> {
    match timeout(wait, stream::receive(recv, MAX_CONTROL)).await {
        Ok(heard) => heard.map_err(|e| lost(peer, &e)),
        Err(_) => Err(format!("{peer} did not answer within {wait:?}")),
    }
}

fn lost(peer: Role, error: &std::io::Error) -> Refusal {
    format!("lost {peer} during admission: {error}")
}

fn fresh() -> Result<Id, Refusal> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|e| format!("operating system randomness: {e}"))?;
    Ok(nonce)
}
