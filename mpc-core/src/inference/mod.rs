//! Evaluation of a graph: one evaluator over three backends, [`clear`] in float64 or exact fixed point, and [`secure`].

pub mod clear;
pub mod rehearsal;
pub mod secure;

use crate::error::{Error, Result};
use crate::model::{Facts, Graph, Node, Op, ValueId};

/// How one operation is computed. The graph was validated, so operands have the shapes that the operation expects.
trait Backend {
    /// A batch, or a weight.
    type Value: Clone;

    /// Weight number `index`.
    fn weight(&mut self, index: usize) -> Self::Value;

    /// The result of `node`, number `id` of the graph, on its operands.
    fn apply(
        &mut self,
        id: ValueId,
        node: &Node,
        operands: &[(&Self::Value, &Facts)],
        windows: &[u32],
    ) -> Result<Self::Value>;
}

/// Evaluates `graph`; every value is dropped after its last use.
fn evaluate<B: Backend>(backend: &mut B, graph: &Graph, input: B::Value, windows: &[u32]) -> Result<B::Value> {
    let mut uses = vec![0usize; graph.nodes.len()];
    graph.nodes.iter().flat_map(|node| &node.inputs).chain([&graph.output]).for_each(|&value| uses[value] += 1);
    let mut input = Some(input);
    let mut values: Vec<Option<B::Value>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let value = match node.op {
            _ if uses[id] == 0 => None,
            Op::Input => input.take(),
            Op::Weight(index) => Some(backend.weight(index)),
            _ => {
                let alive =
                    |&id: &usize| (values[id].as_ref().expect("alive until its last use"), &graph.nodes[id].facts);
                let operands: Vec<_> = node.inputs.iter().map(alive).collect();
                Some(backend.apply(id, node, &operands, windows)?)
            }
        };
        values.push(value);
        for &operand in &node.inputs {
            uses[operand] -= 1;
            if uses[operand] == 0 {
                values[operand] = None;
            }
        }
    }
    Ok(values[graph.output].take().expect("the output is used"))
}

/// Refuses a batch that does not fit the graph.
fn check_input(graph: &Graph, shape: &[usize], windows: &[u32]) -> Result<()> {
    let max = graph.max_windows();
    if windows.is_empty() || windows.iter().any(|&n| n == 0 || n > max) {
        return Err(Error::invalid("input", format!("every input must have 1 to {max} windows, got {windows:?}")));
    }
    let samples = windows.iter().map(|&n| n as usize).sum::<usize>();
    let expected = graph.input().full_shape(samples);
    if shape != expected {
        return Err(Error::invalid("input", format!("has shape {shape:?}, expected {expected:?}")));
    }
    Ok(())
}
