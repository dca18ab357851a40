//! How a conversation with a caller ends before its answer.

use std::fmt;

use mpc_core::error::Step;
use mpc_core::wire::message::{Code, Refusal, Reply};

/// Why a conversation ends before its answer.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The request was not admitted.
    Refused(Refusal),
    /// The request was admitted, and failed.
    Failed(String),
    /// A check of active security failed.
    Cheating(Step),
    /// The caller has left: nobody remains to be told.
    Left,
}

impl From<mpc_core::Error> for Ended {
    fn from(error: mpc_core::Error) -> Self {
        match error {
            mpc_core::Error::Cheating { step } => Self::Cheating(step),
            other => Self::failed(other),
        }
    }
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Ended {
    /// The request failed for this reason.
    pub(crate) fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// The request failed because of a bug here.
    pub(crate) fn panicked() -> Self {
        Self::Failed("an internal error; the operator's log says more".into())
    }

    /// The caller's last reply, if the caller is there to read it.
    pub(crate) fn into_reply(self) -> Option<Reply> {
        match self {
            Self::Left => None,
            Self::Refused(refusal) => Some(Reply::Refused(refusal)),
            Self::Failed(reason) => Some(Reply::Failed { reason }),
            Self::Cheating(step) => Some(Reply::Cheating { step }),
        }
    }
}

/// The refusal of a first message that cannot be read.
pub(crate) fn unreadable(error: &std::io::Error) -> Refusal {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let code = if let Some(mpc_core::Error::OtherVersion { .. }) = inner { Code::OtherVersion } else { Code::Invalid };
    code.because(error.to_string())
}
