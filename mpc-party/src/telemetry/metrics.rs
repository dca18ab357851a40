//! The metrics and their names. `docs/operating.md` lists the names and labels.
//!
//! Labels have few values: kinds, outcomes, steps and peers are fixed, and only the first [`MAX_MODELS`] models found
//! in service are named. Clients are named in the audit log, never in a label.

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use mpc_core::session::Meter;
use mpc_core::wire::message::{Code, PROTOCOL_VERSION};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::snapshot::Snapshot;
use super::{Kind, Outcome};
use crate::machine;

/// Maximum number of model names in labels per process; further models count as `other`.
const MAX_MODELS: usize = 64;

/// Upper bounds of the buckets for a step's time, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestEnded {
    kind: Kind,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionEnded {
    model: String,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModel {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepOfModel {
    model: String,
    step: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPeer {
    peer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLimit {
    limit: &'static str,
}

/// A part of the time of a session; the metric calls it a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    /// The time from the request until all three parties have admitted it.
    Queue,
    /// The time until the input share has arrived.
    Input,
    /// The time until the output share is ready.
    Compute,
    /// The time from the request until the answer is sent.
    Total,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::Queue => "queue",
            Phase::Input => "input",
            Phase::Compute => "compute",
            Phase::Total => "total",
        }
    }
}

/// The reason to turn away a request that the party could serve at another time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// `limits.waiting`.
    Waiting,
    /// `limits.memory_mib`.
    Memory,
    /// The party is being stopped.
    Stopping,
    /// `audit.required`.
    Audit,
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Limit::Waiting => "waiting",
            Limit::Memory => "memory",
            Limit::Stopping => "stopping",
            Limit::Audit => "audit",
        }
    }
}

type Reading = Gauge<f64, AtomicU64>;

/// One party's counters.
pub(crate) struct Metrics {
    started: Instant,
    models: Mutex<HashSet<String>>,
    requests: Family<RequestEnded, Counter>,
    refusals: Family<OfCode, Counter>,
    sessions: Family<SessionEnded, Counter>,
    rounds: Family<OfModel, Counter>,
    sent: Family<OfModel, Counter>,
    steps: Family<StepOfModel, Histogram, fn() -> Histogram>,
    turned_away: Family<OfLimit, Counter>,
    strangers: Counter,
    audit_lost: Counter,
    readings: Readings,
}

