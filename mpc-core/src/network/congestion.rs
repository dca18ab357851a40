//! Congestion control: Cubic, with an upper bound on the bytes in flight.
//!
//! On a short path without losses Cubic's window only grows, and what exceeds the product of rate and delay queues in
//! the receiver's socket, ahead of the small messages of other sessions.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// More bytes per microsecond than any connection carries: encryption and system calls take longer.
const RATE: u64 = 2000;

/// Bytes in flight allowed on the shortest path; fewer leave gaps while the I/O threads take turns.
const LEAST: u64 = 128 << 10;

/// Bytes in flight allowed before a delay is known; more than Cubic's default, because a layer is one message.
const INITIAL: u64 = 1 << 20;

/// Makes [`Bounded`] controllers.
pub(super) struct BoundedConfig;

impl ControllerFactory for BoundedConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(INITIAL);
        Box::new(Bounded { cubic: Arc::new(cubic).build(now, current_mtu), bound: INITIAL })
    }
}

/// Cubic, bounded by what the shortest delay so far allows.
struct Bounded {
    cubic: Box<dyn Controller>,
    bound: u64,
}

impl Controller for Bounded {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.bound = LEAST.max(RATE.saturating_mul(rtt.min().as_micros() as u64));
        // An unused window says nothing about the path, and would still be too large after a loss halves it.
        let limited = app_limited || self.cubic.window() > self.bound;
        self.cubic.on_ack(now, sent, bytes, limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost: u64) {
        self.cubic.on_congestion_event(now, sent, persistent, lost);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().min(self.bound)
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { cubic: self.cubic.clone_box(), bound: self.bound })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
