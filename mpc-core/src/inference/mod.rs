//! Evaluation of a graph: [`clear`], in float64 or exact fixed point, and [`secure`]; a [`head`] makes of the output
//! what may be told, and a [`rehearsal`] tells what all that costs.

pub mod clear;
pub mod head;
pub mod rehearsal;
pub mod secure;

use crate::error::{Error, Result};
use crate::model::{Graph, ValueId};

/// A piece of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Comparing what came from outside between its holders.
    Agreement,
    /// A node of the graph, with the checks that came due before it; of an input, its lift.
    Node(ValueId),
    /// The head, which derives the answer from the output.
    Head,
    /// The checks at the end.
    Verification,
}

/// Refuses batches that do not fit the graph; `shapes` are those of its inputs. Returns how many samples there are of
/// each.
fn check_inputs<'a>(
    graph: &Graph,
    shapes: impl ExactSizeIterator<Item = &'a [usize]>,
    windows: &[u32],
) -> Result<usize> {
    let max = graph.max_windows();
    if windows.is_empty() || windows.iter().any(|&n| n == 0 || n > max) {
        return Err(Error::invalid("input", format!("every input must have 1 to {max} windows, got {windows:?}")));
    }
    let samples = windows.iter().map(|&n| n as usize).sum::<usize>();
    let inputs = graph.inputs();
    if shapes.len() != inputs.len() {
        return Err(Error::invalid("inputs", format!("are {}, expected {}", shapes.len(), inputs.len())));
    }
    for (shape, input) in shapes.zip(inputs) {
        let expected = input.facts.full_shape(samples);
        if shape != expected {
            let reason = format!("{:?} has shape {shape:?}, expected {expected:?}", input.name);
            return Err(Error::invalid("input", reason));
        }
    }
    Ok(samples)
}
