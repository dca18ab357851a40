//! The intake: counts the requests that the party has taken on, and limits them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mpc_core::Role;
use mpc_core::wire::message::{Code, Refusal};
use tokio::sync::watch;

use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Limit;

/// Counts the requests that wait or run.
pub(crate) struct Intake {
    party: Role,
    /// Most requests that wait or run.
    most: usize,
    open: watch::Sender<usize>,
    stopping: AtomicBool,
    telemetry: Arc<Telemetry>,
}

impl Intake {
    /// Room for `most` requests.
    pub(crate) fn new(party: Role, most: usize, telemetry: Arc<Telemetry>) -> Self {
        Self { party, most, open: watch::Sender::new(0), stopping: AtomicBool::new(false), telemetry }
    }

    /// A place for a request that will wait or run.
    ///
    /// # Errors
    /// There is no place; the reason says when to try again.
    pub(crate) fn take_on(&self) -> Result<Place, Refusal> {
        let (party, most) = (self.party, self.most);
        let (limit, refusal) = if self.is_stopping() {
            (Limit::Stopping, self.stopping())
        } else if self.telemetry.audit_forbids_requests() {
            let reason = format!("{party} cannot write its audit log, and serves nobody without it; try again later");
            (Limit::Audit, Code::Unavailable.because(reason))
        } else if self.open.send_if_modified(|open| {
            let free = *open < most;
            *open += usize::from(free);
            free
        }) {
            return Ok(Place(self.open.clone()));
        } else {
            let reason = format!("{most} requests wait or run at {party} already (limits.waiting); try again later");
            (Limit::Waiting, Code::Busy.because(reason))
        };
        self.telemetry.metrics.turned_away(limit);
        Err(refusal)
    }

    /// Stops taking on requests.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the party has stopped taking on requests.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The refusal of a party that is being stopped.
    pub(crate) fn stopping(&self) -> Refusal {
        Code::Unavailable.because(format!("{} is stopping; try again when it is back", self.party))
    }

    /// The number of open requests, now and as it changes.
    pub(crate) fn open(&self) -> watch::Receiver<usize> {
        self.open.subscribe()
    }
}

/// A place among the requests that wait or run.
pub(crate) struct Place(watch::Sender<usize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
