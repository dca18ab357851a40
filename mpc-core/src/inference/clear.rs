//! Evaluation without secrets: the references that the secure backend is held against.

use ndarray::ArrayD;

use super::check_input;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::model::evaluate::{self, Backend, Float, Ready};
use crate::model::op::Place;
use crate::model::{Facts, Graph, Op, encode_weights};
use crate::ring::{Tensor, fixed};
use crate::sharing::tensor;

/// Evaluates `graph` in float64. `input` and `windows` are those of [`secure::evaluate`](super::secure::evaluate).
///
/// # Errors
/// [`Error::Invalid`] where the shapes or windows are not what the graph says.
pub fn evaluate(graph: &Graph, weights: &[ArrayD<f64>], input: &ArrayD<f64>, windows: &[u32]) -> Result<ArrayD<f64>> {
    check_input(graph, input.shape(), windows)?;
    let mut backend = Float { weights, windows, observe: &mut |_, _| () };
    let output = evaluate::evaluate(&mut backend, &graph.nodes, graph.output, input.to_shared())?;
    Ok(output.into_owned())
}

/// Evaluates `graph` in Z_2^64 as the parties do, but with truncations that round down and functions that are
/// rounded instead of approximated; returns real numbers.
///
/// # Errors
/// [`Error::Invalid`] where the shapes or windows are not what the graph says or an input is out of range.
pub fn evaluate_fixed(
    graph: &Graph,
    weights: &[ArrayD<f64>],
    input: &ArrayD<f64>,
    windows: &[u32],
) -> Result<ArrayD<f64>> {
    check_input(graph, input.shape(), windows)?;
    let weights = encode_weights(graph, weights)?;
    let encoded: Option<Vec<u64>> = input.iter().map(|&x| fixed::encode(x, graph.input().frac_bits)).collect();
    let encoded = encoded.ok_or_else(|| Error::invalid("input", "is not a number, or too large for fixed point"))?;
    let mut backend = Fixed { graph, weights, windows, kernel: Kernel::detect() };
    let output = evaluate::evaluate(&mut backend, &graph.nodes, graph.output, tensor(input.shape(), encoded))?;
    Ok(output.mapv(|word| fixed::decode(word, graph.output().frac_bits)))
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

    fn apply(&mut self, ready: &Ready<'_, Op, Facts, Tensor<u64>>) -> Result<Tensor<u64>> {
        let (values, operands) = ready.operands.iter().copied().unzip::<_, _, Vec<_>, Vec<_>>();
        let place = Place { graph: self.graph, node: ready.node, operands, windows: self.windows, pool: None };
        let operation = ready.node.op.operation().expect("a computed value");
        operation.fixed(self.kernel, &place.args(values), &place)
    }
}