/// The figures at the time of a scrape.
#[derive(Default)]
struct Readings {
    uptime: Reading,
    ready: Gauge,
    problems: Gauge,
    running: Gauge,
    waiting: Gauge,
    requests: Gauge,
    models: Gauge,
    resident: Gauge,
    reserved: Gauge,
    certificate_end: Gauge,
    peer_up: Family<OfPeer, Gauge>,
    peer_rtt: Family<OfPeer, Reading>,
    peer_connections: Family<OfPeer, Counter>,
    audit_failing: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            started: Instant::now(),
            models: Mutex::default(),
            requests: Family::default(),
            refusals: Family::default(),
            sessions: Family::default(),
            rounds: Family::default(),
            sent: Family::default(),
            steps: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            turned_away: Family::default(),
            strangers: Counter::default(),
            audit_lost: Counter::default(),
            readings: Readings::default(),
        };
        // Start at 0, so that an alert sees the first increment.
        metrics.requests.get_or_create(&RequestEnded { kind: Kind::Evaluate, outcome: Outcome::Cheating }).inc_by(0);
        for limit in [Limit::Waiting, Limit::Memory, Limit::Stopping, Limit::Audit] {
            metrics.turned_away.get_or_create(&OfLimit { limit: limit.name() }).inc_by(0);
        }
        metrics
    }

    /// Counts a request that ended.
    pub(crate) fn request_ended(&self, kind: Kind, outcome: Outcome) {
        self.requests.get_or_create(&RequestEnded { kind, outcome }).inc();
    }

    /// Counts a refusal by its code.
    pub(crate) fn refused(&self, code: Code) {
        self.refusals.get_or_create(&OfCode { code: code.name() }).inc();
    }

    /// Counts an evaluation that ended, with its cost if it was answered.
    pub(crate) fn session_ended(&self, model: &str, outcome: Outcome, took: Duration, meter: Option<Meter>) {
        let model = self.label(model);
        self.sessions.get_or_create(&SessionEnded { model: model.clone(), outcome }).inc();
        if let Some(meter) = meter {
            self.phase(&model, Phase::Total, took);
            self.rounds.get_or_create(&OfModel { model: model.clone() }).inc_by(meter.rounds);
            self.sent.get_or_create(&OfModel { model }).inc_by(meter.bytes_sent);
        }
    }

    /// Records the time of a phase of a session.
    pub(crate) fn phase(&self, model: &str, phase: Phase, took: Duration) {
        let step = phase.name();
        self.steps.get_or_create(&StepOfModel { model: self.label(model), step }).observe(took.as_secs_f64());
    }

    /// Counts a request that a limit turned away.
    pub(crate) fn turned_away(&self, limit: Limit) {
        self.turned_away.get_or_create(&OfLimit { limit: limit.name() }).inc();
    }

    /// Counts a caller whose key is not listed.
    pub(crate) fn stranger(&self) {
        self.strangers.inc();
    }

    /// The counter of lines that the audit log lost.
    pub(crate) fn audit_lost(&self) -> Counter {
        self.audit_lost.clone()
    }

    /// The registry with all metrics, to be encoded after [`Metrics::read`].
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("mpc_party");
        let build =
            [("version", env!("CARGO_PKG_VERSION").to_owned()), ("protocol", PROTOCOL_VERSION.to_string())].to_vec();
        registry.register("build", "Version of the program and of the protocol", Info::new(build));
        registry.register("requests", "Requests by kind and outcome", self.requests.clone());
        registry.register("refusals", "Refused requests by code", self.refusals.clone());
        registry.register("sessions", "Evaluations by model and outcome", self.sessions.clone());
        registry.register("rounds", "Rounds of answered sessions", self.rounds.clone());
        registry.register("limit_refusals", "Requests turned away by a limit", self.turned_away.clone());
        registry.register("refused_connections", "Callers whose key is not listed", self.strangers.clone());
        registry.register("audit_lost_lines", "Lines that the audit log lost", self.audit_lost.clone());
        let sent = "Payload sent to both peers in answered sessions";
        registry.register_with_unit("sent", sent, Unit::Bytes, self.sent.clone());
        registry.register_with_unit("step", "Time of the steps of a session", Unit::Seconds, self.steps.clone());

        let now = &self.readings;
        registry.register("ready", "1 if new requests are served", now.ready.clone());
        registry.register(
            "problems",
            "Problems that keep the party from serving everything in service",
            now.problems.clone(),
        );
        registry.register("sessions_running", "Running sessions", now.running.clone());
        registry.register("sessions_waiting", "Requests that wait for admission", now.waiting.clone());
        registry.register("requests_open", "Requests taken on and not ended", now.requests.clone());
        registry.register("models", "Models in service", now.models.clone());
        let end = "Expiry of this party's certificate, since 1970";
        registry.register_with_unit("certificate_end", end, Unit::Seconds, now.certificate_end.clone());
        registry.register("peer_up", "1 if the connection to the peer stands", now.peer_up.clone());
        let connections = "How often the connection to the peer came up";
        registry.register("peer_connections", connections, now.peer_connections.clone());
        registry.register("audit_failing", "1 if the audit log cannot be written", now.audit_failing.clone());
        registry.register_with_unit("uptime", "Time since the start", Unit::Seconds, now.uptime.clone());
        let rtt = "Round trip time to the peer as the transport estimates it";
        registry.register_with_unit("peer_rtt", rtt, Unit::Seconds, now.peer_rtt.clone());
        registry.register_with_unit("resident_memory", "Memory in use", Unit::Bytes, now.resident.clone());
        let reserved = "Upper estimate of the memory that running sessions may need";
        registry.register_with_unit("reserved_memory", reserved, Unit::Bytes, now.reserved.clone());
        registry
    }

    /// Sets the figures of this moment.
    pub(crate) fn read(&self, snapshot: &Snapshot) {
        let now = &self.readings;
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        now.uptime.set(self.started.elapsed().as_secs_f64());
        set(&now.ready, snapshot.not_ready().is_empty().into());
        set(&now.problems, snapshot.problems.len() as u64);
        set(&now.running, snapshot.sessions.into());
        set(&now.waiting, snapshot.waiting.into());
        set(&now.requests, snapshot.open_requests as u64);
        set(&now.models, snapshot.models as u64);
        set(&now.certificate_end, snapshot.certificate_end);
        set(&now.reserved, snapshot.reserved_mib << 20);
        set(&now.audit_failing, snapshot.audit_fails.into());
        if let Some(bytes) = machine::resident() {
            set(&now.resident, bytes);
        }
        for peer in &snapshot.peers {
            let label = OfPeer { peer: peer.peer.to_string() };
            set(&now.peer_up.get_or_create(&label), peer.is_connected.into());
            let connections = now.peer_connections.get_or_create_owned(&label);
            connections.inc_by(peer.times_connected.saturating_sub(connections.get()));
            match peer.round_trip {
                Some(time) => drop(now.peer_rtt.get_or_create(&label).set(time.as_secs_f64())),
                None => drop(now.peer_rtt.remove(&label)),
            }
        }
    }

    fn label(&self, model: &str) -> String {
        let mut models = self.models.lock();
        if models.len() < MAX_MODELS && !models.contains(model) {
            models.insert(model.to_owned());
        }
        if models.contains(model) { model.to_owned() } else { "other".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(metrics: &Metrics) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry()).unwrap();
        text
    }

    #[test]
    fn every_name_in_dashboard_alerts_and_documentation_is_exported() {
        let metrics = Metrics::new();
        metrics.refused(Code::Busy);
        metrics.session_ended("a", Outcome::Ok, Duration::ZERO, Some(Meter::default()));
        let label = OfPeer { peer: "P0".into() };
        metrics.readings.peer_up.get_or_create(&label).set(1);
        metrics.readings.peer_rtt.get_or_create(&label).set(0.1);
        metrics.readings.peer_connections.get_or_create(&label).inc();
        let text = encoded(&metrics);
        let words = |text: &str| -> HashSet<String> {
            let words = text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric());
            words.filter(|word| word.starts_with("mpc_party_")).map(str::to_owned).collect()
        };
        let exported = words(&text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"));
        for page in ["deploy/grafana/mpc-party.json", "deploy/prometheus/alerts.yml"] {
            let page = std::fs::read_to_string(format!("{}/../{page}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            let unknown: Vec<_> = words(&page).difference(&exported).cloned().collect();
            assert!(!words(&page).is_empty() && unknown.is_empty(), "{unknown:?} in {exported:?}");
        }
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md")).unwrap();
        let named = |name: &String| page.contains(name.as_str()) || name.starts_with("mpc_party_step_seconds_");
        let missing: Vec<_> = exported.iter().filter(|name| !named(name)).collect();
        assert!(missing.is_empty(), "docs/operating.md does not explain {missing:?}");
    }

    #[test]
    fn names_of_models_are_bounded() {
        let metrics = Metrics::new();
        for i in 0..2 * MAX_MODELS {
            metrics.session_ended(&format!("model {i}"), Outcome::Ok, Duration::ZERO, None);
        }
        metrics.session_ended("model 1", Outcome::Ok, Duration::ZERO, None);
        let text = encoded(&metrics);
        let series = text.lines().filter(|line| line.starts_with("mpc_party_sessions_total")).count();
        assert_eq!(series, MAX_MODELS + 1, "{text}");
        assert!(text.contains("mpc_party_sessions_total{model=\"model 1\",outcome=\"ok\"} 2\n"), "{text}");
        assert!(text.contains("{model=\"other\",outcome=\"ok\"} 64\n"), "{text}");
    }
}
