//! `[[clients]]` and `[limits.client]`: the clients that may come in, and the share of the party that each may use.

use std::fmt;

use garde::Validate;
use mpc_core::network::identity::Fingerprint;
use serde::Deserialize;

/// A client whose key is known.
#[derive(Debug, Clone, PartialEq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The client's name, for people and logs.
    #[garde(length(min = 1, max = 100))]
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits each, as `mpc-client init` prints them; several while a key is replaced.
    #[garde(length(min = 1, max = 16))]
    pub fingerprints: Vec<Fingerprint>,
    /// Clients of one tenant share its models and do not see those of others. All three parties must configure the same
    /// tenant.
    #[serde(default = "Client::default_tenant")]
    #[garde(length(min = 1, max = 100))]
    pub tenant: String,
    /// The client's rights.
    #[serde(default = "Client::default_rights")]
    #[garde(skip)]
    pub may: Vec<Right>,
    /// Overrides [`ClientLimits::requests_per_minute`].
    #[garde(range(min = 1))]
    requests_per_minute: Option<u32>,
    /// Overrides [`ClientLimits::concurrent`].
    #[garde(range(min = 1, max = 4_096))]
    concurrent: Option<usize>,
    /// Overrides [`ClientLimits::input_mib`].
    #[garde(range(min = 1, max = 4_096))]
    input_mib: Option<usize>,
}

impl Client {
    /// The tenant of clients that name none.
    pub const DEFAULT_TENANT: &str = "default";

    fn default_tenant() -> String {
        Self::DEFAULT_TENANT.into()
    }

    fn default_rights() -> Vec<Right> {
        vec![Right::Classify]
    }

    /// The client's limits: those of its own entry, else those of `otherwise`.
    pub(crate) fn limits(&self, otherwise: &ClientLimits) -> ClientLimits {
        ClientLimits {
            requests_per_minute: self.requests_per_minute.unwrap_or(otherwise.requests_per_minute),
            concurrent: self.concurrent.unwrap_or(otherwise.concurrent),
            input_mib: self.input_mib.unwrap_or(otherwise.input_mib),
        }
    }
}

/// A right that a client may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Ask questions, and list the models.
    Classify,
    /// Upload models, put them into service and take them out.
    Publish,
    /// Enrol persons in galleries and remove them.
    Enrol,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Classify => "classify",
            Right::Publish => "publish",
            Right::Enrol => "enrol",
        })
    }
}

/// The limits of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct ClientLimits {
    /// Requests of any kind, all of which may come at once after a silent minute.
    #[garde(range(min = 1))]
    pub requests_per_minute: u32,
    /// Questions that wait or run at the same time.
    #[garde(range(min = 1, max = 4_096))]
    pub concurrent: usize,
    /// Share of the input of one request, in MiB per component.
    #[garde(range(min = 1, max = 4_096))]
    input_mib: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { requests_per_minute: 6000, concurrent: 256, input_mib: 64 }
    }
}

impl ClientLimits {
    /// Maximum number of words in a component of an input share.
    pub(crate) fn input_words(&self) -> usize {
        self.input_mib << 17
    }
}
