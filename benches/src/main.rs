//! Times whole programs on three processes over QUIC with mutual TLS.
//!
//! ```text
//! cargo run --release -p benches -- --programs emotion40,lenet5 --runs 5 [--security passive,active] [--link wan]
//! [--json]
//! ```
//!
//! The parent plays the owner of model and input: it draws random weights and inputs N(0, 1), declared within 8,
//! compiles the network through the same passes as an imported model (so that every width comes from a bound), shares
//! everything and starts this program three times, once per party. The time of a run goes from shares in place to
//! output shared, between a barrier and the end of the evaluation, at the slowest party; keys and streams are fresh for
//! every run, and nothing is precomputed. The first run warms up and does not count. The result is compared with the
//! network in float64.
//!
//! An evaluation ends when its output may leave the party, so the time includes all checks of active security. The
//! modes take turns within the same three processes, run by run; separate processes measure the peak memory of each.
//!
//! | program | what |
//! |---|---|
//! | `emotionL` | L x 1: Conv1D 128 k5 same, ReLU, MaxPool 8, Conv1D 128 k5 same, ReLU, Dense 8, argmax |
//! | `lenet5` | 28x28x1: conv20 5x5, ReLU, pool 2, conv50 5x5, ReLU, pool 2, fc500, ReLU, fc10 |
//! | `lenet5avg` | the same with average pools |
//! | `face64` | 64x64x1: three times (conv 3x3 same 32/64/128, ReLU, pool 2), fc128 |
//! | `resnet18` | 32x32x3: CIFAR stem, batch norms folded, average pool, fc10; calibrated bounds |
//! | `reluN`, `mulN` | max(x, 0), x * y with truncation, on N elements |
//! | `matmulN` | N x N times N x N with truncation |
//! | `roundN` | consecutive rounds of N bytes around the ring, against blocking TCP with TLS |
//! | `besideN` | consecutive rounds of N bytes beside a session with messages of 1 MiB, against the same rounds alone |
//!
//! `reluN`, `mulN` and `matmulN` compute on weights, so they do not include the lift of an input. `mulN` and `matmulN`
//! truncate their result, as if more were to be computed with it. The networks end with their last layer (or argmax):
//! the client gets the scores with all their fractional bits.
//!
//! Options: `--link` puts a [relay] between the parties that emulates a LAN or WAN. `--batch` evaluates several inputs
//! at once, `--sessions` runs as many sessions at the same time, in turn with one alone. `--rival` runs another
//! program's [command](rival) between the two halves of the runs.
//!
//! There is a line of JSON for each variant of a program, with `program`, `link`, `batch`, `sessions`, `security`,
//! `wall_s` (`median`, `min`, `max`), `inputs_per_s` (of the median run), `cpu_s` (all parties, median), `bytes_sent`
//! (payload of each party in one session), `rounds`, `peak_rss_mb` (largest party), `max_abs_error`. The line of active
//! security adds its ratios to passive security: `wall_ratio` (median of the ratios of consecutive runs), `bytes_ratio`
//! (all parties) and `memory_ratio`. A line of rounds adds its ratios to the rounds it is compared with, which have a
//! line of their own. Several sessions add `throughput_ratio`, their inputs per second over those of one session. With
//! a rival there is `rival`: its `wall_s`, `max_abs_error`, and `ratio`, its time over ours for one input.
//! `predicted_s` is the [prediction] for one session, and `measured_by_predicted` the median over that.
//!
//! `benches check` compares rounds and bytes with `benches/expected.toml`, see [`guard`]; `benches report` writes
//! `docs/performance.md` from lines of JSON, see [`report`].

mod guard;
mod job;
mod measurement;
mod owner;
mod party;
mod prediction;
mod programs;
mod relay;
mod report;
mod rival;
mod rounds;
mod session;
mod testbed;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use mpc_core::session::Mode;

use crate::measurement::Measurement;
use crate::owner::{Options, Owner};
use crate::relay::EmulatedLink;
use crate::rival::Rival;

/// Times whole programs on three processes over QUIC.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    measure: Measure,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Measure {
    /// Programs to time, separated by commas: emotionL, lenet5, lenet5avg, face64, resnet18, reluN, mulN, matmulN,
    /// roundN, besideN.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "emotion40,emotion216,lenet5,lenet5avg,face64,resnet18,relu100000,mul1000000,matmul512"
    )]
    programs: Vec<String>,

    /// Timed runs of each program.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Security modes, separated by commas: passive, active, strict. Their runs take turns in the same three processes.
    #[arg(long, value_delimiter = ',', default_value = "passive,active", value_parser = mode)]
    security: Vec<Mode>,

    /// The link between the parties: loopback, lan (0.2 ms round trip, 1 Gbit/s), wan (40 ms, 100 Mbit/s), or a
    /// round-trip time and a rate such as 40ms,100Mbit.
    #[arg(long, default_value = "loopback")]
    link: EmulatedLink,

    /// Inputs in a run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,

    /// Sessions at the same time, in turn with one alone.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    sessions: u16,

    /// A command that prints such lines of JSON too, run between the two halves of the runs, with {programs}, {runs}
    /// and {link} replaced.
    #[arg(long)]
    rival: Option<String>,

    /// Print one JSON object per program and variant instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Compare the rounds and bytes of programs with those expected, and their paired times loosely.
    Check(guard::Check),
    /// Write a page with tables and plots from measured lines of JSON.
    Report(report::ReportArgs),
    /// Run the party with this role in a folder made by the parent.
    #[command(hide = true)]
    Party { index: usize, folder: PathBuf },
}

fn mode(text: &str) -> Result<Mode, String> {
    [Mode::Passive, Mode::Active, Mode::Strict]
        .into_iter()
        .find(|mode| mode.to_string() == text)
        .ok_or_else(|| "passive, active or strict".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => measure(cli.measure),
        Some(Command::Check(check)) => check.run(),
        Some(Command::Report(report)) => report.run(),
        Some(Command::Party { index, folder }) => party::run(index, &folder),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Times the programs and prints the results.
fn measure(measure: Measure) -> Result<()> {
    let Measure { programs, runs, mut security, link, batch, sessions, rival, json } = measure;
    security.sort();
    security.dedup();
    let rival = rival.as_deref().map(Rival::new);
    let options = Options { runs, link, batch: batch.into(), sessions: sessions.into(), modes: security, rival };
    let owner = Owner::new(&options)?;
    let mut out = anstream::stdout();
    if !json {
        Measurement::print_heading(&mut out)?;
    }
    for name in programs {
        for measurement in owner.time(&name).with_context(|| name.clone())? {
            if json { measurement.print_json(&mut out)? } else { measurement.print_row(&mut out)? }
        }
    }
    Ok(())
}
