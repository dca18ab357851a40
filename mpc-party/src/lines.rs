//! What the parties know of the lines between them, for planning sessions.
//!
//! P0 asks its peers to measure with it as soon as both are connected, and again from time to time while nothing runs.
//! What it finds goes into every session that it commits, so that all three plan alike. A wrong figure costs time,
//! never the answer or a secret.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mpc_core::network::lines::measure;
use mpc_core::network::mesh::Mesh;
use mpc_core::network::stream;
use mpc_core::session::{Conditions, Id, Measured};
use mpc_core::wire::message::Versioned;
use mpc_core::wire::peer::PeerRequest;
use mpc_core::{Role, random};
use tokio::sync::{Mutex, watch};

use crate::serve::Shared;

/// How long measurements are believed.
const INTERVAL: Duration = Duration::from_secs(300);

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_secs(5);

/// The lines from one party.
pub(crate) struct Lines {
    mesh: Mesh,
    /// Longest wait for a peer.
    wait: Duration,
    measured: watch::Sender<Option<Measured>>,
    /// One measurement at a time.
    measuring: Mutex<()>,
}

impl Lines {
    pub(crate) fn new(mesh: Mesh, wait: Duration) -> Self {
        Self { mesh, wait, measured: watch::Sender::new(None), measuring: Mutex::new(()) }
    }

    /// What was measured last, if anything was.
    pub(crate) fn measured(&self) -> Option<Measured> {
        *self.measured.borrow()
    }

    /// What to plan for.
    pub(crate) fn conditions(&self) -> Conditions {
        self.measured().map_or_else(Conditions::default, |measured| measured.conditions)
    }

    /// P0's side, as long as the party serves.
    pub(crate) async fn keep_measuring(shared: Arc<Shared>) {
        let lines = &shared.lines;
        loop {
            let idle = shared.running.load(Ordering::Relaxed) == 0 || lines.measured().is_none();
            let done = idle && lines.mesh.connected(INTERVAL).await.is_ok() && lines.conduct().await;
            tokio::time::sleep(if done { INTERVAL } else { PAUSE }).await;
        }
    }

    /// Asks both peers and measures with them. Whether it worked.
    async fn conduct(&self) -> bool {
        let mut session = Id::default();
        if random::fill(&mut session).is_err() {
            return false;
        }
        for peer in [Role::P1, Role::P2] {
            let Ok((mut send, _)) = self.mesh.control(peer).await else { return false };
            let request = Versioned::new(PeerRequest::Measure { session });
            if stream::send(&mut send, &request).await.is_err() {
                return false;
            }
        }
        self.take_part(session).await;
        self.measured().is_some()
    }

    /// Every party's side.
    pub(crate) async fn take_part(&self, session: Id) {
        // Where a peer asks too often, it waits for itself.
        let Ok(_alone) = self.measuring.try_lock() else { return };
        let (mesh, wait) = (self.mesh.clone(), self.wait);
        let measuring = tokio::task::spawn_blocking(move || measure(&mut mesh.session(session, wait)?));
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
