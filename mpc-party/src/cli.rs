//! The command line of `mpc-party`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mpc_core::wire::message::{Maintenance, Reply, Request};
use serde_json::json;

use crate::check::check;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::health::Health;
use crate::keys::{self, Certificate};
use crate::store::{self, Store, StoreError};
use crate::{health, operator, telemetry};

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
  mpc-party check --config party/party.toml

Exit codes: 0 done or healthy   1 internal error or unhealthy   2 usage or bad configuration   3 degraded";

/// The exit code of `health` for a party that serves, but not everything.
const DEGRADED: u8 = 3;

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this party's key and certificate and the key that its share store is sealed with
    ///
    /// The key never expires, and others know this party by its fingerprint. The certificate expires; `init` renews it,
    /// for the same key, when it runs within 30 days of the expiry.
    #[command(after_help = "Existing keys are kept: run it again to see the fingerprint.")]
    Init {
        /// Folder for the keys; created if it does not exist
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        #[command(flatten)]
        certificate: Certificate,
        /// Renew the certificate of the existing key, and do nothing else
        #[arg(long)]
        renew: bool,
        /// With --renew: renew only if the certificate expires within 30 days, for use by a timer
        #[arg(long, requires = "renew")]
        if_due: bool,
    },
    /// Replace this party's key without an interruption
    Rotate {
        /// Folder with the keys; the next ones go into the folder `next` in it
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        #[command(flatten)]
        certificate: Certificate,
        /// Install the next key, and move the old one into the folder `previous`
        #[arg(long)]
        finish: bool,
    },
    /// Serve until SIGTERM or Ctrl-C
    #[command(after_help = "Every key of the file can be set in the environment: MPC_PARTY_LIMITS__SESSIONS=4.")]
    Serve {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
    },
    /// Maintain the share store: verify it, back it up, restore it
    #[command(subcommand)]
    Store(StoreCommand),
    /// Check everything that can keep this party from serving: its files, itself if it runs, its peers and the lines to
    /// them
    ///
    /// Exits with 0 if there is no problem, with 1 if there is one, with 2 if the configuration cannot be used.
    Check {
        /// Configuration file of that party
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Report the health of the party on this machine
    ///
    /// Exits with 0 if it serves everything in service, with 1 if it serves no new requests or does not answer, with 3
    /// if it serves but a model is damaged or older than at the others, or templates are missing.
    Health {
        /// Configuration file of that party
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Exit with 0 as long as new requests are served, for a supervisor that restarts an unhealthy party
        #[arg(long)]
        ready: bool,
    },
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Read every record: check that all seals hold, all shares are whole and everything in service is there; exit code
    /// 1 if not
    #[command(after_help = "Works whether or not the party serves.")]
    Verify {
        /// Configuration file of that party
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
    },
    /// Write all records, as they are at one instant, to a new file
    #[command(after_help = "\
Works while the party serves; then the party itself writes the file. The backup is sealed with the store key: keep the two
apart, and neither where another party's backup lies.")]
    Backup {
        /// The new file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Configuration file of that party
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
    },
    /// Replace the store by a backup and keep the old store beside it; stop the party first
    #[command(after_help = "\
What was published after the backup is missing then: the party says so when it is started and connected, and publishing
those models again repairs it.")]
    Restore {
        /// The backup
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// Configuration file of that party
        #[arg(long, value_name = "FILE", default_value = "party.toml")]
        config: PathBuf,
    },
}

impl StoreCommand {
    fn config(&self) -> &Path {
        match self {
            Self::Verify { config } | Self::Backup { config, .. } | Self::Restore { config, .. } => config,
        }
    }
}

