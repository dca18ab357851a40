//! Layers that commute change places: pooling comes before ReLU, so that fewer elements are compared, and reshapes come
//! last, where two of them meet and merge; so do two public factors, and the reciprocal of a root.

use super::Builder;
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::function::Power;
use crate::model::op::{FloatOp, Function, Reshape, Scale};
use crate::protocol::power::Exponent;

/// The rewritten layer, if a rule applies to it.
pub(super) fn reorder(builder: &mut Builder, name: &str, op: &FloatOp, inputs: &[ValueId]) -> Result<Option<ValueId>> {
    let &[x] = inputs else { return Ok(None) };
    match (op, builder.only_here(x)) {
        (FloatOp::Reshape(Reshape { shape }), _) if builder.network.shape(x) == shape => Ok(Some(x)),
        (FloatOp::Reshape(_), Some((FloatOp::Reshape(_), &[inner]))) => {
            builder.append(name, op.clone(), &[inner]).map(Some)
        }
        (FloatOp::Scale(second), Some((FloatOp::Scale(first), &[inner]))) => {
            let factor = first.factor * second.factor;
            builder.append(name, FloatOp::Scale(Scale { factor }), &[inner]).map(Some)
        }
        // ReLU is monotone: the maximum of the ReLUs is the ReLU of the maximum.
        (FloatOp::MaxPool(_), Some((relu @ FloatOp::Relu(_), &[inner]))) => {
            let relu = relu.clone();
            let pooled = builder.append(name, op.clone(), &[inner])?;
            builder.append(&format!("{name}.relu"), relu, &[pooled]).map(Some)
        }
        // 1 / max(sqrt(x), 2^l) = 1 / sqrt(max(x, 2^2l)).
        (
            FloatOp::Function(Function::Power(Power { exponent: Exponent::Reciprocal, low })),
            Some((&FloatOp::Function(Function::Power(Power { exponent: Exponent::Sqrt, low: least })), &[inner])),
        ) => {
            let low = low.saturating_mul(2).max(least);
            let function = Function::Power(Power { exponent: Exponent::InverseSqrt, low });
            builder.append(name, FloatOp::Function(function), &[inner]).map(Some)
        }
        (
            FloatOp::Relu(_) | FloatOp::Scale(_) | FloatOp::Offset(_) | FloatOp::Function(_),
            Some((reshape @ FloatOp::Reshape(_), &[inner])),
        ) => {
            let reshape = reshape.clone();
            let value = builder.append(name, op.clone(), &[inner])?;
            builder.append(&format!("{name}.reshape"), reshape, &[value]).map(Some)
        }
        _ => Ok(None),
    }
}
