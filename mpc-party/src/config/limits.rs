//! `[limits]`: the load that a party takes on.

use std::time::Duration;

use garde::Validate;
use mpc_core::wire::peer::MAX_GALLERY;
use serde::Deserialize;

use super::clients::ClientLimits;
use crate::machine;

/// The load that the party takes on at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Maximum number of running sessions; only P0's setting counts, and further requests wait in order.
    #[garde(range(min = 1, max = 256))]
    pub sessions: usize,
    /// Maximum number of waiting requests; further ones are refused.
    #[garde(range(min = 1, max = 4_096))]
    pub waiting: usize,
    /// Time limit of a session, in seconds.
    #[garde(range(min = 1, max = 86_400))]
    session_timeout_s: u64,
    /// Longest wait for a peer's or a client's next message, in seconds.
    #[garde(range(min = 1, max = 3_600))]
    wait_s: u64,
    /// Seconds that a stopping party waits for the requests it has taken on; `session_timeout_s` by default.
    #[garde(inner(range(max = 86_400)))]
    drain_s: Option<u64>,
    /// Windows (samples) in one request.
    #[garde(range(min = 1, max = 65_536))]
    pub batch: usize,
    /// Memory that one session may need, in MiB, by an upper estimate that leaves out the weights.
    #[garde(range(min = 16, max = 1_048_576))]
    pub session_mib: u64,
    /// Memory that all admitted sessions may need together, in MiB, by the same estimate. Three quarters of the memory
    /// that the process may use, where that is known.
    #[garde(range(min = 16, max = 16_777_216))]
    pub memory_mib: u64,
    /// Weight share of one model, in MiB per component.
    #[garde(range(min = 1, max = 4_096))]
    model_mib: usize,
    /// Models in service, all tenants together; as many more may be uploaded and wait.
    #[garde(range(min = 1, max = 32))]
    pub models: usize,
    /// Persons enrolled with one model.
    #[garde(range(min = 1, max = MAX_GALLERY))]
    pub templates: usize,
    /// The limits of each client whose own entry does not override them.
    #[garde(dive)]
    pub client: ClientLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 8,
            waiting: 1024,
            session_timeout_s: 120,
            wait_s: 10,
            drain_s: None,
            batch: 256,
            session_mib: 4096,
            memory_mib: machine::memory_mib().map_or(8 * 4096, |mib| (mib * 3 / 4).max(16)),
            model_mib: 256,
            models: 16,
            templates: 10_000,
            client: ClientLimits::default(),
        }
    }
}

impl Limits {
    /// Time limit of a session.
    pub fn session_timeout(&self) -> Duration {
        Duration::from_secs(self.session_timeout_s)
    }

    /// Longest wait for a peer's or a client's next message.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_s)
    }

    /// Longest wait for the requests taken on, once the party is told to stop.
    pub fn drain(&self) -> Duration {
        self.drain_s.map_or_else(|| self.session_timeout(), Duration::from_secs)
    }

    /// Maximum number of words in a component of a model's weight share.
    pub fn model_words(&self) -> usize {
        self.model_mib << 17
    }
}
