//! The operations of a network, each with all that is known of it in one file.
//!
//! There are two graphs: the one imported computes over the real numbers ([`FloatOp`]); quantisation turns it into the
//! one that the parties evaluate, over Z_2^64 ([`Op`]). The file of an operation says its form, its meaning in float64,
//! how it is quantised, its range, its exact value in fixed point, its protocol and what that takes. Only this file
//! knows the list: the two enums, and the match behind each.

mod concat;
mod conv;
mod elementwise;
pub mod function;
mod linear;
mod matmul;
mod max_pool;
mod offset;
mod operation;
mod pad;
mod pool;
mod reduce_sum;
mod relu;
mod rescale;
mod reshape;
mod scale;
mod sum_windows;
mod transpose;

use serde::{Deserialize, Serialize};

pub use concat::Concat;
use elementwise::{Add, Mul, Sub};
pub use function::{FixedFunction, Function};
pub(crate) use linear::Batch;
use matmul::MatMul;
pub use max_pool::{MaxPool, Pool};
pub use offset::Offset;
pub(crate) use operation::{Args, FloatOperation, Operation, Place, Product, RingOperation, Shared};
pub use pad::Pad;
pub use pool::{PoolGeometry, SumPool};
pub use reduce_sum::ReduceSum;
pub use relu::{FixedRelu, Relu};
pub use rescale::Rescale;
pub use reshape::Reshape;
pub use scale::{FixedScale, Scale};
pub use sum_windows::SumWindows;
pub use transpose::Transpose;

use super::form::Form;
use super::graph::Facts;
use crate::error::{Error, Result};
use crate::kernel::ConvGeometry;
use crate::ring::fixed;

/// What a node of a [`FloatGraph`](super::FloatGraph) computes, over the real numbers.
///
/// Two operands of an elementwise operation broadcast as in ONNX, aligned at the last dimension; the batch dimension
/// is always the first one and never broadcast.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// The samples.
    Input,
    /// Weight number i.
    Weight(usize),
    /// Convolution of `[channels, h, w]` with a kernel, each a value or a weight.
    Conv(ConvGeometry),
    /// `[.., k]` times `[k, n]`, or stacks of matrices `[.., m, k]` times `[.., k, n]`, each a value or a weight.
    MatMul,
    /// Elementwise sum.
    Add,
    /// Elementwise difference.
    Sub,
    /// Elementwise product.
    Mul,
    /// Product with a public number.
    Scale(Scale),
    /// Sum with a public number.
    Offset(Offset),
    /// max(x, 0), possibly clipped.
    Relu(Relu),
    /// Maximum of every window.
    MaxPool(MaxPool),
    /// Sum of every window.
    SumPool(SumPool),
    /// Sum over some dimensions.
    ReduceSum(ReduceSum),
    /// The same elements in another shape.
    Reshape(Reshape),
    /// A permutation of dimensions.
    Transpose(Transpose),
    /// Zeros around a sample.
    Pad(Pad),
    /// Samples joined along a dimension.
    Concat(Concat),
    /// A function of each element.
    Function(Function),
}

/// What a node of a [`Graph`](super::Graph) computes, in fixed point. Constants are real numbers; a ring backend rounds
/// them to the fractional bits that the operation states.
///
/// Operands broadcast as in [`FloatOp`]. The order of the variants is their number in an encoded graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The samples.
    Input,
    /// Weight number i of [`Graph::weights`](super::Graph::weights).
    Weight(usize),
    /// Convolution of `[channels, h, w]` with a kernel, each a value or a weight; fractional bits add up.
    Conv(ConvGeometry),
    /// `[.., k]` times `[k, n]`, or stacks of matrices `[.., m, k]` times `[.., k, n]`, each a value or a weight;
    /// fractional bits add up.
    MatMul,
    /// Elementwise sum of operands with the same fractional bits.
    Add,
    /// Elementwise difference of operands with the same fractional bits.
    Sub,
    /// Elementwise product; fractional bits add up.
    Mul,
    /// Product with a public number; fractional bits add up.
    Scale(FixedScale),
    /// Sum with a public number, encoded with the fractional bits of the operand.
    Offset(Offset),
    /// Truncation.
    Rescale(Rescale),
    /// max(x, 0) after a truncation, possibly clipped.
    Relu(FixedRelu),
    /// Maximum of every window.
    MaxPool(MaxPool),
    /// Sum of every window.
    SumPool(SumPool),
    /// Sum over some dimensions.
    ReduceSum(ReduceSum),
    /// The same elements in another shape.
    Reshape(Reshape),
    /// A permutation of dimensions.
    Transpose(Transpose),
    /// Zeros around a sample.
    Pad(Pad),
    /// Samples joined along a dimension.
    Concat(Concat),
    /// Sum of the windows of each input.
    SumWindows(SumWindows),
    /// A function of each element that the parties approximate.
    Function(FixedFunction),
}

