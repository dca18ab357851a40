//! `mpc-party`: one of the three servers.

use std::process::ExitCode;

use mpc_core::kernel::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    mpc_party::cli::run(std::env::args_os())
}
