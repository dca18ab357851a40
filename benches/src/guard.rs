//! Guards rounds and bytes: they must be exactly those in a file beside the sources. Times are free, but the ratio of
//! active to passive security in the same run must stay below a bound.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use mpc_core::session::Mode;
use serde::{Deserialize, Serialize};

use crate::owner::{Options, Owner};
use crate::relay::EmulatedLink;

/// Runs of each program: enough for a median.
const RUNS: u32 = 3;

#[derive(Args)]
pub(crate) struct Check {
    /// The programs and their expected costs.
    #[arg(long, default_value = "benches/expected.toml")]
    expected: PathBuf,

    /// Write the measured costs into the file instead.
    #[arg(long)]
    write: bool,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Expected {
    /// Upper bound on the time of active security, as a multiple of passive security.
    active_by_passive_at_most: f64,
    /// Costs by program and mode.
    programs: BTreeMap<String, BTreeMap<String, Cost>>,
}

/// The cost of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cost {
    rounds: u64,
    /// Bytes sent by each party.
    bytes_sent: [u64; 3],
}

impl Check {
    pub(crate) fn run(&self) -> Result<()> {
        let name = || self.expected.display().to_string();
        let text = std::fs::read_to_string(&self.expected).with_context(name)?;
        let mut expected: Expected = toml::from_str(&text).with_context(name)?;
        let modes = vec![Mode::Passive, Mode::Active];
        let options = Options { runs: RUNS, link: EmulatedLink::loopback(), batch: 1, sessions: 1, modes, rival: None };
        let owner = Owner::new(&options)?;
        let mut differences = Vec::new();
        for (program, costs) in &mut expected.programs {
            for measurement in owner.time(program).with_context(|| program.clone())? {
                let mode = measurement.setting.security.map(|mode| mode.to_string()).unwrap_or_default();
                let got = Cost { rounds: measurement.rounds, bytes_sent: measurement.bytes_sent };
                let wall_ratio = measurement.overhead.map_or(0.0, |overhead| overhead.wall_ratio);
                anstream::println!("{program} {mode}: {} rounds, {:?} bytes", got.rounds, got.bytes_sent);
                if wall_ratio > expected.active_by_passive_at_most {
                    differences.push(format!("{program}: {mode} takes {wall_ratio:.1} times as long as passive"));
                }
                let before = costs.insert(mode.clone(), got.clone());
                if before.as_ref() != Some(&got) {
                    differences.push(format!("{program} {mode}: {got:?} instead of {before:?}"));
                }
            }
        }
        if self.write {
            return std::fs::write(&self.expected, toml::to_string(&expected)?).with_context(name);
        }
        ensure!(
            differences.is_empty(),
            "not as expected; if the change intends this, repeat with --write:\n{}",
            differences.join("\n")
        );
        Ok(())
    }
}
