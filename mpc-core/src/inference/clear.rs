//! Evaluation without secrets: the references that the secure backend is held against.

use ndarray::{ArcArray, ArrayD, IxDyn, Zip};

use super::{Backend, Ready, check_input};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::model::rearrange::{broadcast, gather_windows, rearrange};
use crate::model::{Graph, Op, encode_weights, reference};
use crate::ring::{Tensor, fixed};
use crate::sharing::{slice, tensor};

/// Evaluates `graph` in float64. `input` and `windows` are those of [`secure::evaluate`](super::secure::evaluate).
///
/// # Errors
/// [`Error::Invalid`] where the shapes or windows are not what the graph says.
pub fn evaluate(graph: &Graph, weights: &[ArrayD<f64>], input: &ArrayD<f64>, windows: &[u32]) -> Result<ArrayD<f64>> {
    check_input(graph, input.shape(), windows)?;
    let output = super::evaluate(&mut Float { weights }, graph, input.to_shared(), windows)?;
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
    let mut backend = Fixed { weights, kernel: Kernel::detect() };
    let output = super::evaluate(&mut backend, graph, tensor(input.shape(), encoded), windows)?;
    Ok(output.mapv(|word| fixed::decode(word, graph.output().frac_bits)))
}

struct Float<'a> {
    weights: &'a [ArrayD<f64>],
}

impl Backend for Float<'_> {
    type Value = ArcArray<f64, IxDyn>;

    fn weight(&mut self, index: usize) -> Self::Value {
        self.weights[index].to_shared()
    }

    fn apply(&mut self, ready: &Ready<'_, Self::Value>, windows: &[u32]) -> Result<Self::Value> {
        let operands: Vec<_> = ready.operands.iter().map(|(value, facts)| (*value, facts.batched)).collect();
        Ok(reference::apply(&ready.node.op, &operands, windows))
    }
}

struct Fixed {
    weights: Vec<Tensor<u64>>,
    kernel: Kernel,
}

impl Backend for Fixed {
    type Value = Tensor<u64>;

    fn weight(&mut self, index: usize) -> Tensor<u64> {
        self.weights[index].clone()
    }

    fn apply(&mut self, ready: &Ready<'_, Tensor<u64>>, windows: &[u32]) -> Result<Tensor<u64>> {
        let Ready { node, operands, .. } = ready;
        let (x, facts) = operands[0];
        let batch = if facts.batched { x.shape()[0] } else { operands.last().map_or(0, |(y, _)| y.shape()[0]) };
        let shape = node.facts.full_shape(batch);
        let each = |f: &dyn Fn(i64) -> i64| x.mapv(|x| f(x as i64) as u64).into_shared();
        let elementwise = |f: fn(u64, u64) -> u64| {
            let [x, y] = [0, 1].map(|i| broadcast(operands[i].0, operands[i].1.batched, &shape));
            Zip::from(&x).and(&y).map_collect(|&x, &y| f(x, y)).into_shared()
        };
        let mut product = vec![0; if matches!(node.op, Op::Conv(_) | Op::MatMul) { shape.iter().product() } else { 0 }];
        Ok(match &node.op {
            Op::Conv(geometry) => {
                self.kernel.conv(geometry, batch, slice(x), slice(operands[1].0), &mut product);
                tensor(&shape, product)
            }
            Op::MatMul => {
                let w = operands[1].0;
                let (k, n) = (w.shape()[0], w.shape()[1]);
                self.kernel.gemm([x.len() / k, k, n], slice(x), slice(w), &mut product);
                tensor(&shape, product)
            }
            Op::Add => elementwise(u64::wrapping_add),
            Op::Sub => elementwise(u64::wrapping_sub),
            Op::Mul => elementwise(u64::wrapping_mul),
            Op::Scale { factor, frac_bits } => {
                let factor = constant(*factor, *frac_bits)?;
                x.mapv(|x| x.wrapping_mul(factor)).into_shared()
            }
            Op::Offset { constant: c } => {
                let c = constant(*c, facts.frac_bits)?;
                x.mapv(|x| x.wrapping_add(c)).into_shared()
            }
            Op::Rescale { bits } => each(&|x| x >> bits),
            Op::Relu { rescale, ceiling } => {
                let ceiling = ceiling.map(|c| constant(c, node.facts.frac_bits)).transpose()?;
                each(&|x| (x >> rescale).max(0).min(ceiling.map_or(i64::MAX, |c| c as i64)))
            }
            Op::Function { function, frac_bits } => {
                let value = |&x: &u64| constant(function.of(fixed::decode(x, facts.frac_bits)), *frac_bits);
                tensor(&shape, x.iter().map(value).collect::<Result<Vec<u64>>>()?)
            }
            Op::MaxPool(geometry) => {
                let max = |a: Tensor<u64>, b: Tensor<u64>| {
                    Zip::from(&a).and(&b).map_collect(|&a, &b| (a as i64).max(b as i64) as u64).into_shared()
                };
                let candidates = gather_windows(geometry, x, i64::MIN as u64);
                candidates.into_iter().reduce(max).expect("a window has elements")
            }
            op @ (Op::SumPool(_)
            | Op::ReduceSum { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::SumWindows { .. }) => {
                rearrange(op, &operands.iter().map(|(operand, _)| *operand).collect::<Vec<_>>(), windows)
            }
            Op::Input | Op::Weight(_) => unreachable!("{} computes nothing", node.op.name()),
        })
    }
}

/// A public constant in fixed point.
pub(super) fn constant(value: f64, frac_bits: u32) -> Result<u64> {
    fixed::encode(value, frac_bits).ok_or_else(|| Error::invalid("graph", "has a constant too large for fixed point"))
}
