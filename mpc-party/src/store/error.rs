//! The errors of a store.

use std::fmt;
use std::path::PathBuf;

/// The result of everything that a store does.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An error of the share store. Printed, each says what to do; none contains a share or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store open.
    #[error("the share store {} is open in another process; stop the party first", .0.display())]
    InUse(PathBuf),
    /// The store was made with another key.
    #[error("cannot open the share store {}: the store key is not the one that it was made with", .0.display())]
    WrongKey(PathBuf),
    /// Somebody without the key has changed a record.
    #[error("{0} does not match its seal: another key, or the file was changed")]
    Damaged(String),
    /// A record is missing.
    #[error("{0}")]
    Missing(String),
    /// The list in service is not the one to be replaced.
    #[error("what is in service changed meanwhile: it is at change {found}, not {expected}")]
    Conflict {
        /// The revision to be replaced.
        expected: u64,
        /// The revision in the store.
        found: u64,
    },
    /// The database cannot be read or written.
    #[error("share store {}: {reason}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// The message of the database.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{what}: {reason}")]
    File {
        /// The operation, with the file.
        what: String,
        /// The message of the operating system.
        reason: String,
    },
    /// The operation is not possible; the text says why.
    #[error("{0}")]
    Refused(String),
    /// Random numbers or the encoding of a record failed.
    #[error(transparent)]
    Core(#[from] mpc_core::Error),
}

impl StoreError {
    /// Makes a [`StoreError::File`] from a message of the operating system.
    pub(crate) fn file<E: fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::File { what, reason: error.to_string() }
    }
}
