//! `[telemetry]` and `[audit]`: metrics, traces and the audit log.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// The addresses that serve metrics and health and that receive traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Address and TCP port of `/metrics`, `/healthz` and `/readyz`, over HTTP and open to whoever reaches it; without
    /// it, nothing is served.
    pub listen: Option<SocketAddr>,
    /// The OpenTelemetry collector for traces, OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`. Needs a
    /// program built with the feature `otel`.
    pub otlp: Option<String>,
}

/// The audit log: the requests of each client, for operators who must account for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The file, one JSON object a line; without it, none is written.
    pub file: Option<PathBuf>,
    /// Refuse new requests while the file cannot be written.
    pub required: bool,
}
