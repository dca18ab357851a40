//! A gateway under test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Time limit for everything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A program that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a gateway in `dir` with these arguments and no configuration; returns the address that it prints first.
pub(crate) fn serve(dir: &Path, arguments: &[&str]) -> (Running, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpc-client"));
    for name in ["MPC_CLUSTER", "MPC_MODELS", "MPC_IDENTITY", "MPC_PUBLISH"] {
        command.env_remove(name);
    }
    let program = command.current_dir(dir).arg("gateway").args(arguments).stdout(Stdio::piped()).spawn();
    let mut program = Running(program.expect("the program runs"));
    let mut line = String::new();
    BufReader::new(program.0.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on http://").expect("an address").parse().expect("an address");
    (program, address)
}
