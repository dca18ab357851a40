//! `gateway`: the options of the HTTP gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use mpc_client_gateway::Url;

#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// Where to listen. Anything but this machine's own loopback address needs --token-file
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7070")]
    pub(crate) listen: SocketAddr,
    /// Answer only requests with `Authorization: Bearer TOKEN`, for the tokens in this file, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Largest request in MiB
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) max_mib: u64,
    /// Requests worked on at a time; further callers are told to come back (503)
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) concurrent: u16,
    /// The `analyzer_id` in answers about two recordings
    #[arg(long, value_name = "NAME", default_value = "mpc-client")]
    pub(crate) analyzer_id: String,
    /// Also send answers about two recordings to this WebSocket, ws://HOST:PORT/PATH. They travel unencrypted
    #[arg(long, value_name = "URL", env = "MPC_PUBLISH", hide_env_values = true)]
    pub(crate) publish: Option<Url>,
}
