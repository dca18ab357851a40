//! The options of `plan`.

use std::time::Duration;

use clap::Args;

use super::Trust;
use crate::commands::plan::{duration, rate};

/// Which question, and over what lines.
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
    /// Time between two servers and back, instead of what they have measured
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) rtt: Option<Duration>,
    /// What a server can send per second, instead of what they have measured
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) rate: Option<u32>,
    #[command(flatten)]
    pub(crate) trust: Trust,
}