impl FloatOp {
    /// The operation; `None` for inputs and weights, which are given.
    pub(crate) fn operation(&self) -> Option<&dyn FloatOperation> {
        Some(match self {
            FloatOp::Input | FloatOp::Weight(_) => return None,
            FloatOp::Conv(conv) => conv,
            FloatOp::MatMul => &MatMul,
            FloatOp::Add => &Add,
            FloatOp::Sub => &Sub,
            FloatOp::Mul => &Mul,
            FloatOp::Scale(scale) => scale,
            FloatOp::Offset(offset) => offset,
            FloatOp::Relu(relu) => relu,
            FloatOp::MaxPool(pool) => pool,
            FloatOp::SumPool(pool) => pool,
            FloatOp::ReduceSum(sum) => sum,
            FloatOp::Reshape(reshape) => reshape,
            FloatOp::Transpose(transpose) => transpose,
            FloatOp::Pad(pad) => pad,
            FloatOp::Concat(concat) => concat,
            FloatOp::Function(function) => function,
        })
    }

    /// Short name for messages.
    pub fn name(&self) -> &'static str {
        match self {
            FloatOp::Input => INPUT,
            FloatOp::Weight(_) => WEIGHT,
            computed => computed.operation().map_or("", |operation| operation.name()),
        }
    }
}

impl Op {
    /// The operation; `None` for inputs and weights, which are given.
    pub(crate) fn operation(&self) -> Option<&dyn RingOperation> {
        Some(match self {
            Op::Input | Op::Weight(_) => return None,
            Op::Conv(conv) => conv,
            Op::MatMul => &MatMul,
            Op::Add => &Add,
            Op::Sub => &Sub,
            Op::Mul => &Mul,
            Op::Scale(scale) => scale,
            Op::Offset(offset) => offset,
            Op::Rescale(rescale) => rescale,
            Op::Relu(relu) => relu,
            Op::MaxPool(pool) => pool,
            Op::SumPool(pool) => pool,
            Op::ReduceSum(sum) => sum,
            Op::Reshape(reshape) => reshape,
            Op::Transpose(transpose) => transpose,
            Op::Pad(pad) => pad,
            Op::Concat(concat) => concat,
            Op::SumWindows(windows) => windows,
            Op::Function(function) => function,
        })
    }

    /// Form and fractional bits of the result for operands with these facts.
    pub(super) fn result(&self, operands: &[&Facts]) -> Result<(Form, u32), String> {
        let forms: Vec<Form> = operands.iter().map(|facts| facts.form()).collect();
        let operation = self.operation().ok_or("is given, not computed")?;
        let form = operation.real().checked_form(&forms)?;
        let frac_bits: Vec<u32> = operands.iter().map(|facts| facts.frac_bits).collect();
        Ok((form, operation.frac_bits(&frac_bits)?))
    }

    /// Short name for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input => INPUT,
            Op::Weight(_) => WEIGHT,
            computed => computed.operation().map_or("", |operation| operation.real().name()),
        }
    }
}

const INPUT: &str = "Input";
const WEIGHT: &str = "Weight";

/// A public constant in fixed point.
///
/// # Errors
/// [`Error::Invalid`] where it is too large.
pub(crate) fn constant(value: f64, frac_bits: u32) -> Result<u64> {
    fixed::encode(value, frac_bits).ok_or_else(|| Error::invalid("graph", "has a constant too large for fixed point"))
}
