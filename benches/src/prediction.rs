//! Predicts the time of a run, from a rehearsal in this process and the parties' measurements before the runs: the
//! figure of `mpc-client plan`, compared with what then happens.

use std::time::Duration;

use anyhow::Result;
use mpc_core::inference::rehearsal::{reference, rehearse};
use mpc_core::session::{Conditions, Measured, Mode};

use crate::job::head;
use crate::programs::Evaluation;
use crate::session::cpu;

/// Seconds that one evaluation should take on these lines, planned for `conditions`.
pub(crate) fn predict(evaluation: &Evaluation, conditions: Conditions, mode: Mode, lines: &Measured) -> Result<f64> {
    let Evaluation { graph, input, reveal, .. } = evaluation;
    let clock = || Duration::from_secs_f64(cpu());
    let work = reference(clock);
    let pieces = rehearse(graph, &vec![1; input.shape()[0]], &head(*reveal), mode, conditions, clock)?;
    Ok(pieces.iter().map(|spent| spent.time(lines, work)).sum::<Duration>().as_secs_f64())
}
