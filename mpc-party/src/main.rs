//! `mpc-party`: one of the three servers.

use std::process::ExitCode;

fn main() -> ExitCode {
    mpc_party::cli::run(std::env::args_os())
}
