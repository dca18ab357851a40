//! Admission: the three parties agree which requests run, each as a session of the three, and in which order they
//! start.
//!
//! The client sends its request to each party. P0 proposes every request it received to P1 and P2, which match it with
//! the request they received; once both accept, the request waits in P0's queue and P0 commits it when a place is free.
//! With three independent limits, P0 could run session A while P1 ran B, each waiting for the other forever. A request
//! that was not sent to all three holds no place.
//!
//! Memory follows the same order: P0 waits until the memory that a session may need is free, then commits. P1 and P2
//! may allow less than P0, or lag a moment behind it. They wait for their own memory when the commit arrives, but at
//! most half as long as a peer would wait for them, so that two sessions that hold what the other needs end instead of
//! waiting forever.

mod capacity;
mod follow;
mod matching;
mod order;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mpc_core::network::stream;
use mpc_core::session::{Conditions, Id};
use mpc_core::wire::message::{Code, Refusal};
use mpc_core::wire::peer::Propose;
use mpc_core::{Role, random};
use quinn::SendStream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use self::capacity::Capacity;
use self::matching::Matching;
pub(crate) use self::matching::Ticket;
use crate::cell::Cell;
use crate::config::Limits;
use crate::counted::Counted;
use crate::intake::Intake;
use crate::lines::Lines;
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Limit;

/// A session that all three parties have agreed on.
pub(crate) struct Admitted {
    /// Its name.
    pub(crate) session: Id,
    /// The session's place at P0, held until it ends.
    _place: Option<OwnedSemaphorePermit>,
    /// The memory at this party that the session may need, held until it ends.
    _memory: Option<OwnedSemaphorePermit>,
    /// The conditions that all three plan for.
    pub(crate) conditions: Conditions,
}

/// One party's side of admission.
pub(crate) struct Admission {
    cell: Cell,
    lines: Arc<Lines>,
    intake: Arc<Intake>,
    telemetry: Arc<Telemetry>,
    capacity: Capacity,
    matching: Matching,
    /// Requests that are being admitted.
    queued: AtomicU32,
}

impl Admission {
    /// Admission with the places and the memory of the limits.
    pub(crate) fn new(
        cell: Cell,
        lines: Arc<Lines>,
        intake: Arc<Intake>,
        telemetry: Arc<Telemetry>,
        limits: &Limits,
    ) -> Self {
        let (capacity, matching) = (Capacity::new(limits), Matching::new(cell.wait()));
        Self { cell, lines, intake, telemetry, capacity, matching, queued: AtomicU32::new(0) }
    }

    /// Stops admitting: refuses what waits in P0's queue, and proposals for requests that have not arrived.
    pub(crate) fn stop(&self) {
        self.intake.stop();
        self.capacity.close();
    }

    /// Number of requests that wait to be admitted.
    pub(crate) fn waiting(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }

    /// The memory that running sessions may need, in MiB.
    pub(crate) fn reserved_mib(&self) -> u64 {
        self.capacity.reserved_mib()
    }

    /// Waits until all three parties have the same request from the same client and admit it. A session that computes
    /// states how many MiB it may need; it gets that memory, and one of P0's places.
    ///
    /// # Errors
    /// Which party refuses, and why.
    pub(crate) async fn admit(&self, propose: Propose, mib: Option<u32>) -> Result<Admitted, Refusal> {
        let _queued = Counted::new(&self.queued);
        match self.cell.role() {
            Role::P0 => self.order(propose, mib).await,
            _ => self.follow(propose, mib).await,
        }
    }

    /// Tells P0, now or when it proposes the request, why the request is refused here, so that nobody waits for it.
    pub(crate) async fn refuse(&self, ticket: Ticket, refusal: Refusal) {
        self.matching.refuse(ticket, refusal).await;
    }

    fn turned_away(&self, limit: Limit, refusal: Refusal) -> Refusal {
        self.telemetry.metrics.turned_away(limit);
        refusal
    }
}

async fn say(peer: Role, send: &mut SendStream, message: &impl Serialize) -> Result<(), Refusal> {
    stream::send(send, message).await.map_err(|e| lost(peer, &e))
}

fn lost(peer: Role, error: &io::Error) -> Refusal {
    Code::Unavailable.because(format!("lost {peer} during admission: {error}"))
}

fn fresh() -> Result<Id, Refusal> {
    let mut nonce = [0; 32];
    random::fill(&mut nonce).map_err(|e| Code::Internal.because(e.to_string()))?;
    Ok(nonce)
}
