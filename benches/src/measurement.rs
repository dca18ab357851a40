//! The result of a program, for machines and people.

use std::io::Write;

use anyhow::Result;
use mpc_core::session::Mode;
use serde::{Deserialize, Serialize};

use crate::job::Measured;

/// One line of the output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measurement {
    #[serde(flatten)]
    pub(crate) setting: Setting,
    pub(crate) wall_s: Spread,
    /// Inputs per second in the median run.
    pub(crate) inputs_per_s: f64,
    pub(crate) cpu_s: f64,
    /// Payload of each party in one session; `rounds` counts one session too.
    pub(crate) bytes_sent: [u64; 3],
    pub(crate) rounds: u64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) max_abs_error: f64,
    #[serde(flatten)]
    pub(crate) overhead: Option<Overhead>,
    /// Inputs per second over those of one session alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) throughput_ratio: Option<f64>,
    /// The time that a rehearsal and the measured lines predict for one session, and the median over that.
    #[serde(flatten)]
    pub(crate) prediction: Option<Prediction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rival: Option<Against>,
    /// Wall times of the runs, in order.
    #[serde(skip)]
    walls: Vec<f64>,
}

/// The setting of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) program: String,
    pub(crate) link: String,
    /// Inputs in each session.
    pub(crate) batch: usize,
    /// Simultaneous sessions.
    pub(crate) sessions: usize,
    /// `None` where nothing is computed on shares.
    pub(crate) security: Option<Mode>,
}

/// Ratios to the measurement it is compared with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Overhead {
    pub(crate) wall_ratio: f64,
    pub(crate) bytes_ratio: f64,
    pub(crate) memory_ratio: f64,
}

/// A prediction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) predicted_s: f64,
    pub(crate) measured_by_predicted: f64,
}

/// The same work by another program, between our runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Against {
    pub(crate) wall_s: Spread,
    pub(crate) max_abs_error: Option<f64>,
    /// The rival's median time over ours for one input: how many times as fast we are.
    pub(crate) ratio: f64,
}

/// The spread of times, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (n, last) = (values.len(), values.len() - 1);
        Self { median: (values[(n - 1) / 2] + values[n / 2]) / 2.0, min: values[0], max: values[last] }
    }
}

impl Measurement {
    pub(crate) fn new(setting: Setting, parties: [&Measured; 3], peak_rss_mb: f64, max_abs_error: f64) -> Self {
        let runs = 0..parties[0].runs.len();
        let walls = runs.clone().map(|run| parties.iter().map(|party| party.runs[run].wall).fold(0.0, f64::max));
        let walls: Vec<f64> = walls.collect();
        let cpus = runs.map(|run| parties.iter().map(|party| party.runs[run].cpu).sum());
        let wall_s = Spread::of(walls.clone());
        Self {
            inputs_per_s: (setting.batch * setting.sessions) as f64 / wall_s.median,
            setting,
            wall_s,
            cpu_s: Spread::of(cpus.collect()).median,
            bytes_sent: parties.map(|party| party.meter.bytes_sent),
            rounds: parties.iter().map(|party| party.meter.rounds).max().unwrap_or(0),
            peak_rss_mb,
            max_abs_error,
            overhead: None,
            throughput_ratio: None,
            prediction: None,
            rival: None,
            walls,
        }
    }

    /// Compares this with `base`, run by run.
    pub(crate) fn compare(&mut self, base: &Measurement) {
        let bytes = |of: &Self| of.bytes_sent.iter().sum::<u64>() as f64;
        self.overhead = Some(Overhead {
            wall_ratio: self.paired(base),
            bytes_ratio: bytes(self) / bytes(base),
            memory_ratio: self.peak_rss_mb / base.peak_rss_mb,
        });
    }

    /// Compares the median with the prediction.
    pub(crate) fn compare_prediction(&mut self, predicted_s: f64) {
        let measured_by_predicted = self.wall_s.median / predicted_s;
        self.prediction = Some(Prediction { predicted_s, measured_by_predicted });
    }

    /// Compares several sessions with one, run by run.
    pub(crate) fn compare_throughput(&mut self, one: &Measurement) {
        self.throughput_ratio = Some(self.setting.sessions as f64 / self.paired(one));
    }

    /// Compares the time for one input with the rival's.
    pub(crate) fn compare_rival(&mut self, wall_s: Spread, max_abs_error: Option<f64>) {
        let ratio = wall_s.median * self.inputs_per_s;
        self.rival = Some(Against { wall_s, max_abs_error, ratio });
    }

    /// The median of the ratios of consecutive runs.
    fn paired(&self, base: &Measurement) -> f64 {
        Spread::of(self.walls.iter().zip(&base.walls).map(|(wall, base)| wall / base).collect()).median
    }

    pub(crate) fn print_json(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "{}", serde_json::to_string(self)?)?;
        Ok(out.flush()?)
    }

    pub(crate) fn print_heading(out: &mut impl Write) -> Result<()> {
        let (wall, sent) = ("ms: median (min .. max)", "kB sent by P0, P1, P2");
        writeln!(
            out,
            "{:<18} {:<8} {:>4} {wall:>26} {:>9} {:>8} {sent:>27} {:>6} {:>7} {:>9}  ratios",
            "program", "security", "x", "inputs/s", "cpu ms", "rounds", "MB", "error"
        )?;
        Ok(out.flush()?)
    }

    pub(crate) fn print_row(&self, out: &mut impl Write) -> Result<()> {
        let Spread { median, min, max } = self.wall_s;
        let wall = format!("{:.1} ({:.1} .. {:.1})", median * 1e3, min * 1e3, max * 1e3);
        let sent = self.bytes_sent.map(|bytes| format!("{:.0}", bytes as f64 / 1e3)).join(", ");
        let Setting { program, batch, sessions, security, .. } = &self.setting;
        let security = security.map_or("-".to_owned(), |mode| mode.to_string());
        writeln!(
            out,
            "{program:<18} {security:<8} {:>4} {wall:>26} {:>9.1} {:>8.1} {sent:>27} {:>6} {:>7.0} {:>9.2e}  {}",
            batch * sessions,
            self.inputs_per_s,
            self.cpu_s * 1e3,
            self.rounds,
            self.peak_rss_mb,
            self.max_abs_error,
            self.ratios().join(", ")
        )?;
        Ok(out.flush()?)
    }

    fn ratios(&self) -> Vec<String> {
        let mut ratios = Vec::new();
        if let Some(Overhead { wall_ratio, bytes_ratio, memory_ratio }) = &self.overhead {
            ratios.push(format!("time {wall_ratio:.2}, bytes {bytes_ratio:.2}, memory {memory_ratio:.2}"));
        }
        if let Some(Prediction { predicted_s, measured_by_predicted }) = &self.prediction {
            ratios.push(format!("{measured_by_predicted:.2} times the predicted {:.1} ms", predicted_s * 1e3));
        }
        ratios.extend(self.throughput_ratio.map(|ratio| format!("{ratio:.2} times the rate of one session")));
        if let Some(Against { wall_s, ratio, .. }) = &self.rival {
            ratios.push(format!("{ratio:.1} times as fast as the rival ({:.1} ms)", wall_s.median * 1e3));
        }
        ratios
    }
}
