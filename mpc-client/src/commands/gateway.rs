//! `gateway`: the same questions over HTTP.

use mpc_client::{Client, Error, Result};
use mpc_client_gateway::{Options, Servers};
use mpc_client_local::LocalCluster;

use super::{Needed, connect, interrupted};
use crate::cli::{GatewayArgs, Global};
use crate::output::{Progress, print_json, print_line, print_warning};

/// The cluster that the options name, or the three servers started for the gateway.
struct Cluster {
    global: Global,
    /// Shown until the first attempt is over.
    progress: Option<Progress>,
    parties: Option<LocalCluster>,
}

impl Servers for Cluster {
    async fn connect(&mut self) -> Result<Client> {
        match &mut self.parties {
            Some(parties) => parties.connect().await,
            parties => {
                let progress = self.progress.take().unwrap_or_else(Progress::hidden);
                connect(&self.global, Needed::All, parties, &progress).await
            }
        }
    }

    /// Problems on this machine do not pass by themselves.
    fn may_pass(&self, error: &Error) -> bool {
        !self.global.local && ![1, 2].contains(&error.exit_code())
    }
}

/// Serves until the program is stopped.
pub(crate) async fn run(global: Global, args: GatewayArgs) -> Result<()> {
    if global.clear || global.csv {
        return Err(Error::Usage(
            "the gateway asks the servers and answers in JSON: leave --clear and --csv out".into(),
        ));
    }
    let options = Options {
        listen: args.listen,
        token_file: args.token_file,
        max_mib: args.max_mib,
        concurrent: args.concurrent,
        analyzer_id: args.analyzer_id,
        publish: args.publish,
        timeout: global.timeout,
        warn: print_warning,
    };
    let json = global.json;
    let listening = move |address| {
        let listen = format!("http://{address}");
        match json {
            true => print_json(&serde_json::json!({ "command": "gateway", "listen": listen })),
            false => print_line(&format!("listening on {listen}")),
        }
    };
    let servers = Cluster { global, progress: Some(Progress::start()), parties: None };
    mpc_client_gateway::run(options, servers, listening, interrupted()).await
}
