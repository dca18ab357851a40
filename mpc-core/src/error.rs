//! What can go wrong, in kinds a caller can act on.
//!
//! No variant carries a share, a seed or a value derived from one: every text here may be shown to a
//! peer, a client or a log.

use std::time::Duration;

use crate::role::Role;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the cryptography, the network between the parties or the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection to a peer failed or was closed. Act: look at that peer.
    #[error("lost {peer} during {step}: {reason}")]
    Transport {
        /// The peer at the other end.
        peer: Role,
        /// What was being done, for example `receive`.
        step: &'static str,
        /// What the transport said.
        reason: String,
    },
    /// A peer sent nothing for as long as we are willing to wait.
    #[error("{peer} sent nothing for {waited:?} during {step}; it may be down, overloaded or cut off")]
    Timeout {
        /// The silent peer.
        peer: Role,
        /// What was being done.
        step: &'static str,
        /// How long we waited.
        waited: Duration,
    },
    /// A peer sent bytes that do not fit the protocol: another length, another version, another session.
    #[error("{peer} sent something that does not fit: expected {expected}, got {got}")]
    Malformed {
        /// The peer that sent it.
        peer: Role,
        /// What the protocol expects here.
        expected: String,
        /// What came.
        got: String,
    },
    /// A check of active security failed. Somebody deviated; it cannot be known who.
    #[error("a party deviated from the protocol (found in {step}); the session is destroyed and nothing was opened")]
    Cheating {
        /// The step whose check failed.
        step: &'static str,
    },
    /// The session was ended from outside: the client left, an operator or a limit stopped it.
    #[error("the session was ended: {0}")]
    Aborted(String),
    /// A model cannot be imported or evaluated.
    #[error("model: node {node:?} ({op}): {reason}")]
    Model {
        /// Name of the offending node.
        node: String,
        /// Operator, with the opset where that matters.
        op: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A manifest, a file or a public parameter is invalid.
    #[error("{what}: {reason}")]
    Invalid {
        /// The thing that is invalid, for example a file name and a field.
        what: String,
        /// What is wrong and what to do.
        reason: String,
    },
}

impl Error {
    /// Shorthand for [`Error::Model`].
    pub fn model(node: impl Into<String>, op: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Model { node: node.into(), op: op.into(), reason: reason.into() }
    }

    /// Shorthand for [`Error::Invalid`].
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }
}
