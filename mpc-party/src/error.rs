//! The errors of a party, in kinds that a caller can act on.

use std::fmt;
use std::path::PathBuf;

use crate::store::StoreError;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a party. Printed, each says in one line what is wrong and which file or key to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be read, or one of its keys is wrong.
    #[error("configuration {}: {reason}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// The key and what is wrong with it.
        reason: String,
    },
    /// A setting does not suit the party that it is meant for.
    #[error("{0}")]
    Setting(String),
    /// The party's keys are missing, or must not be changed.
    #[error("{0}")]
    Keys(String),
    /// The share store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An error of `mpc-core`: of a file, a key or the network.
    #[error(transparent)]
    Core(#[from] mpc_core::Error),
    /// The operating system gives no address, file, thread or stream.
    #[error("{what}: {reason}")]
    System {
        /// The resource, with the key of the configuration where there is one.
        what: String,
        /// The message of the system.
        reason: String,
    },
    /// The running party did not answer, or refused, as the text says.
    #[error("{0}")]
    Party(String),
}

impl Error {
    /// Makes an [`Error::System`] from a message of the operating system.
    pub(crate) fn system<E: fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::System { what, reason: error.to_string() }
    }

    /// Makes an [`Error::Party`] from the error of a connection to the running party.
    pub(crate) fn party(error: impl fmt::Display) -> Self {
        Self::Party(error.to_string())
    }
}
