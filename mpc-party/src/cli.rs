//! The command line of `mpc-party`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use mpc_core::network::identity::{self, Identity};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Log, LogFormat};
use crate::health;
use crate::store::{KEY_FILE, StoreKey};

/// One of the three servers that answer questions about recordings and pictures without seeing them.
#[derive(Debug, Parser)]
#[command(name = "mpc-party", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Three organisations run one party each:
  mpc-party init --dir party            once; exchange the printed fingerprints
  mpc-party serve --config party/party.toml
  mpc-party health --config party/party.toml

Exit codes: 0 done or healthy   1 internal error or unhealthy   2 usage or bad configuration";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this party's key and certificate and the key that its share store is sealed with
    #[command(after_help = "Existing keys are kept: run it again to see the fingerprint.")]
    Init {
        /// Folder for the keys; made if it is not there
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Name in the certificate, for people
        #[arg(long, default_value = "mpc-party")]
        name: String,
    },
    /// Serve until SIGTERM or Ctrl-C
    #[command(after_help = "Every key of the file can be set in the environment: MPC_PARTY_LIMITS__SESSIONS=4.")]
    Serve {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
    },
    /// Ask the party on this machine how it is; exit code 0 if it serves and both peers are connected
    Health {
        /// Configuration file of that party
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command line, the program's name first, and prints what there is to say.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, a mistake to standard error; where neither can be written, the code says it.
            drop(error.print());
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let (ended, code) = match &cli.command {
        Command::Init { dir, name } => (init(dir, name).map(|()| ExitCode::SUCCESS), 2),
        Command::Serve { config } => match configure(config) {
            Ok(config) => (crate::serve(&config).map(|()| ExitCode::SUCCESS), 1),
            Err(error) => (Err(error), 2),
        },
        Command::Health { config, json } => match Config::load(config) {
            Ok(config) => (report_health(&config, *json), 1),
            Err(error) => (Err(error), 2),
        },
    };
    ended.unwrap_or_else(|error| {
        // Where standard error is closed, the exit code remains.
        drop(writeln!(anstream::stderr(), "mpc-party: {error:#}"));
        ExitCode::from(code)
    })
}

fn configure(path: &Path) -> Result<Config> {
    let config = Config::load(path)?;
    start_log(&config.log)?;
    Ok(config)
}

fn start_log(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.level).with_context(|| format!("log.level {:?}", log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => builder.json().with_current_span(true).try_init(),
        LogFormat::Pretty => {
            builder.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
        }
    };
    started.map_err(|e| anyhow::anyhow!("cannot start the log: {e}"))
}

fn init(dir: &Path, name: &str) -> Result<()> {
    let existing = dir.join(identity::KEY_FILE).exists();
    let identity = if existing { Identity::load(dir)? } else { Identity::generate(name)? };
    if !existing {
        identity.save(dir)?;
    }
    if !dir.join(KEY_FILE).exists() {
        StoreKey::fresh()?.save(&dir.join(KEY_FILE))?;
    }
    let fingerprint = identity.fingerprint();
    let what = if existing { "This party's key is there already" } else { "Made this party's key" };
    write!(
        anstream::stdout(),
        "\
{what}, in {dir}. Its fingerprint:

  {fingerprint}

What to do next:
 1. Give the fingerprint and your address to the operators of the other two parties, and agree on the order of the three.
 2. Write cluster.toml, the same for all parties and clients, with three entries in that order:

      [[parties]]
      name = {name:?}
      addresses = [\"your.host.example:7100\"]
      fingerprints = [\"{fingerprint}\"]

 3. Write {dir}/party.toml:

      role = 0                      # 0, 1 or 2: your place in cluster.toml
      listen = \"0.0.0.0:7100\"       # UDP
      cluster = \"cluster.toml\"

      [security]
      minimum = \"passive\"           # \"active\" refuses questions that a cheating server could answer wrongly

      [[clients]]                   # who may ask: the fingerprint that `mpc-client init` prints
      name = \"alice\"
      fingerprint = \"sha256:...\"

      [[publishers]]                # who may publish models
      name = \"bob\"
      fingerprint = \"sha256:...\"

 4. mpc-party serve --config {dir}/party.toml
",
        dir = dir.display(),
    )
    .context("standard output")
}

fn report_health(config: &Config, json: bool) -> Result<ExitCode> {
    let status = health::ask(config)?;
    let healthy = health::is_healthy(&status);
    let line = if json {
        json!({
            "healthy": healthy,
            "program": status.program,
            "role": status.role,
            "peers": status.peers,
            "sessions": status.sessions,
            "models": status.models,
        })
        .to_string()
    } else {
        health::describe(&status)
    };
    writeln!(anstream::stdout(), "{line}").context("standard output")?;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
