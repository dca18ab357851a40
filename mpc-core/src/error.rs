//! The kinds of failure, each of which a caller can act on.
//!
//! No variant carries a share, a seed or a value derived from one: every text here may be shown to a
//! peer, a client or a log.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::role::Role;

/// The result of every function in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the cryptography, the network between the parties or the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection to a peer failed or was closed. Check that peer.
    #[error("lost {peer} during {step}: {reason}")]
    Transport {
        /// The peer at the other end.
        peer: Role,
        /// The step that failed, for example `receive`.
        step: &'static str,
        /// The message of the transport.
        reason: String,
    },
    /// A peer sent nothing within the session's deadline.
    #[error("{peer} sent nothing for {waited:?} during {step}; it may be down, overloaded or cut off")]
    Timeout {
        /// The silent peer.
        peer: Role,
        /// The step that waited.
        step: &'static str,
        /// How long this party waited.
        waited: Duration,
    },
    /// A peer sent bytes that do not fit the protocol: a wrong length, version or session.
    #[error("{peer} sent something that does not fit: expected {expected}, got {got}")]
    Malformed {
        /// The peer that sent it.
        peer: Role,
        /// What the protocol expects at this point.
        expected: String,
        /// What the peer sent.
        got: String,
    },
    /// A check failed: a party deviated. No party can tell which.
    #[error("a party deviated from the protocol (found in {step}); the session is destroyed")]
    Cheating {
        /// The check that failed.
        step: Step,
    },
    /// The session was ended from outside: the client left, or an operator or a limit stopped it.
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
    /// A file cannot be read or written, or its content is not valid.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// An argument, a field of a manifest or another public parameter is invalid.
    #[error("{what}: {reason}")]
    Invalid {
        /// The name of what is invalid, for example a field.
        what: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The other side speaks another version of the protocol.
    #[error("you speak version {theirs} of the protocol, this party speaks version {ours}; update the older one")]
    OtherVersion {
        /// The version of the sender.
        theirs: u16,
        /// The version of this program.
        ours: u16,
    },
    /// The operating system denies a resource that every program needs: random numbers, a thread, a socket, the time.
    #[error("the operating system gives no {what}: {reason}")]
    System {
        /// The resource.
        what: &'static str,
        /// The message of the operating system.
        reason: String,
    },
}

/// The checks of a session, under the names that peers, operators and clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Step {
    /// Both holders of each component of the model's weights hold the same. Checked in passive mode too.
    Model,
    /// Both holders of each component of the input hold the same. Checked in passive mode too.
    Input,
    /// Both copies of an opened component are the same.
    Opening,
    /// All three parties hold the same coins.
    Coins,
    /// The recorded products are correct.
    Products,
    /// All three parties have the same transcript.
    Transcript,
    /// Both copies of each component of the answer are the same; the client compares them.
    Answer,
    /// Both holders of each component of the enrolled templates hold the same.
    Gallery,
}

impl Step {
    /// Every step; its position is its number on the wire.
    pub const ALL: [Self; 8] = [
        Self::Model,
        Self::Input,
        Self::Opening,
        Self::Coins,
        Self::Products,
        Self::Transcript,
        Self::Answer,
        Self::Gallery,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "the comparison of the model's shares",
            Self::Input => "the comparison of the input's shares",
            Self::Opening => "an opening",
            Self::Coins => "the comparison of the coins",
            Self::Products => "the check of products",
            Self::Transcript => "the comparison of transcripts",
            Self::Answer => "the comparison of the answer's shares",
            Self::Gallery => "the comparison of the enrolled templates' shares",
        })
    }
}

impl Error {
    /// Shorthand for [`Error::Model`].
    pub fn model(node: impl Into<String>, op: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Model { node: node.into(), op: op.into(), reason: reason.into() }
    }

    /// Shorthand for [`Error::File`].
    pub fn file(path: &Path, reason: impl fmt::Display) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }

    /// Shorthand for [`Error::System`].
    pub fn system(what: &'static str, reason: impl fmt::Display) -> Self {
        Self::System { what, reason: reason.to_string() }
    }

    /// Shorthand for [`Error::Invalid`].
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), reason: reason.into() }
    }
}
