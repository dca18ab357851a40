//! The gateway's counters. Their labels have few values: the routes of the table, and statuses.

use std::time::Duration;

use hyper::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::reply::{Failure, Reply, content};

/// Upper bounds of the buckets for a request's time, in seconds.
const SECONDS: [f64; 11] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRoute {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Published {
    outcome: &'static str,
}

/// The gateway's counters.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Ended, Counter>,
    took: Family<OfRoute, Histogram, fn() -> Histogram>,
    published: Family<Published, Counter>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let (requests, mut registry) = (Family::default(), Registry::with_prefix("mpc_gateway"));
        let took: Family<_, _, fn() -> _> = Family::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register("requests", "Requests by route and status", requests.clone());
        registry.register_with_unit("request", "Time of requests by route", Unit::Seconds, took.clone());
        let published = Family::default();
        registry.register("published", "Answers for the WebSocket by outcome", published.clone());
        Self { registry, requests, took, published }
    }

    /// Counts a request that ended with `status`.
    pub(crate) fn ended(&self, route: &'static str, status: StatusCode, took: Duration) {
        self.requests.get_or_create(&Ended { route, status: status.as_u16() }).inc();
        self.took.get_or_create(&OfRoute { route }).observe(took.as_secs_f64());
    }

    /// The counter of answers for the WebSocket that were `sent` or `dropped`.
    pub(crate) fn published(&self, outcome: &'static str) -> Counter {
        self.published.get_or_create_owned(&Published { outcome })
    }

    /// All counters, as OpenMetrics.
    pub(crate) fn page(&self) -> Result<Reply, Failure> {
        let mut body = String::new();
        let failed = |_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics cannot be encoded");
        text::encode(&mut body, &self.registry).map_err(failed)?;
        Ok(content("application/openmetrics-text; version=1.0.0; charset=utf-8", body))
    }
}
