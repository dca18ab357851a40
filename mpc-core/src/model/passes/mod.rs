//! What happens to a network between import and evaluation.
//!
//! [`simplify`] rewrites it over the reals; [`quantize`] turns it into fixed point and bounds every value.

mod fold;
mod order;
mod quantize;

pub(super) use quantize::quantize;

use super::graph::{Op, ValueId};
use super::network::Network;
use crate::error::Result;

/// Builds the same function with fewer or cheaper layers. Every layer is offered to the rules as it is appended, so a
/// rule sees operands that are simplified already.
pub(super) fn simplify(network: &Network) -> Result<Network> {
    let mut uses = vec![0; network.layers.len()];
    uses[network.output] = 1;
    for layer in &network.layers {
        layer.inputs.iter().for_each(|&input| uses[input] += 1);
    }
    let mut builder = Builder { network: Network::new(network.shape(0))?, uses: vec![uses[0]] };
    let mut renamed = vec![0];
    for (layer, &uses) in network.layers.iter().zip(&uses).skip(1) {
        let before = builder.network.layers.len();
        let value = match &layer.op {
            Op::Weight(index) => builder.network.weight(&layer.name, network.weights[*index].clone())?,
            op => {
                let inputs: Vec<ValueId> = layer.inputs.iter().map(|&input| renamed[input]).collect();
                builder.append(&layer.name, op.clone(), &inputs)?
            }
        };
        builder.uses.resize(builder.network.layers.len(), 0);
        // A rule that answers with an earlier value removes one use of it, that by the layers in between.
        builder.uses[value] += if value < before { uses.saturating_sub(1) } else { uses };
        renamed.push(value);
    }
    builder.network.set_output(renamed[network.output]);
    remove_unused(&builder.network)
}

/// A network under construction, and how often each of its values is used by layers that are not appended yet.
struct Builder {
    network: Network,
    uses: Vec<usize>,
}

impl Builder {
    /// Appends a layer, or what a rule makes of it.
    fn append(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        for rule in [fold::affine, fold::divisor, order::reorder] {
            if let Some(value) = rule(self, name, &op, inputs)? {
                return Ok(value);
            }
        }
        self.network.push(name, op, inputs)
    }

    /// The operation and operands of `value` if the layer being appended is its only user, so that rewriting it
    /// duplicates no work.
    fn only_here(&self, value: ValueId) -> Option<(&Op, &[ValueId])> {
        let layer = &self.network.layers[value];
        (self.uses.get(value).is_none_or(|&uses| uses <= 1)).then_some((&layer.op, &layer.inputs))
    }
}

/// The same network without layers that the output does not need. The input stays.
fn remove_unused(network: &Network) -> Result<Network> {
    let mut needed = vec![false; network.layers.len()];
    needed[network.output] = true;
    for (id, layer) in network.layers.iter().enumerate().rev() {
        if needed[id] {
            layer.inputs.iter().for_each(|&input| needed[input] = true);
        }
    }
    let mut kept = Network::new(network.shape(0))?;
    let mut renamed = vec![0; network.layers.len()];
    for (id, layer) in network.layers.iter().enumerate().skip(1).filter(|&(id, _)| needed[id]) {
        renamed[id] = match &layer.op {
            Op::Weight(index) => kept.weight(&layer.name, network.weights[*index].clone())?,
            op => {
                let inputs: Vec<ValueId> = layer.inputs.iter().map(|&input| renamed[input]).collect();
                kept.push(&layer.name, op.clone(), &inputs)?
            }
        };
    }
    kept.set_output(renamed[network.output]);
    Ok(kept)
}
