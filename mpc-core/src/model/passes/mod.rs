//! What happens to a network between import and evaluation.
//!
//! [`simplify`] rewrites it over the reals; [`quantize`] turns it into fixed point and bounds every value.

mod fold;
mod order;
mod quantize;

pub(crate) use quantize::Quantizer;
pub(super) use quantize::quantize;

use super::evaluate::Uses;
use super::float_graph::FloatGraph;
use super::graph::ValueId;
use super::op::FloatOp;
use crate::error::Result;

/// Builds the same function with fewer or cheaper layers. Every layer is offered to the rules as it is appended, so a
/// rule sees operands that are simplified already.
pub(super) fn simplify(network: &FloatGraph) -> Result<FloatGraph> {
    let uses = Uses::new(&network.nodes, &network.outputs);
    let inputs = network.inputs().len();
    let mut renamed: Vec<ValueId> = (0..inputs).collect();
    let mut builder =
        Builder { network: network.emptied(), uses: renamed.iter().map(|&input| uses.of(input)).collect() };
    for (id, layer) in network.nodes.iter().enumerate().skip(inputs) {
        let uses = uses.of(id);
        let before = builder.network.nodes.len();
        let value = match &layer.op {
            FloatOp::Weight(index) => builder.network.weight(&layer.name, network.weights[*index].clone())?,
            op => {
                let inputs: Vec<ValueId> = layer.inputs.iter().map(|&input| renamed[input]).collect();
                builder.append(&layer.name, op.clone(), &inputs)?
            }
        };
        builder.uses.resize(builder.network.nodes.len(), 0);
        // A rule that answers with an earlier value removes one use of it, that by the layers in between.
        builder.uses[value] += if value < before { uses.saturating_sub(1) } else { uses };
        renamed.push(value);
    }
    builder.network.outputs = network.outputs.iter().map(|&output| renamed[output]).collect();
    remove_unused(&builder.network)
}

/// A network under construction, and how often each of its values is used by layers that are not appended yet.
struct Builder {
    network: FloatGraph,
    uses: Vec<usize>,
}

impl Builder {
    /// Appends a layer, or the layers that a rule replaces it with.
    fn append(&mut self, name: &str, op: FloatOp, inputs: &[ValueId]) -> Result<ValueId> {
        for rule in [fold::affine, fold::divisor, order::reorder] {
            if let Some(value) = rule(self, name, &op, inputs)? {
                return Ok(value);
            }
        }
        self.network.push(name, op, inputs)
    }

    /// The operation and operands of `value` if the layer being appended is its only user, so that rewriting it
    /// duplicates no work.
    fn only_here(&self, value: ValueId) -> Option<(&FloatOp, &[ValueId])> {
        let layer = &self.network.nodes[value];
        (self.uses.get(value).is_none_or(|&uses| uses <= 1)).then_some((&layer.op, &layer.inputs))
    }
}

/// The same network without layers that no output needs. Inputs stay.
fn remove_unused(network: &FloatGraph) -> Result<FloatGraph> {
    let mut needed = vec![false; network.nodes.len()];
    network.outputs.iter().for_each(|&output| needed[output] = true);
    for (id, layer) in network.nodes.iter().enumerate().rev() {
        if needed[id] {
            layer.inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    let mut kept = network.emptied();
    let mut renamed: Vec<ValueId> = (0..network.nodes.len()).collect();
    for (id, layer) in network.nodes.iter().enumerate().skip(network.inputs().len()).filter(|&(id, _)| needed[id]) {
        renamed[id] = match &layer.op {
            FloatOp::Weight(index) => kept.weight(&layer.name, network.weights[*index].clone())?,
            op => {
                let inputs: Vec<ValueId> = layer.inputs.iter().map(|&input| renamed[input]).collect();
                kept.push(&layer.name, op.clone(), &inputs)?
            }
        };
    }
    kept.outputs = network.outputs.iter().map(|&output| renamed[output]).collect();
    Ok(kept)
}
