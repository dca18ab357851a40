//! The state of the party at one moment, read from the owners: for status requests, metrics and health.

use std::sync::Arc;

use mpc_core::network::certificate::now;
use mpc_core::network::mesh::Mesh;
use mpc_core::wire::message::Status;

use crate::admission::Admission;
use crate::agreement::Agreement;
use crate::catalog::Catalog;
use crate::intake::Intake;
use crate::lines::Lines;
use crate::session::Sessions;
use crate::telemetry::Telemetry;
use crate::telemetry::snapshot::{PeerSnapshot, Snapshot};

/// Reads the owners.
pub(crate) struct Overview {
    pub(crate) mesh: Mesh,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) agreement: Arc<Agreement>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) telemetry: Arc<Telemetry>,
}

impl Overview {
    /// The figures of this moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let role = self.mesh.role();
        let peers = [role.next(), role.prev()].map(|peer| PeerSnapshot {
            peer,
            is_connected: self.mesh.is_connected(peer),
            times_connected: self.mesh.times_connected(peer),
            round_trip: self.mesh.round_trip(peer),
        });
        Snapshot {
            peers,
            obstacles: self.obstacles(),
            problems: self.catalog.missing().into_iter().chain(self.agreement.problem()).collect(),
            sessions: self.sessions.running(),
            waiting: self.admission.waiting(),
            open_requests: *self.intake.open().borrow(),
            models: self.catalog.len(),
            reserved_mib: self.admission.reserved_mib(),
            certificate_end: self.mesh.identity().validity().until,
            audit_fails: self.telemetry.audit_fails(),
        }
    }

    /// The status for other parties and for the operator.
    pub(crate) fn status(&self) -> Status {
        let Snapshot { peers, obstacles, problems, sessions, models, .. } = self.snapshot();
        Status {
            program: env!("CARGO_PKG_VERSION").into(),
            role: self.mesh.role().index() as u8,
            peers: peers.each_ref().map(|peer| peer.is_connected),
            troubles: peers.each_ref().map(|peer| self.mesh.trouble(peer.peer).unwrap_or_default()),
            clock_s: now(),
            sessions,
            models: models as u32,
            revision: self.catalog.agreed().revision,
            not_ready: obstacles,
            problems,
            measured: self.lines.measured(),
        }
    }

    /// The status for clients, without problems: those name models of all tenants.
    pub(crate) fn status_for_clients(&self) -> Status {
        Status { not_ready: Vec::new(), problems: Vec::new(), ..self.status() }
    }

    /// Why the party serves no new requests, other than a missing peer; one line each.
    fn obstacles(&self) -> Vec<String> {
        let reasons = [
            (self.intake.is_stopping(), "stopping"),
            (self.telemetry.audit_forbids_requests(), "the audit log cannot be written"),
            (!self.catalog.store().is_usable(), "the share store cannot be read"),
        ];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason.to_owned()).collect()
    }
}
