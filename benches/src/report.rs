//! The result of a program, for machines and people.

use std::io::Write;

use anyhow::Result;
use mpc_core::network::Meter;
use serde::Serialize;

use crate::job::Outcome;

/// One line of the output.
#[derive(Serialize)]
pub(crate) struct Report {
    program: String,
    security: &'static str,
    wall_s: Spread,
    cpu_s: f64,
    bytes_sent: [u64; 3],
    rounds: u64,
    peak_rss_mb: f64,
    max_abs_error: f64,
}

#[derive(Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (n, last) = (values.len(), values.len() - 1);
        Self { median: (values[(n - 1) / 2] + values[n / 2]) / 2.0, min: values[0], max: values[last] }
    }
}

impl Report {
    pub(crate) fn new(program: &str, parties: &[Outcome; 3], max_abs_error: f64) -> Self {
        let runs = 0..parties[0].runs.len();
        let walls = runs.clone().map(|run| parties.iter().map(|party| party.runs[run].wall).fold(0.0, f64::max));
        let cpus = runs.map(|run| parties.iter().map(|party| party.runs[run].cpu).sum());
        Self {
            program: program.to_owned(),
            security: "passive",
            wall_s: Spread::of(walls.collect()),
            cpu_s: Spread::of(cpus.collect()).median,
            bytes_sent: parties.each_ref().map(|party| party.meter.bytes_sent),
            rounds: parties.iter().map(|Outcome { meter: Meter { rounds, .. }, .. }| *rounds).max().unwrap_or(0),
            peak_rss_mb: parties.iter().map(|party| party.peak_rss_mb).fold(0.0, f64::max),
            max_abs_error,
        }
    }

    pub(crate) fn print_json(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "{}", serde_json::to_string(self)?)?;
        Ok(out.flush()?)
    }

    pub(crate) fn print_heading(out: &mut impl Write) -> Result<()> {
        let (wall, sent) = ("ms: median (min .. max)", "kB sent by P0, P1, P2");
        writeln!(
            out,
            "{:<12} {wall:>26} {:>8} {sent:>27} {:>6} {:>7} {:>9}",
            "program", "cpu ms", "rounds", "MB", "error"
        )?;
        Ok(out.flush()?)
    }

    pub(crate) fn print_row(&self, out: &mut impl Write) -> Result<()> {
        let Spread { median, min, max } = self.wall_s;
        let wall = format!("{:.1} ({:.1} .. {:.1})", median * 1e3, min * 1e3, max * 1e3);
        let sent = self.bytes_sent.map(|bytes| format!("{:.0}", bytes as f64 / 1e3)).join(", ");
        writeln!(
            out,
            "{:<12} {wall:>26} {:>8.1} {sent:>27} {:>6} {:>7.0} {:>9.2e}",
            self.program,
            self.cpu_s * 1e3,
            self.rounds,
            self.peak_rss_mb,
            self.max_abs_error
        )?;
        Ok(out.flush()?)
    }
}
