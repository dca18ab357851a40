//! Admission: the three parties agree which sessions run, and in which order they start.
//!
//! The client asks each party itself. P0 proposes every request that it got to P1 and P2, which match it with the request
//! that they got; once both accept, it waits in P0's queue and P0 commits it when a place is free. Were the three
//! limits independent, P0 could run session A while P1 ran B, each waiting for the other for ever. A request that was not
//! sent to all three holds no place.
//!
//! Memory follows the same order: P0 waits until what a session may need is free, then commits. P1 and P2 may allow less than
//! P0, or be a moment behind it; they wait for their own memory when the commit arrives, but never longer than half of
//! what a peer would wait for them, so that two sessions that hold what the other needs end instead of waiting for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mpc_core::network::Network;
use mpc_core::network::mesh::{Control, Mesh};
use mpc_core::network::stream;
use mpc_core::session::{Conditions, Id};
use mpc_core::wire::codec::MAX_ENCODED;
use mpc_core::wire::message::{Code, MAX_CONTROL, Refusal, Versioned};
use mpc_core::wire::peer::{Decision, PeerRequest, Propose, Verdict, nonce_commitment, session_id};
use mpc_core::{Error, Role, random};
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::config::Limits;
use crate::request::unreadable;
use crate::session::Counted;
use crate::telemetry::metrics::Limit;

/// Why a request is not admitted.
pub(crate) struct NotAdmitted {
    /// For the client.
    pub(crate) refusal: Refusal,
    /// The limit of this party that keeps it out.
    pub(crate) limit: Option<Limit>,
}

impl From<Refusal> for NotAdmitted {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, limit: None }
    }
}

/// A session that all three parties agreed on.
pub(crate) struct Admitted {
    /// Its name.
    pub(crate) session: Id,
    /// Its place at P0, to be kept until it ends.
    _place: Option<OwnedSemaphorePermit>,
    /// What it may need of this party's memory, to be kept until it ends.
    _memory: Option<OwnedSemaphorePermit>,
    /// What to plan it for.
    pub(crate) conditions: Conditions,
}

/// What ties the requests of one client to the three parties together: its key and its random number.
pub(crate) type Ticket = (Id, Id);

/// P0's proposal on its stream.
struct Proposal {
    propose: Propose,
    /// To its random number.
    commitment: Id,
    send: SendStream,
    recv: RecvStream,
}

/// Whoever came first, the client's request or P0's proposal.
enum Waiting {
    Request(oneshot::Sender<Proposal>),
    Proposal(Proposal),
    /// The request was refused here.
    Refused(Refusal),
}

/// One party's side of admission.
pub(crate) struct Admission {
    mesh: Mesh,
    /// Longest wait for a peer's answer.
    wait: Duration,
    /// Places for running sessions, handed out in order; only P0's count.
    places: Arc<Semaphore>,
    /// MiB for running sessions.
    memory: Arc<Semaphore>,
    memory_mib: u64,
    /// Requests that are being admitted.
    queued: AtomicU32,
    stopping: AtomicBool,
    waiting: Mutex<HashMap<Ticket, Waiting>>,
}

