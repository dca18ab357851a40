//! The party's reports to its operator: the log, traces, metrics, health, and the audit log.

pub(crate) mod audit;
pub(crate) mod http;
mod kind;
pub(crate) mod log;
pub(crate) mod metrics;
mod quiet;
pub(crate) mod snapshot;
#[cfg(feature = "otel")]
mod traces;

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use mpc_core::Role;
use mpc_core::network::identity::Fingerprint;
use mpc_core::network::quiet::Quiet;
use mpc_core::session::{Meter, Mode};
use mpc_core::wire::message::Code;
use serde::Serialize;
use tracing::{info, warn};

use self::audit::{Audit, Line};
pub(crate) use self::kind::{Kind, Outcome};
use self::metrics::Metrics;
use self::quiet::Cause;
use crate::access::Who;
use crate::config;
use crate::ended::Ended;
use crate::error::Result;

/// Counters, log lines and the audit log of one party.
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    audit: Option<Audit>,
    /// Limits log lines about ended requests, by caller and outcome.
    quiet: Quiet<Cause>,
    party: String,
}

impl Telemetry {
    /// # Errors
    /// The audit log cannot be opened.
    pub(crate) fn start(role: Role, audit: &config::Audit) -> Result<Self> {
        let metrics = Metrics::new();
        let open = |file: &std::path::PathBuf| Audit::start(file, audit.required, metrics.audit_lost());
        let audit = audit.file.as_ref().map(open).transpose()?;
        Ok(Self { metrics, audit, quiet: Quiet::default(), party: role.to_string() })
    }

    /// Counts a request that has ended, and writes lines about it into the log and the audit log, unless it is part of
    /// a flood.
    pub(crate) fn ended(&self, record: &Record, who: &Who, result: &Result<(), Ended>) {
        // The number of lines of its kind left out before it; `None` to leave this one out too.
        let left_out = match result {
            Ok(()) | Err(Ended::Cheating(_)) => Some(0),
            Err(_) => self.quiet.admit(Cause::of(who, result), Instant::now()),
        };
        self.account(record, who, result, left_out);
        if let Some(left_out) = left_out {
            log_end(result, left_out);
        }
    }

    fn account(&self, record: &Record, who: &Who, result: &Result<(), Ended>, left_out: Option<u64>) {
        let outcome = Outcome::of(result);
        let (code, reason) = match result {
            Ok(()) | Err(Ended::Left) => (None, None),
            Err(Ended::Refused(refusal)) => (Some(refusal.code), Some(refusal.reason.clone())),
            Err(Ended::Failed(reason)) => (None, Some(reason.clone())),
            Err(Ended::Cheating(step)) => (None, Some(step.to_string())),
        };
        let Record { started, kind, details, meter } = record;
        let took = started.elapsed();
        self.metrics.request_ended(*kind, outcome);
        if let Some(code) = code {
            self.metrics.refused(code);
        }
        if let (Kind::Evaluate, Some(model)) = (kind, &details.model) {
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
            fingerprint: who.key.to_string(),
            address: None,
            details,
            outcome,
            code: code.map(Code::name),
            reason: reason.as_deref(),
            left_out: left_out.filter(|left_out| flood && *left_out > 0),
            duration_ms: took.as_millis() as u64,
            rounds: meter.map(|meter| meter.rounds),
            bytes_sent: meter.map(|meter| meter.bytes_sent),
        });
    }

    /// Counts a caller whose key is not listed, and writes lines about it as [`Telemetry::ended`] does.
    pub(crate) fn turned_away(&self, fingerprint: Fingerprint, from: SocketAddr) {
        self.metrics.stranger();
        // All strangers count as one: a stranger can have any number of keys.
        let Some(left_out) = self.quiet.admit(Cause::stranger(), Instant::now()) else { return };
        warn!(%fingerprint, %from, left_out, "refused a caller whose key is not listed");
        self.write(Line {
            time: now(),
            party: &self.party,
            action: Kind::Connect,
            principal: None,
            tenant: None,
            fingerprint: fingerprint.to_string(),
            address: Some(from.to_string()),
            details: &Details::default(),
            outcome: Outcome::Refused,
            code: Some(Code::NotListed.name()),
            reason: Some("the key is not listed"),
            left_out: (left_out > 0).then_some(left_out),
            duration_ms: 0,
            rounds: None,
            bytes_sent: None,
        });
    }

    /// Reopens the audit log after somebody has moved the file away.
    pub(crate) fn reopen_audit(&self) {
        if let Some(audit) = &self.audit {
            audit.reopen();
        }
    }

    /// Whether the last attempt to write the audit log failed.
    pub(crate) fn audit_fails(&self) -> bool {
        self.audit.as_ref().is_some_and(Audit::fails)
    }

    /// Whether requests must be refused because the audit log fails.
    pub(crate) fn audit_forbids_requests(&self) -> bool {
        self.audit.as_ref().is_some_and(Audit::forbids_requests)
    }

    fn write(&self, line: Line<'_>) {
        if let Some(audit) = &self.audit {
            audit.write(&line);
        }
    }
}

/// Logs how a conversation ended; `left_out` lines of its kind were left out before.
fn log_end(ended: &Result<(), Ended>, left_out: u64) {
    match ended {
        Ok(()) => {}
        Err(Ended::Left) => info!(left_out, "the client left"),
        Err(Ended::Refused(refusal)) => {
            info!(code = refusal.code.name(), reason = refusal.reason, left_out, "refused");
        }
        Err(Ended::Failed(reason)) => warn!(reason, left_out, "failed"),
        Err(Ended::Cheating(step)) => warn!(%step, "a party deviated from the protocol; the session is destroyed"),
    }
}

/// The entry of a request for metrics and the audit log, while the request lasts.
pub(crate) struct Record {
    started: Instant,
    /// The kind of the request.
    pub(crate) kind: Kind,
    /// The subject of the request.
    pub(crate) details: Details,
    /// The cost of an answered evaluation.
    pub(crate) meter: Option<Meter>,
}

impl Record {
    /// An entry for a request that has not been read.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), kind: Kind::Unreadable, details: Details::default(), meter: None }
    }

    /// Time since the first message was awaited.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The subject of a request, as far as it is known.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Details {
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

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
