//! What the party tells its operator : the log, traces, metrics, health, and the audit log.

pub(crate) mod audit;
pub(crate) mod http;
mod kind;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod metrics;
mod quiet;
#[cfg(feature = "otel")]
mod traces;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use mpc_core::Role;
use mpc_core::network::identity::Fingerprint;
use mpc_core::session::{Id, Meter, Mode};
use mpc_core::wire::message::Code;
use serde::Serialize;

use self::audit::{Audit, Line};
pub(crate) use self::kind::{Kind, Outcome};
use self::metrics::Metrics;
pub(crate) use self::quiet::{Cause, tell_what_was_left_out};
use crate::admission::Ticket;
use crate::config;
use crate::request::{Ended, Who};
use crate::serve::Place;

/// Counters and the audit log of one party.
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    audit: Option<Audit>,
    party: String,
}

impl Telemetry {
    /// # Errors
    /// The audit log cannot be opened.
    pub(crate) fn start(role: Role, audit: &config::Audit) -> Result<Self> {
        let metrics = Metrics::new();
        let open = |file: &std::path::PathBuf| Audit::start(file, audit.required, metrics.audit_lost());
        let audit = audit.file.as_ref().map(open).transpose()?;
        Ok(Self { metrics, audit, party: role.to_string() })
    }

    /// Counts a request that has ended, and writes it down, unless it is one of a flood: `left_out` is how many of its kind were
    /// left out before it, or none where it is one of those.
    pub(crate) fn ended(
        &self,
        record: &Record,
        who: &Who,
        fingerprint: Fingerprint,
        result: &Result<(), Ended>,
        left_out: Option<u64>,
    ) {
        let outcome = Outcome::of(result);
        let (code, reason) = match result {
            Ok(()) | Err(Ended::Left) => (None, None),
            Err(Ended::Refused(refusal)) => (Some(refusal.code), Some(refusal.reason.clone())),
            Err(Ended::Failed(reason)) => (None, Some(reason.clone())),
            Err(Ended::Cheating(step)) => (None, Some(step.to_string())),
        };
        let Record { started, kind, subject, meter, .. } = record;
        let took = started.elapsed();
        self.metrics.request_ended(*kind, outcome);
        if let Some(code) = code {
            self.metrics.refused(code);
        }
        if let (Kind::Classify, Some(model)) = (kind, &subject.model) {
            self.metrics.session_ended(model, outcome, took, *meter);
        }
        let flood = matches!(code, Some(Code::Busy)) || *kind == Kind::Unreadable;
        if matches!(kind, Kind::Status | Kind::Probe) || flood && left_out.is_none() {
            return;
        }
        self.write(Line {
            time: now(),
            party: &self.party,
            action: *kind,
            principal: Some(&who.name()),
            tenant: who.tenant(),
            fingerprint: fingerprint.to_string(),
            address: None,
            subject,
            outcome,
            code: code.map(Code::name),
            reason: reason.as_deref(),
            left_out: left_out.filter(|left_out| flood && *left_out > 0),
            duration_ms: took.as_millis() as u64,
            rounds: meter.map(|meter| meter.rounds),
            bytes_sent: meter.map(|meter| meter.bytes_sent),
        });
    }

    /// Counts a caller whose key is not listed, and writes it down, as [`Telemetry::ended`] does.
    pub(crate) fn turned_away(&self, fingerprint: Fingerprint, address: SocketAddr, left_out: Option<u64>) {
        self.metrics.stranger();
        let Some(left_out) = left_out else { return };
        self.write(Line {
            time: now(),
            party: &self.party,
            action: Kind::Connect,
            principal: None,
            tenant: None,
            fingerprint: fingerprint.to_string(),
            address: Some(address.to_string()),
            subject: &Subject::default(),
            outcome: Outcome::Refused,
            code: Some(Code::NotListed.name()),
            reason: Some("the key is not listed"),
            left_out: (left_out > 0).then_some(left_out),
            duration_ms: 0,
            rounds: None,
            bytes_sent: None,
        });
    }

    /// Opens the audit log anew, after somebody has moved the file away.
    pub(crate) fn reopen_audit(&self) {
        if let Some(audit) = &self.audit {
            audit.reopen();
        }
    }

    /// Whether the last attempt to write the audit log failed.
    pub(crate) fn audit_fails(&self) -> bool {
        self.audit.as_ref().is_some_and(Audit::fails)
    }

    /// Whether requests must be refused because of it.
    pub(crate) fn audit_forbids_requests(&self) -> bool {
        self.audit.as_ref().is_some_and(Audit::forbids_requests)
    }

    fn write(&self, line: Line<'_>) {
        if let Some(audit) = &self.audit {
            audit.write(&line);
        }
    }
}

/// What is known of a request while it lasts.
pub(crate) struct Record {
    started: Instant,
    /// What is asked for.
    pub(crate) kind: Kind,
    /// What it is about.
    pub(crate) subject: Subject,
    /// What an answered classification cost.
    pub(crate) meter: Option<Meter>,
    /// What ties it to the client's requests to the other parties.
    pub(crate) ticket: Option<Ticket>,
    /// Its place among the requests that the party has taken on, kept until the reply is delivered.
    pub(crate) place: Option<Place>,
}

impl Record {
    /// Of a request that nobody has read yet.
    pub(crate) fn new() -> Self {
        let subject = Subject::default();
        Self { started: Instant::now(), kind: Kind::Unreadable, subject, meter: None, ticket: None, place: None }
    }

    /// Time since the first message was awaited.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }
}

/// What a request is about, as far as it got.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Subject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publication: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inputs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) windows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) security: Option<Mode>,
}

/// An id in full, in hexadecimal digits.
pub(crate) fn hex(id: &Id) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
