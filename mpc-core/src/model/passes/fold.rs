//! Affine layers around a convolution or matrix product disappear into its weights: batch normalisation after it, the
//! divisor of an average before it.

use ndarray::{ArrayD, IxDyn};

use super::Builder;
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::{FloatOp, Scale};

/// Rewrites a product with, or sum of, a weight:
/// `(conv(x, w) + b) * s` to `conv(x, w s) + b s`, and `(x + b) + c` to `x + (b + c)`.
pub(super) fn affine(builder: &mut Builder, name: &str, op: &FloatOp, inputs: &[ValueId]) -> Result<Option<ValueId>> {
    let (&[a, b], FloatOp::Mul | FloatOp::Add) = (inputs, op) else { return Ok(None) };
    let (value, weight) = match (builder.network.constant(a), builder.network.constant(b)) {
        (None, Some(weight)) => (a, weight.clone()),
        (Some(weight), None) => (b, weight.clone()),
        _ => return Ok(None),
    };
    match op {
        FloatOp::Mul => scale(builder, name, value, &weight),
        _ => shift(builder, name, value, &weight),
    }
}

/// Rewrites `linear(x c, w)` to `linear(x 2^e, w c / 2^e)`: in fixed point a power of two costs nothing.
pub(super) fn divisor(builder: &mut Builder, name: &str, op: &FloatOp, inputs: &[ValueId]) -> Result<Option<ValueId>> {
    let (FloatOp::Conv(_) | FloatOp::MatMul, &[value, w]) = (op, inputs) else { return Ok(None) };
    let (scaled, reshape) = match builder.only_here(value) {
        Some((reshape @ FloatOp::Reshape(_), &[inner])) => (inner, Some(reshape.clone())),
        _ => (value, None),
    };
    let Some((&FloatOp::Scale(Scale { factor }), &[x])) = builder.only_here(scaled) else { return Ok(None) };
    let power = factor.abs().log2().ceil().exp2();
    let Some(weights) = builder.network.constant(w).filter(|_| power.is_normal() && power != factor.abs()) else {
        return Ok(None);
    };
    let weights = weights * (factor / power);
    let mut x = builder.append(&format!("{name}.divisor"), FloatOp::Scale(Scale { factor: power }), &[x])?;
    if let Some(reshape) = reshape {
        x = builder.append(&format!("{name}.reshape"), reshape, &[x])?;
    }
    let w = builder.network.weight(format!("{name}.weight"), weights)?;
    builder.network.push(name, op.clone(), &[x, w]).map(Some)
}

fn shift(builder: &mut Builder, name: &str, value: ValueId, weight: &ArrayD<f64>) -> Result<Option<ValueId>> {
    let Some((x, bias)) = bias_of(builder, value) else { return Ok(None) };
    let sum = match (bias.broadcast(weight.raw_dim()), weight.broadcast(bias.raw_dim())) {
        (Some(bias), _) => &bias + weight,
        (_, Some(weight)) => &bias + &weight,
        _ => return Ok(None),
    };
    let bias = builder.network.weight(format!("{name}.bias"), sum)?;
    builder.network.push(name, FloatOp::Add, &[x, bias]).map(Some)
}

fn scale(builder: &mut Builder, name: &str, value: ValueId, factor: &ArrayD<f64>) -> Result<Option<ValueId>> {
    let (product, bias) = match bias_of(builder, value) {
        Some((product, bias)) => (product, Some(bias)),
        None => (value, None),
    };
    let Some((linear @ (FloatOp::Conv(_) | FloatOp::MatMul), &[x, w])) = builder.only_here(product) else {
        return Ok(None);
    };
    let linear = linear.clone();
    // Of a matrix product only one with rows: the outputs of others are elsewhere.
    let Some(weights) = builder.network.constant(w).filter(|w| matches!(linear, FloatOp::Conv(_)) || w.ndim() == 2)
    else {
        return Ok(None);
    };
    let outputs = weights.shape()[if matches!(linear, FloatOp::Conv(_)) { 0 } else { 1 }];
    // One factor per output: along the channels of a convolution, the last dimension of a matrix product.
    let rank = builder.network.shape(product).len();
    let axis = if matches!(linear, FloatOp::Conv(_)) { 0 } else { rank - 1 };
    let Some(per_output) = along(factor, rank, axis, outputs) else { return Ok(None) };
    let bias = match bias.map(|bias| along(&bias, rank, axis, outputs)) {
        Some(None) => return Ok(None),
        Some(bias) => bias,
        None => None,
    };
    let mut shape = vec![1; weights.ndim()];
    shape[if matches!(linear, FloatOp::Conv(_)) { 0 } else { 1 }] = outputs;
    let weights = weights * &column(&per_output, &shape);
    let w = builder.network.weight(format!("{name}.weight"), weights)?;
    let product = builder.network.push(format!("{name}.product"), linear, &[x, w])?;
    let Some(bias) = bias else { return Ok(Some(product)) };
    let bias: Vec<f64> = bias.iter().zip(&per_output).map(|(b, s)| b * s).collect();
    let mut shape = vec![1; rank];
    shape[axis] = outputs;
    let bias = builder.network.weight(format!("{name}.bias"), column(&bias, &shape))?;
    builder.network.push(name, FloatOp::Add, &[product, bias]).map(Some)
}

/// Value and weight of a sum of the two that is used only here.
fn bias_of(builder: &Builder, value: ValueId) -> Option<(ValueId, ArrayD<f64>)> {
    let Some((FloatOp::Add, &[a, b])) = builder.only_here(value) else { return None };
    match (builder.network.constant(a), builder.network.constant(b)) {
        (None, Some(weight)) => Some((a, weight.clone())),
        (Some(weight), None) => Some((b, weight.clone())),
        _ => None,
    }
}

/// The elements of a weight that broadcasts to a shape of `rank` dimensions and varies along `axis` only.
fn along(weight: &ArrayD<f64>, rank: usize, axis: usize, size: usize) -> Option<Vec<f64>> {
    let offset = rank.checked_sub(weight.ndim())?;
    let varies_elsewhere = weight.shape().iter().enumerate().any(|(i, &d)| d != 1 && i + offset != axis);
    let elements: Vec<f64> = weight.iter().copied().collect();
    match elements.len() {
        _ if varies_elsewhere => None,
        1 => Some(vec![elements[0]; size]),
        n => (n == size).then_some(elements),
    }
}

fn column(elements: &[f64], shape: &[usize]) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(shape), elements.to_vec()).expect("one dimension that is not 1")
}
