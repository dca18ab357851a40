//! The lines between the parties as they measured them, for planning sessions.
//!
//! P0 measures with its peers as soon as both are connected, and again from time to time while no session runs.
//! P0 puts the result into every session that it commits, so that all three plan alike. A wrong figure costs time,
//! never the answer or a secret.

use std::time::Duration;

use mpc_core::network::lines::measure;
use mpc_core::session::{Conditions, Id, Measured};
use mpc_core::wire::peer::PeerRequest;
use mpc_core::{Role, random};
use tokio::sync::{Mutex, watch};

use crate::cell::Cell;

/// A measurement holds for this long.
const INTERVAL: Duration = Duration::from_secs(300);

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_secs(5);

/// The lines from one party.
pub(crate) struct Lines {
    cell: Cell,
    measured: watch::Sender<Option<Measured>>,
    /// Held during a measurement.
    measuring: Mutex<()>,
}

impl Lines {
    pub(crate) fn new(cell: Cell) -> Self {
        Self { cell, measured: watch::Sender::new(None), measuring: Mutex::new(()) }
    }

    /// The last measurement, if there was one.
    pub(crate) fn measured(&self) -> Option<Measured> {
        *self.measured.borrow()
    }

    /// The conditions to plan for.
    pub(crate) fn conditions(&self) -> Conditions {
        self.measured().map_or_else(Conditions::default, |measured| measured.conditions)
    }

    /// P0's side while the party serves: measures again from time to time while nothing runs.
    pub(crate) async fn keep_measuring(&self, nothing_runs: impl Fn() -> bool) {
        loop {
            let idle = nothing_runs() || self.measured().is_none();
            let done = idle && self.cell.connected(INTERVAL).await.is_ok() && self.conduct().await;
            tokio::time::sleep(if done { INTERVAL } else { PAUSE }).await;
        }
    }

    /// Asks both peers and measures with them; returns whether that succeeded.
    async fn conduct(&self) -> bool {
        let mut session = Id::default();
        if random::fill(&mut session).is_err() {
            return false;
        }
        for peer in [Role::P1, Role::P2] {
            if self.cell.ask(peer, PeerRequest::Measure { session }).await.is_err() {
                return false;
            }
        }
        self.take_part(session).await;
        self.measured().is_some()
    }

    /// Every party's side.
    pub(crate) async fn take_part(&self, session: Id) {
        // A peer that asks too often is ignored.
        let Ok(_alone) = self.measuring.try_lock() else { return };
        let cell = self.cell.clone();
        let measuring = tokio::task::spawn_blocking(move || measure(&mut cell.enter(session)?));
        match measuring.await {
            Ok(Ok(measured)) => {
                let Conditions { latency_us, rate_mbit } = measured.conditions;
                tracing::info!(latency_us, rate_mbit, work_us = measured.work_us, "measured the lines to the peers");
                self.measured.send_replace(Some(measured));
            }
            Ok(Err(error)) => tracing::info!(%error, "could not measure the lines to the peers"),
            Err(_) => tracing::error!("measuring the lines ended in a bug"),
        }
    }
}
