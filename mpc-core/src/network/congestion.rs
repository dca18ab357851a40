//! Congestion control: Cubic, with an upper bound on what is under way.
//!
//! On a short path without losses Cubic's window only grows, and what exceeds the product of rate and delay waits in the
//! receiver's socket, in front of the small messages of other sessions.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// More than any connection carries, in bytes per microsecond: encryption and system calls take longer.
const RATE: u64 = 2000;

/// What may be under way on the shortest path; less leaves gaps while the I/O threads take turns.
const LEAST: u64 = 128 << 10;

/// Before a delay is known; more than Cubic's default, because a layer is sent in one message.
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

/// Cubic, and what the least delay so far allows.
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
        // A window that is not used says nothing about the path, and would be too large when a loss halves it.
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
