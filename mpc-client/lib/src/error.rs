//! Errors of the client: one line for people, and an exit code for scripts. Callers match on the kind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mpc_core::error::Step;
use mpc_core::wire::message::Code;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written, or its content is not valid.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// There is no cluster file.
    #[error(
        "no cluster to ask: $MPC_CLUSTER is not set and there is no {}. Get cluster.toml from the operators of your three servers",
        list(looked)
    )]
    NoCluster {
        /// The places where one was looked for.
        looked: Vec<PathBuf>,
    },
    /// There is no folder of models.
    #[error("there is no folder of models here")]
    NoModels,
    /// The cluster serves no model of that name.
    #[error("the cluster serves no model {name:?}{}", others(served))]
    UnknownModel {
        /// The name.
        name: String,
        /// The names of the models served.
        served: Vec<String>,
    },
    /// Nobody is enrolled under that name.
    #[error("nobody is enrolled {}", if *anybody { format!("as {name:?}") } else { "yet".into() })]
    UnknownPerson {
        /// The name.
        name: String,
        /// Whether somebody else is enrolled.
        anybody: bool,
    },
    /// The model answers another kind of question.
    #[error("the model {model:?} {}", if *compares { "compares inputs and has no labels" } else { "has labels and compares nothing" })]
    WrongTask {
        /// Its name.
        model: String,
        /// Whether it compares.
        compares: bool,
    },
    /// An input cannot be used: not found, not a recording or picture, out of the model's declared range.
    #[error("{0}")]
    Input(String),
    /// A party does not answer, or shows another key than the cluster file lists.
    #[error("no connection to {party} at {reason}")]
    Unreachable {
        /// Role and name of the party.
        party: String,
        /// Where the client looked, what happened, and what to do.
        reason: String,
    },
    /// A party does not know this client.
    #[error("{0}")]
    NotTrusted(String),
    /// A party will not serve the request, or speaks another version of the protocol. Nothing was computed.
    #[error("{party} refuses: {reason}")]
    Refused {
        /// Role and name of the party.
        party: String,
        /// What can be done about it.
        code: Code,
        /// The party's reason.
        reason: String,
    },
    /// The three parties contradict each other, so there is no answer to believe.
    #[error("the three parties disagree: {0}")]
    Disagreement(String),
    /// A check of active security failed, at the parties or here. Nobody can tell whose fault it is.
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
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The operating system denies a resource: random numbers, a process, a socket.
    #[error("{0}")]
    System(String),
    /// A bug.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// The exit code of the process: 1 internal error or fault of the operating system, 2 usage or bad input, also
    /// where a party says so, 3 unreachable or not trusted, 4 refused, mismatched or aborted, 5 cheating.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::System(_) | Error::Internal(_) => 1,
            Error::Usage(_) | Error::File { .. } | Error::NoCluster { .. } | Error::NoModels | Error::Input(_) => 2,
            Error::UnknownModel { .. } | Error::UnknownPerson { .. } | Error::WrongTask { .. } => 2,
            Error::Refused { code: Code::Invalid | Code::TooLarge | Code::NotFound | Code::Taken, .. } => 2,
            Error::Unreachable { .. } | Error::NotTrusted(_) => 3,
            Error::Refused { .. } | Error::Disagreement(_) | Error::Aborted(_) | Error::Timeout(_) => 4,
            Error::Cheating { .. } => 5,
        }
    }

    /// A finer kind, for scripts that read `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Usage(_) | Error::NoCluster { .. } | Error::NoModels | Error::WrongTask { .. } => "usage",
            Error::File { .. } => "file",
            Error::UnknownModel { .. } | Error::UnknownPerson { .. } => "not-found",
            Error::Input(_) => "input",
            Error::Unreachable { .. } => "unreachable",
            Error::NotTrusted(_) => "not-trusted",
            Error::Refused { .. } => "refused",
            Error::Disagreement(_) => "disagreement",
            Error::Cheating { .. } => "cheating",
            Error::Aborted(_) => "aborted",
            Error::Timeout(_) => "timeout",
            Error::System(_) => "system",
            Error::Internal(_) => "internal",
        }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Error::Refused { code, .. } => Some(*code),
            Error::NotTrusted(_) => Some(Code::NotListed),
            _ => None,
        }
    }

    /// A file that cannot be read or written.
    pub fn file(path: &Path, error: impl std::fmt::Display) -> Self {
        Error::File { path: path.to_owned(), reason: error.to_string() }
    }
}

/// Errors of `mpc-core` that reach the client: files it named, models it imports, copies it compares.
impl From<mpc_core::Error> for Error {
    fn from(error: mpc_core::Error) -> Self {
        match error {
            mpc_core::Error::Invalid { .. } | mpc_core::Error::Model { .. } => Error::Usage(error.to_string()),
            mpc_core::Error::File { path, reason } => Error::File { path, reason },
            mpc_core::Error::System { .. } => Error::System(error.to_string()),
            mpc_core::Error::Cheating { step } => Error::Cheating { step },
            _ => Error::Aborted(error.to_string()),
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(" and no ")
}

fn others(served: &[String]) -> String {
    match served {
        [] => ", and no other either".into(),
        served => format!("; it has {}", served.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_s_faults_are_not_the_user_s() {
        let codes = |error: mpc_core::Error| (Error::from(error.clone()).kind(), Error::from(error).exit_code());
        assert_eq!(codes(mpc_core::Error::system("random numbers", "none")), ("system", 1));
        assert_eq!(codes(mpc_core::Error::file(Path::new("cluster.toml"), "none")), ("file", 2));
        assert_eq!(codes(mpc_core::Error::invalid("range", "too large")), ("usage", 2));
    }

    #[test]
    fn what_a_refusal_exits_with_follows_from_its_code() {
        let exits = |code| Error::Refused { party: "P0".into(), code, reason: "so".into() }.exit_code();
        for code in Code::ALL {
            let to_mend = [Code::Invalid, Code::TooLarge, Code::NotFound, Code::Taken].contains(&code);
            assert_eq!(exits(code), if to_mend { 2 } else { 4 }, "{code:?}");
        }
    }
}