/// Runs a command line, which begins with the program's name, and prints the result or the error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, a mistake to standard error; if neither can be written, the exit code
            // remains.
            drop(error.print());
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let (ended, code) = match &cli.command {
        Command::Init { dir, certificate, renew: true, if_due } => {
            (keys::renew(dir, certificate, *if_due).map(|()| ExitCode::SUCCESS), 2)
        }
        Command::Init { dir, certificate, .. } => (keys::init(dir, certificate).map(|()| ExitCode::SUCCESS), 2),
        Command::Rotate { dir, finish: true, .. } => (keys::finish_rotation(dir).map(|()| ExitCode::SUCCESS), 2),
        Command::Rotate { dir, certificate, .. } => (keys::rotate(dir, certificate).map(|()| ExitCode::SUCCESS), 2),
        Command::Serve { config } => match configure(config) {
            Ok((config, _log)) => (crate::serve(&config).map(|()| ExitCode::SUCCESS), 1),
            Err(error) => (Err(error), 2),
        },
        Command::Store(command) => match Config::load(command.config()) {
            Ok(config) => (tend_store(&config, command).map(|()| ExitCode::SUCCESS), 1),
            Err(error) => (Err(error), 2),
        },
        Command::Check { config, json } => match Config::load(config) {
            Ok(config) => (report_check(&config, *json), 1),
            Err(error) => (Err(error), 2),
        },
        Command::Health { config, json, ready } => match Config::load(config) {
            Ok(config) => (report_health(&config, *json, *ready), 1),
            Err(error) => (Err(error), 2),
        },
    };
    ended.unwrap_or_else(|error| {
        // If standard error is closed, the exit code remains.
        drop(writeln!(anstream::stderr(), "mpc-party: {error}"));
        ExitCode::from(match error {
            Error::Core(mpc_core::Error::System { .. })
            | Error::Store(StoreError::Core(mpc_core::Error::System { .. })) => 1,
            _ => code,
        })
    })
}

fn configure(path: &Path) -> Result<(Config, telemetry::log::Log)> {
    let config = Config::load(path)?;
    let log = telemetry::log::Log::start(&config)?;
    Ok((config, log))
}

fn report_check(config: &Config, json: bool) -> Result<ExitCode> {
    let report = check(config)?;
    let text = if json {
        json!({ "good": report.is_good(), "findings": report.findings }).to_string() + "\n"
    } else {
        report.to_string()
    };
    write!(anstream::stdout(), "{text}").map_err(Error::system("standard output"))?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Works on the database directly, or through the party that has it open.
fn tend_store(config: &Config, command: &StoreCommand) -> Result<()> {
    let through_the_party = |task| match operator::ask(config, Request::Operate(task))? {
        Reply::Operated { lines } => Ok(lines),
        other => Err(Error::Party(format!("the party answered another question: {other:?}"))),
    };
    let lines = match command {
        StoreCommand::Verify { .. } => match Store::open_if_free(&config.data, &config.store_key()?)? {
            Some(store) => store.verify()?.into_lines()?,
            None => through_the_party(Maintenance::Verify)?,
        },
        StoreCommand::Backup { to, .. } => match Store::open_if_free(&config.data, &config.store_key()?)? {
            Some(store) => store.backup(to).map(|()| vec![format!("wrote {}", to.display())])?,
            None => {
                let to = std::path::absolute(to).map_err(Error::system(to.display().to_string()))?;
                let to = to.into_os_string().into_string();
                let to = to.map_err(|to| Error::Setting(format!("{}: not Unicode", to.display())))?;
                through_the_party(Maintenance::Backup { to })?
            }
        },
        StoreCommand::Restore { from, .. } => {
            let kept = store::restore(from, &config.data, &config.store_key()?)?;
            let kept = kept.map(|kept| format!("the previous store is now {}", kept.display()));
            kept.into_iter().chain([format!("restored {}", from.display())]).collect()
        }
    };
    lines.iter().try_for_each(|line| writeln!(anstream::stdout(), "{line}")).map_err(Error::system("standard output"))
}

fn report_health(config: &Config, json: bool, ready: bool) -> Result<ExitCode> {
    let status = health::ask(config)?;
    let health = Health::of(&status);
    let line = if json {
        json!({
            "health": health,
            "healthy": health == Health::Healthy,
            "not_ready": status.not_ready,
            "problems": status.problems,
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
    writeln!(anstream::stdout(), "{line}").map_err(Error::system("standard output"))?;
    Ok(match health {
        Health::Healthy => ExitCode::SUCCESS,
        Health::Degraded if ready => ExitCode::SUCCESS,
        Health::Degraded => ExitCode::from(DEGRADED),
        Health::NotReady => ExitCode::FAILURE,
    })
}
