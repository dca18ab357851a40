//! The result of a program, for machines and people.

use std::io::Write;

use anyhow::Result;
use mpc_core::security::Mode;
use serde::Serialize;

use crate::job::Measured;

/// One line of the output.
#[derive(Clone, Serialize)]
pub(crate) struct Report {
    program: String,
    security: Option<Mode>,
    wall_s: Spread,
    cpu_s: f64,
    bytes_sent: [u64; 3],
    rounds: u64,
    peak_rss_mb: f64,
    max_abs_error: f64,
    #[serde(flatten)]
    overhead: Option<Overhead>,
    /// Wall times of the runs, in order.
    #[serde(skip)]
    walls: Vec<f64>,
}

/// What it costs, times what it is held against.
#[derive(Clone, Serialize)]
struct Overhead {
    wall_ratio: f64,
    bytes_ratio: f64,
    memory_ratio: f64,
}

#[derive(Clone, Serialize)]
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
    pub(crate) fn new(
        program: String,
        security: Option<Mode>,
        parties: [&Measured; 3],
        peak_rss_mb: f64,
        max_abs_error: f64,
    ) -> Self {
        let runs = 0..parties[0].runs.len();
        let walls = runs.clone().map(|run| parties.iter().map(|party| party.runs[run].wall).fold(0.0, f64::max));
        let walls: Vec<f64> = walls.collect();
        let cpus = runs.map(|run| parties.iter().map(|party| party.runs[run].cpu).sum());
        Self {
            program,
            security,
            wall_s: Spread::of(walls.clone()),
            cpu_s: Spread::of(cpus.collect()).median,
            bytes_sent: parties.map(|party| party.meter.bytes_sent),
            rounds: parties.iter().map(|party| party.meter.rounds).max().unwrap_or(0),
            peak_rss_mb,
            max_abs_error,
            overhead: None,
            walls,
        }
    }

    /// Holds the others among the reports of a program against the one at `base`, run by run.
    pub(crate) fn compare(reports: &mut [Report], base: usize) {
        let (this, bytes) = (reports[base].clone(), |report: &Report| report.bytes_sent.iter().sum::<u64>() as f64);
        for (_, report) in reports.iter_mut().enumerate().filter(|(index, _)| *index != base) {
            let walls = report.walls.iter().zip(&this.walls).map(|(wall, base)| wall / base);
            report.overhead = Some(Overhead {
                wall_ratio: Spread::of(walls.collect()).median,
                bytes_ratio: bytes(report) / bytes(&this),
                memory_ratio: report.peak_rss_mb / this.peak_rss_mb,
            });
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
            "{:<18} {:<8} {wall:>26} {:>8} {sent:>27} {:>6} {:>7} {:>9}  against the first",
            "program", "security", "cpu ms", "rounds", "MB", "error"
        )?;
        Ok(out.flush()?)
    }

    pub(crate) fn print_row(&self, out: &mut impl Write) -> Result<()> {
        let Spread { median, min, max } = self.wall_s;
        let wall = format!("{:.1} ({:.1} .. {:.1})", median * 1e3, min * 1e3, max * 1e3);
        let sent = self.bytes_sent.map(|bytes| format!("{:.0}", bytes as f64 / 1e3)).join(", ");
        let security = self.security.map_or("-".to_owned(), |mode| mode.to_string());
        let overhead =
            self.overhead.as_ref().map_or(String::new(), |Overhead { wall_ratio, bytes_ratio, memory_ratio }| {
                format!("  time {wall_ratio:.2}, bytes {bytes_ratio:.2}, memory {memory_ratio:.2}")
            });
        writeln!(
            out,
            "{:<18} {security:<8} {wall:>26} {:>8.1} {sent:>27} {:>6} {:>7.0} {:>9.2e}{overhead}",
            self.program,
            self.cpu_s * 1e3,
            self.rounds,
            self.peak_rss_mb,
            self.max_abs_error
        )?;
        Ok(out.flush()?)
    }
}
