//! The command line program under test.

use std::path::Path;

use assert_cmd::Command;

/// The program in `dir`, without any configuration.
pub(crate) fn client(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpc-client"));
    command.current_dir(dir).env("HOME", dir).env("XDG_CONFIG_HOME", dir.join("config"));
    for name in ["MPC_CLUSTER", "MPC_MODELS", "MPC_IDENTITY", "MPC_PUBLISH"] {
        command.env_remove(name);
    }
    command
}

/// Standard output, standard error and exit code.
pub(crate) fn run(command: &mut Command) -> (String, String, i32) {
    let output = command.output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr), output.status.code().expect("not killed by a signal"))
}
