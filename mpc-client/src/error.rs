//! What can go wrong on the client's side: one line for people with the next step, and an exit code for scripts.

use std::path::Path;
use std::time::Duration;

use mpc_core::error::Step;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line or something it names is wrong: a missing cluster file, an unknown model, a broken manifest.
    #[error("{0}")]
    Usage(String),
    /// An input cannot be used: not found, not a recording or picture, out of the model's declared range.
    #[error("{0}")]
    Input(String),
    /// A party does not answer, or shows another key than the cluster file lists.
    #[error("no connection to {party} at {reason}")]
    Unreachable {
        /// Role and name of the party.
        party: String,
        /// Where we looked, what happened, and what to do.
        reason: String,
    },
    /// A party does not know us.
    #[error("{0}")]
    NotTrusted(String),
    /// A party will not serve the request, or speaks another version of the protocol. Nothing was computed.
    #[error("{party} refuses: {reason}")]
    Refused {
        /// Role and name of the party.
        party: String,
        /// What it said.
        reason: String,
    },
    /// The three parties do not tell the same story, so there is no answer to believe.
    #[error("the three parties disagree: {0}")]
    Disagreement(String),
    /// A check of active security failed, at the parties or here. Whose fault it is cannot be known.
    #[error(
        "a server deviated from the protocol (found in {step}), so there is no answer. Your input stays secret as long as no \
         two servers work together. Tell the three operators: their logs name the session"
    )]
    Cheating {
        /// The check.
        step: Step,
    },
    /// The session ended without an answer.
    #[error("{0}")]
    Aborted(String),
    /// The answer did not come in time.
    #[error("no answer within {0:?}; give it longer with --timeout SECONDS")]
    Timeout(Duration),
    /// A bug, or an operating system that does not do what it should.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// What the process exits with: 1 internal, 2 usage or bad input, 3 unreachable or not trusted, 4 refused,
    /// mismatched or aborted, 5 cheating.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Internal(_) => 1,
            Error::Usage(_) | Error::Input(_) => 2,
            Error::Unreachable { .. } | Error::NotTrusted(_) => 3,
            Error::Refused { .. } | Error::Disagreement(_) | Error::Aborted(_) | Error::Timeout(_) => 4,
            Error::Cheating { .. } => 5,
        }
    }

    /// The same for scripts that read `--json`, finer.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Usage(_) => "usage",
            Error::Input(_) => "input",
            Error::Unreachable { .. } => "unreachable",
            Error::NotTrusted(_) => "not-trusted",
            Error::Refused { .. } => "refused",
            Error::Disagreement(_) => "disagreement",
            Error::Cheating { .. } => "cheating",
            Error::Aborted(_) => "aborted",
            Error::Timeout(_) => "timeout",
            Error::Internal(_) => "internal",
        }
    }

    /// A file that cannot be read or written.
    pub fn file(path: &Path, error: impl std::fmt::Display) -> Self {
        Error::Usage(format!("{}: {error}", path.display()))
    }
}

/// Errors of the shared floors that reach the client: files it named, models it imports, duplicates it compares.
impl From<mpc_core::Error> for Error {
    fn from(error: mpc_core::Error) -> Self {
        match error {
            mpc_core::Error::Invalid { .. } | mpc_core::Error::Model { .. } => Error::Usage(error.to_string()),
            mpc_core::Error::Cheating { step } => Error::Cheating { step },
            _ => Error::Aborted(error.to_string()),
        }
    }
}
