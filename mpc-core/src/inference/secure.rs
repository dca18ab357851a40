//! Evaluation on shares by the three parties.

use crate::error::{Error, Result};
use crate::model::Graph;
use crate::model::manifest::Reveal;
use crate::party::Party;
use crate::ring::Boolean;
use crate::sharing::{ArithmeticShare, Share};

/// What the client is to learn, still shared.
#[derive(Debug, Clone)]
pub enum Output {
    /// Position of the largest score, one word per input: shape `[inputs]`.
    Labels(Share<Boolean, u64>),
    /// The graph's output: shape `[inputs, ..]` with the fractional bits of [`Graph::output`].
    Scores(ArithmeticShare),
}

/// Evaluates `graph` on a batch. `input` has shape `[sum of windows, ..]`; entry i of `windows` says how many
/// consecutive samples are windows of input i.
///
/// # Errors
/// [`Error::Invalid`] where the shapes or windows are not what the graph says; errors of the protocols.
pub fn evaluate(
    _party: &mut Party,
    _graph: &Graph,
    _weights: &[ArithmeticShare],
    _input: ArithmeticShare,
    _windows: &[u32],
    _reveal: Reveal,
) -> Result<Output> {
    Err(Error::invalid("evaluation", "is not built yet"))
}
