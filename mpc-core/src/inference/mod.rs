//! Evaluation of a graph: one evaluator over three backends, [`clear`] in float64 or exact fixed point, and
//! [`secure`]; a [`head`] makes of its output what may be told.

pub mod clear;
pub mod head;
pub mod rehearsal;
pub mod secure;

use crate::error::{Error, Result};
use crate::model::{Facts, Graph, Node, Op, ValueId};

/// A piece of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Comparing what came from outside between its holders.
    Agreement,
    /// A node of the graph, with the checks that came due before it; of the input, its lift.
    Node(ValueId),
    /// What becomes of the network's output.
    Head,
    /// The checks at the end.
    Verification,
}

/// How operations are computed. The graph was validated, so operands have the shapes that the operation expects.
trait Backend {
    /// A batch, or a weight.
    type Value: Clone;

    /// Weight number `index`.
    fn weight(&mut self, index: usize) -> Self::Value;

    /// The result of a node.
    fn apply(&mut self, node: &Ready<'_, Self::Value>, windows: &[u32]) -> Result<Self::Value>;

    /// The results of matrix products and convolutions that do not need each other.
    fn products(&mut self, nodes: &[Ready<'_, Self::Value>], windows: &[u32]) -> Result<Vec<Self::Value>> {
        nodes.iter().map(|node| self.apply(node, windows)).collect()
    }
}

/// A node whose operands have been computed.
struct Ready<'a, V> {
    id: ValueId,
    node: &'a Node,
    operands: Vec<(&'a V, &'a Facts)>,
}

/// Evaluates `graph`; every value is dropped after its last use. A matrix product or convolution is computed together with all
/// others whose operands are there.
fn evaluate<B: Backend>(backend: &mut B, graph: &Graph, input: B::Value, windows: &[u32]) -> Result<B::Value> {
    let nodes = &graph.nodes;
    let mut uses = vec![0usize; nodes.len()];
    nodes.iter().flat_map(|node| &node.inputs).chain([&graph.output]).for_each(|&value| uses[value] += 1);
    let mut values: Vec<Option<B::Value>> = nodes
        .iter()
        .map(|node| if let Op::Weight(index) = node.op { Some(backend.weight(index)) } else { None })
        .collect();
    values[0] = Some(input);
    let mut waiting: Vec<bool> = values.iter().map(Option::is_none).collect();
    for id in 0..nodes.len() {
        if !waiting[id] {
            continue;
        }
        let together = |&other: &ValueId| {
            let is_ready = || nodes[other].inputs.iter().all(|&input| values[input].is_some());
            other == id || is_product(&nodes[id]) && is_product(&nodes[other]) && waiting[other] && is_ready()
        };
        let ids: Vec<ValueId> = (id..nodes.len()).filter(together).filter(|&id| uses[id] > 0).collect();
        let alive = |&id: &usize| (values[id].as_ref().expect("alive until its last use"), &nodes[id].facts);
        let ready = ids.iter().map(|&id| {
            let node = &nodes[id];
            Ready { id, node, operands: node.inputs.iter().map(alive).collect() }
        });
        let ready: Vec<_> = ready.collect();
        let results = match &ready[..] {
            [] => Vec::new(),
            [node, ..] if !is_product(node.node) => vec![backend.apply(node, windows)?],
            products => backend.products(products, windows)?,
        };
        ids.iter().zip(results).for_each(|(&id, result)| values[id] = Some(result));
        waiting[id] = false;
        for &id in &ids {
            waiting[id] = false;
            for &operand in &nodes[id].inputs {
                uses[operand] -= 1;
                if uses[operand] == 0 {
                    values[operand] = None;
                }
            }
        }
    }
    Ok(values[graph.output].take().expect("the output is used"))
}

fn is_product(node: &Node) -> bool {
    matches!(node.op, Op::Conv(_) | Op::MatMul)
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
