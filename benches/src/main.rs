//! Times whole programs on three processes over loopback QUIC with mutual TLS.
//!
//! ```text
//! cargo run --release -p benches -- --programs emotion40,lenet5 --runs 5 [--security passive,active] [--json]
//! ```
//!
//! The parent plays the owner of model and input: it draws random weights and an input N(0, 1), declared within 8, compiles
//! the network through the same passes as an imported model (so that every width comes from a bound), shares everything
//! and starts itself three times, once per party. A run is timed from shares in place to output shared, between a
//! barrier and the end of the evaluation, and its time is that of the slowest party; keys and streams are fresh for every
//! run, and nothing is computed beforehand. One run to warm up is not counted. The result is held against the network in
//! float64.
//!
//! The end of an evaluation is the output that may leave the party, so all checks of active security are in the time. The
//! modes take turns within the same three processes, run by run; the peak memory of each is measured in processes of its own.
//!
//! | program | what |
//! |---|---|
//! | `emotionL` | L x 1: Conv1D 128 k5 same, ReLU, MaxPool 8, Conv1D 128 k5 same, ReLU, Dense 8, argmax |
//! | `lenet5` | 28x28x1: conv20 5x5, ReLU, pool 2, conv50 5x5, ReLU, pool 2, fc500, ReLU, fc10 |
//! | `face64` | 64x64x1: three times (conv 3x3 same 32/64/128, ReLU, pool 2), fc128 |
//! | `resnet18` | 32x32x3: CIFAR stem, batch norms folded, average pool, fc10; calibrated bounds |
//! | `reluN`, `mulN` | max(x, 0), x * y with truncation, on N elements |
//! | `matmulN` | N x N times N x N with truncation |
//! | `roundN` | rounds in a row of N bytes around the ring, against blocking TCP with TLS |
//! | `besideN` | rounds in a row of N bytes beside a session of messages of 1 MiB, against the same alone |
//!
//! A line of JSON, one for each mode of a program: `program`, `security`, `wall_s` (`median`, `min`, `max`), `cpu_s` (all
//! parties, median), `bytes_sent` (payload of each party), `rounds`, `peak_rss_mb` (largest party), `max_abs_error`. The one
//! of active security has the ratios to passive security too: `wall_ratio` (median of the ratios of runs that follow each
//! other), `bytes_ratio` (all parties) and `memory_ratio`. So has that of rounds to what they are held against, which is a
//! line of its own.

mod job;
mod owner;
mod party;
mod programs;
mod report;
mod rounds;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mpc_core::security::Mode;

/// Times whole programs on three processes over loopback QUIC.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Programs to time, separated by commas: emotionL, lenet5, face64, resnet18, reluN, mulN, matmulN, roundN, besideN.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "emotion40,emotion216,lenet5,face64,resnet18,relu100000,mul1000000,matmul512"
    )]
    programs: Vec<String>,

    /// Timed runs of each program.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Security modes, separated by commas: passive, active, strict. Their runs take turns in the same three processes.
    #[arg(long, value_delimiter = ',', default_value = "passive,active", value_parser = mode)]
    security: Vec<Mode>,

    /// Print one JSON object per program and mode instead of a table.
    #[arg(long)]
    json: bool,

    /// Be the party with this role in a folder made by the parent.
    #[arg(long, hide = true, requires = "folder")]
    party: Option<usize>,

    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

fn mode(text: &str) -> Result<Mode, String> {
    [Mode::Passive, Mode::Active, Mode::Strict]
        .into_iter()
        .find(|mode| mode.to_string() == text)
        .ok_or_else(|| "passive, active or strict".to_owned())
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match (args.party, args.folder) {
        (Some(index), Some(folder)) => party::run(index, &folder),
        _ => owner::run(&args.programs, args.runs, &args.security, args.json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
