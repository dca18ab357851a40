//! The options of `plan`.

use std::time::Duration;

use clap::Args;

use super::Trust;

/// The question, and the lines.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Which of the cluster's models
    #[arg(long, value_name = "NAME", default_value = "face")]
    pub(crate) model: String,
    /// How many inputs at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) inputs: u32,
    /// Persons enrolled, for models that compare
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) enrolled: u32,
    /// Windows of each input, for models that cut recordings into windows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) windows: Option<u32>,
    /// Round-trip time between two servers, instead of their measurement
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) rtt: Option<Duration>,
    /// Rate at which a server can send, instead of their measurement
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<u32>,
    #[command(flatten)]
    pub(crate) trust: Trust,
}

/// A number of milliseconds, `40ms`, `200us` or `1s`.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("us", 1e-6), ("s", 1.0), ("", 1e-3)];
    let seconds = quantity(text, &units).ok_or("a time such as 40ms or 200us")?;
    Duration::try_from_secs_f64(seconds).ok().filter(|d| d.as_secs() < 60).ok_or_else(|| "less than a minute".into())
}

/// Megabits per second, `100Mbit` or `1Gbit`.
fn rate(text: &str) -> Result<u32, String> {
    let mbit = quantity(text, &[("Mbit", 1.0), ("Gbit", 1e3), ("", 1.0)]).filter(|&mbit| (1.0..1e6).contains(&mbit));
    mbit.map(|mbit| mbit as u32).ok_or_else(|| "a rate such as 100Mbit or 1Gbit, at least 1Mbit".into())
}

/// A number before one of these units.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (number, unit) = units.iter().find_map(|(unit, value)| Some((text.strip_suffix(unit)?, value)))?;
    number.trim().parse::<f64>().ok().filter(|number| *number >= 0.0).map(|number| number * unit)
}