impl Admission {
    /// With the places and the memory that the limits say.
    pub(crate) fn new(mesh: Mesh, limits: &Limits) -> Self {
        Self {
            mesh,
            wait: limits.wait(),
            places: Arc::new(Semaphore::new(limits.sessions)),
            memory: Arc::new(Semaphore::new(limits.memory_mib as usize)),
            memory_mib: limits.memory_mib,
            queued: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// Lets nobody in any more: what waits in P0's queue is refused, and so are proposals for requests that are not here.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.places.close();
    }

    /// Whether nobody is let in any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Number of requests that wait to be admitted.
    pub(crate) fn waiting(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }

    /// What running sessions may need, in MiB.
    pub(crate) fn reserved_mib(&self) -> u64 {
        self.memory_mib - self.memory.available_permits() as u64
    }

    /// Waits until all three parties have the same request of the same client and admit it. P0 plans for `conditions`. A session
    /// that is to run for long says how many MiB it may need; it gets one of P0's places and the memory.
    ///
    /// # Errors
    /// Which party refuses, and why.
    pub(crate) async fn admit(
        &self,
        propose: Propose,
        conditions: Conditions,
        mib: Option<u32>,
    ) -> Result<Admitted, NotAdmitted> {
        let _queued = Counted::new(&self.queued);
        match self.mesh.role() {
            Role::P0 => self.order(propose, conditions, mib).await,
            _ => self.follow(propose, mib).await,
        }
    }

    /// P0's side.
    async fn order(&self, propose: Propose, conditions: Conditions, mib: Option<u32>) -> Result<Admitted, NotAdmitted> {
        let nonce = fresh()?;
        let commitment = nonce_commitment(&propose.digest, &nonce);
        let ask = |peer| self.propose(peer, &propose, commitment);
        let (p1, p2) = tokio::join!(ask(Role::P1), ask(Role::P2));
        let (mut p1, mut p2) = match (p1, p2) {
            (Ok(p1), Ok(p2)) => (p1, p2),
            (Err(refusal), accepted) | (accepted, Err(refusal)) => {
                if let Ok(mut accepted) = accepted {
                    accepted.call_off(&refusal).await;
                }
                return Err(refusal.into());
            }
        };
        let (mut place, mut memory) = (None, None);
        if let Some(mib) = mib {
            let Ok(free) = self.places.clone().acquire_owned().await else {
                let refusal = stopping(Role::P0);
                tokio::join!(p1.call_off(&refusal), p2.call_off(&refusal));
                return Err(NotAdmitted { refusal, limit: Some(Limit::Stopping) });
            };
            place = Some(free);
            // It is never closed.
            memory = self.memory.clone().acquire_many_owned(mib).await.ok();
        }
        let nonces = [nonce, p1.nonce, p2.nonce];
        let commit = Decision::Commit { nonces, conditions };
        // Where one is lost, the other one hears of the session all the same, and then from the lines that the first is gone.
        let (told, too) = tokio::join!(p1.decide(&commit), p2.decide(&commit));
        told.and(too)?;
        let session = session_id(&propose.digest, &propose.client, &nonces);
        Ok(Admitted { session, _place: place, _memory: memory, conditions })
    }

    async fn propose(&self, peer: Role, propose: &Propose, commitment: Id) -> Result<Accepted, Refusal> {
        let opened = self.mesh.control(peer).await;
        let (mut send, mut recv) = opened.map_err(|e| Code::Unavailable.because(e.to_string()))?;
        let request = PeerRequest::Propose { propose: propose.clone(), commitment };
        say(peer, &mut send, &Versioned::new(request)).await?;
        // The peer itself waits for the client that long.
        match hear(peer, &mut recv, 2 * self.wait).await? {
            Verdict::Accept { nonce } => Ok(Accepted { peer, nonce, send }),
            Verdict::Refuse(Refusal { code, reason }) => Err(code.because(format!("{peer}: {reason}"))),
        }
    }

    /// P1's and P2's side.
    async fn follow(&self, request: Propose, mib: Option<u32>) -> Result<Admitted, NotAdmitted> {
        if !self.mesh.is_connected(Role::P0) {
            let reason = "P0, which orders the sessions, is not connected; try again";
            return Err(Code::Unavailable.because(reason).into());
        }
        let ticket = (request.client, request.request);
        let Proposal { propose, commitment, mut send, mut recv } = self.await_proposal(ticket).await?;
        if propose != request {
            let refusal = Code::Disagreement.because(if propose.tenant == request.tenant {
                "the client did not ask all parties the same".into()
            } else {
                let (theirs, ours) = (&propose.tenant, &request.tenant);
                format!(
                    "P0 lists this client under the tenant {theirs:?}, this party under {ours:?}: [[clients]] differ"
                )
            });
            say(Role::P0, &mut send, &Verdict::Refuse(refusal.clone())).await?;
            return Err(refusal.into());
        }
        let nonce = fresh()?;
        say(Role::P0, &mut send, &Verdict::Accept { nonce }).await?;
        // As long as the client waits: the request is in P0's queue.
        match stream::receive(&mut recv, MAX_CONTROL).await.map_err(|e| lost(Role::P0, &e))? {
            Decision::Abort(refusal) => Err(refusal.into()),
            Decision::Commit { nonces, .. } if nonces[self.mesh.role().index()] != nonce => {
                let reason = "P0 committed a session with another random number than ours";
                Err(Code::Disagreement.because(reason).into())
            }
            Decision::Commit { nonces, .. } if nonce_commitment(&propose.digest, &nonces[0]) != commitment => {
                let reason = "P0 shows another random number than the one it had committed to";
                Err(Code::Disagreement.because(reason).into())
            }
            Decision::Commit { nonces, conditions } => {
                let session = session_id(&propose.digest, &propose.client, &nonces);
                let memory = match mib {
                    Some(mib) => Some(self.reserve(session, mib).await?),
                    None => None,
                };
                Ok(Admitted { session, _place: None, _memory: memory, conditions })
            }
        }
    }

    /// P1's and P2's memory for a session that P0 has committed; where there is none, the peers are told.
    async fn reserve(&self, session: Id, mib: u32) -> Result<OwnedSemaphorePermit, NotAdmitted> {
        let wait = self.wait / 2;
        if let Ok(Ok(memory)) = timeout(wait, self.memory.clone().acquire_many_owned(mib)).await {
            return Ok(memory);
        }
        let (party, all) = (self.mesh.role(), self.memory_mib);
        let free = all - self.reserved_mib();
        let reason = format!(
            "{party} has {free} MiB of {all} MiB (limits.memory_mib) free and the question needs {mib} MiB; try again later"
        );
        let (mesh, wait, told) = (self.mesh.clone(), self.wait, Error::Aborted(reason.clone()));
        // Where a peer is gone, its own side of the session is too.
        let telling = move || drop(mesh.session(session, wait).map(|mut network| network.abort(&told)));
        drop(tokio::task::spawn_blocking(telling));
        Err(NotAdmitted { refusal: Code::Busy.because(reason), limit: Some(Limit::Memory) })
    }

    async fn await_proposal(&self, ticket: Ticket) -> Result<Proposal, Refusal> {
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
        let _leaves = Leave { admission: self, ticket };
        match timeout(self.wait, arrives).await {
            Ok(Ok(proposal)) => Ok(proposal),
            _ => {
                let reason = format!("P0 did not propose this request within {:?}; did it get it?", self.wait);
                Err(Code::Unavailable.because(reason))
            }
        }
    }

    /// What a peer wants that opened a control stream, if it may and says so in time.
    pub(crate) async fn hear_peer(&self, control: Control) -> Option<(PeerRequest, SendStream, RecvStream)> {
        let Control { peer, mut send, mut recv } = control;
        match timeout(self.wait, stream::receive_first(&mut recv, MAX_ENCODED)).await {
            Ok(Ok(request)) if peer == Role::P0 || request == PeerRequest::InService => {
                return Some((request, send, recv));
            }
            Ok(Ok(_)) => tracing::warn!(%peer, "asked for what only P0 may"),
            Ok(Err(error)) => {
                tracing::warn!(%peer, "control stream: {error}");
                let refused = Verdict::Refuse(unreadable(&error));
                // The refusal is all there is to say.
                drop(say(peer, &mut send, &refused).await);
            }
            Err(_) => tracing::warn!(%peer, "opened a control stream and said nothing"),
        }
        None
    }

    /// Serves a proposal of P0.
    pub(crate) async fn serve_proposal(&self, propose: Propose, commitment: Id, send: SendStream, recv: RecvStream) {
        let ticket = (propose.client, propose.request);
        let proposal = Proposal { propose, commitment, send, recv };
        let early = match self.meet(ticket, proposal) {
            Ok(early) => early,
            Err(refused) => return refuse(refused.0, refused.1).await,
        };
        if early && self.is_stopping() {
            self.expire(ticket, stopping(self.mesh.role())).await;
        } else if early {
            tokio::time::sleep(self.wait).await;
            let reason = format!("the client's request did not arrive here within {:?}", self.wait);
            self.expire(ticket, Code::Unavailable.because(reason)).await;
        }
    }

    /// Brings a proposal to the client's request. Whether it has to wait for that; or why the request was refused.
    fn meet(&self, ticket: Ticket, proposal: Proposal) -> Result<bool, Box<(Proposal, Refusal)>> {
        let mut waiting = self.lock();
        let sent = match waiting.remove(&ticket) {
            Some(Waiting::Request(request)) => request.send(proposal),
            Some(Waiting::Refused(refusal)) => return Err(Box::new((proposal, refusal))),
            _ => Err(proposal),
        };
        Ok(sent.map_err(|proposal| waiting.insert(ticket, Waiting::Proposal(proposal))).is_err())
    }

    /// Refuses a proposal whose client did not come.
    async fn expire(&self, ticket: Ticket, refusal: Refusal) {
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
            refuse(proposal, refusal).await;
        }
    }

