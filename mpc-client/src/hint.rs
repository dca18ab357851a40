//! Adds to an error the option or command that helps: the library itself knows no options.

use mpc_client::Error;
use mpc_core::wire::message::Code;

/// The error, on one line, with the option or command that helps.
pub(crate) fn with_hint(error: &Error) -> String {
    let hint = match error {
        Error::NoCluster { .. } => "pass it with --cluster FILE, or try it on this machine with --local",
        Error::NoModels => "run this in the project's folder, or pass --models DIR",
        Error::UnknownModel { served, .. } if served.is_empty() => "publish one with `mpc-client model publish FOLDER`",
        Error::UnknownPerson { anybody: false, .. } => "`mpc-client face enrol --id NAME PICTURE` enrols somebody",
        Error::UnknownPerson { .. } => "`mpc-client face list` shows who is enrolled",
        Error::WrongTask { compares: true, .. } => "ask `mpc-client face` or `mpc-client verify-speaker`",
        Error::WrongTask { .. } => "ask `mpc-client classify`",
        Error::Timeout(_) => "give it longer with --timeout SECONDS",
        Error::Refused { code: Code::WouldForget, .. } => "--forget-gallery forgets them",
        Error::Refused { code: Code::WeakSecurity, .. } => "choose it with --security",
        _ => return error.to_string(),
    };
    format!("{error}; {hint}")
}
