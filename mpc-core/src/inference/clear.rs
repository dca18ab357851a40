//! Evaluation without secrets: the references that the secure backend is held against.

use ndarray::{ArrayD, IxDyn};

use super::check_inputs;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::model::evaluate::{self, Backend, Float, Ready};
use crate::model::op::{Batch, Place};
use crate::model::{Facts, Graph, Node, Op, ValueId, encode_weights};
use crate::ring::{Tensor, fixed};
use crate::sharing::tensor;

/// Evaluates `graph` in float64. `inputs` and `windows` are those of [`secure::evaluate`](super::secure::evaluate).
///
/// # Errors
/// [`Error::Invalid`] where the shapes or windows are not what the graph says.
pub fn evaluate(
    graph: &Graph,
    weights: &[ArrayD<f64>],
    inputs: &[ArrayD<f64>],
    windows: &[u32],
) -> Result<Vec<ArrayD<f64>>> {
    check_inputs(graph, inputs.iter().map(ArrayD::shape), windows)?;
    let mut backend = Float { weights, windows, observe: &mut |_, _| () };
    let inputs = inputs.iter().map(|input| input.to_shared()).collect();
    let outputs = evaluate::evaluate(&mut backend, &graph.nodes, &graph.outputs, inputs)?;
    Ok(outputs.into_iter().map(Batch::into_owned).collect())
}

/// Evaluates `graph` in Z_2^64 as the parties do, but with truncations that round down and functions that are
/// rounded instead of approximated; returns real numbers.
///
/// # Errors
/// [`Error::Invalid`] where the shapes or windows are not what the graph says or an input is out of range.
pub fn evaluate_fixed(
    graph: &Graph,
    weights: &[ArrayD<f64>],
    inputs: &[ArrayD<f64>],
    windows: &[u32],
) -> Result<Vec<ArrayD<f64>>> {
    check_inputs(graph, inputs.iter().map(ArrayD::shape), windows)?;
    let weights = encode_weights(graph, weights)?;
    let encode = |(input, node): (&ArrayD<f64>, &Node)| {
        let encoded: Option<Vec<u64>> = input.iter().map(|&x| fixed::encode(x, node.facts.frac_bits)).collect();
        let encoded =
            encoded.ok_or_else(|| Error::invalid("input", "is not a number, or too large for fixed point"))?;
        Ok(tensor(input.shape(), encoded))
    };
    let inputs = inputs.iter().zip(graph.inputs()).map(encode).collect::<Result<_>>()?;
    let mut backend = Fixed { graph, weights, windows, kernel: Kernel::detect() };
    let outputs = evaluate::evaluate(&mut backend, &graph.nodes, &graph.outputs, inputs)?;
    let decode = |(output, &id): (Tensor<u64>, &ValueId)| {
        output.mapv(|word| fixed::decode(word, graph.nodes[id].facts.frac_bits))
    };
    Ok(outputs.into_iter().zip(&graph.outputs).map(decode).collect())
}

struct Fixed<'a> {
    graph: &'a Graph,
    weights: Vec<Tensor<u64>>,
    windows: &'a [u32],
    kernel: Kernel,
}

impl Backend<Op, Facts> for Fixed<'_> {
    type Value = Tensor<u64>;

    fn weight(&mut self, index: usize) -> Tensor<u64> {
        self.weights[index].clone()
    }

    fn reshape(value: &Tensor<u64>, shape: &[usize]) -> Tensor<u64> {
        value.clone().into_shape_with_order(IxDyn(shape)).expect("as many elements")
    }

    fn apply(&mut self, ready: &Ready<'_, Op, Facts, Tensor<u64>>) -> Result<Tensor<u64>> {
        let operands = ready.operands.iter().map(|(_, facts)| *facts).collect();
        let place = Place { graph: self.graph, node: ready.node, operands, windows: self.windows, pool: None };
        let operation = ready.node.op.operation().expect("a computed value");
        operation.fixed(self.kernel, &place.args(ready.operands.iter().map(|(value, _)| value)), &place)
    }
}