    /// Tells P0, now or when it proposes the request, why it is refused here, so that nobody waits for it.
    pub(crate) async fn refuse(&self, ticket: Ticket, refusal: Refusal) {
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
            return refuse(proposal, refusal).await;
        }
        tokio::time::sleep(self.wait).await;
        let mut waiting = self.lock();
        if matches!(waiting.get(&ticket), Some(Waiting::Refused(_))) {
            waiting.remove(&ticket);
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

    async fn call_off(&mut self, refusal: &Refusal) {
        // Where it is gone meanwhile, it has called off the request itself.
        drop(self.decide(&Decision::Abort(refusal.clone())).await);
    }
}

async fn refuse(mut proposal: Proposal, refusal: Refusal) {
    // Where P0 is gone too, nobody is left to tell.
    drop(say(Role::P0, &mut proposal.send, &Verdict::Refuse(refusal)).await);
}

async fn say(peer: Role, send: &mut SendStream, message: &impl Serialize) -> Result<(), Refusal> {
    stream::send(send, message).await.map_err(|e| lost(peer, &e))
}

async fn hear<T: DeserializeOwned>(peer: Role, recv: &mut RecvStream, wait: Duration) -> Result<T, Refusal> {
    match timeout(wait, stream::receive(recv, MAX_CONTROL)).await {
        Ok(heard) => heard.map_err(|e| lost(peer, &e)),
        Err(_) => Err(Code::Unavailable.because(format!("{peer} did not answer within {wait:?}"))),
    }
}

/// A party that is being stopped takes on nothing.
pub(crate) fn stopping(party: Role) -> Refusal {
    Code::Unavailable.because(format!("{party} is stopping; try again when it is back"))
}

fn lost(peer: Role, error: &std::io::Error) -> Refusal {
    Code::Unavailable.because(format!("lost {peer} during admission: {error}"))
}

fn fresh() -> Result<Id, Refusal> {
    let mut nonce = [0; 32];
    random::fill(&mut nonce).map_err(|e| Code::Internal.because(e.to_string()))?;
    Ok(nonce)
}
