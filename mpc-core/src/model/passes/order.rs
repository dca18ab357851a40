//! Layers that commute change places: pooling comes before ReLU, so that fewer elements are compared, and reshapes come
//! last, where two of them meet and merge; so do two public factors, and the reciprocal of a root.

use super::Builder;
use crate::error::Result;
use crate::model::function::Function;
use crate::model::graph::{Op, ValueId};
use crate::protocol::power::Exponent;

/// The rewritten layer, if a rule applies to it.
pub(super) fn reorder(builder: &mut Builder, name: &str, op: &Op, inputs: &[ValueId]) -> Result<Option<ValueId>> {
    let &[x] = inputs else { return Ok(None) };
    match (op, builder.only_here(x)) {
        (Op::Reshape { shape }, _) if builder.network.shape(x) == shape => Ok(Some(x)),
        (Op::Reshape { .. }, Some((Op::Reshape { .. }, &[inner]))) => {
            builder.append(name, op.clone(), &[inner]).map(Some)
        }
        (Op::Scale { factor: second, .. }, Some((&Op::Scale { factor: first, .. }, &[inner]))) => {
            builder.append(name, Op::Scale { factor: first * second, frac_bits: 0 }, &[inner]).map(Some)
        }
        // ReLU is monotone: the maximum of the ReLUs is the ReLU of the maximum.
        (Op::MaxPool(_), Some((relu @ Op::Relu { .. }, &[inner]))) => {
            let relu = relu.clone();
            let pooled = builder.append(name, op.clone(), &[inner])?;
            builder.append(&format!("{name}.relu"), relu, &[pooled]).map(Some)
        }
        // 1 / max(sqrt(x), 2^l) = 1 / sqrt(max(x, 2^2l)).
        (
            Op::Function { function: Function::Power { exponent: Exponent::Reciprocal, low }, .. },
            Some((&Op::Function { function: Function::Power { exponent: Exponent::Sqrt, low: least }, .. }, &[inner])),
        ) => {
            let low = low.saturating_mul(2).max(least);
            let function = Function::Power { exponent: Exponent::InverseSqrt, low };
            builder.append(name, Op::Function { function, frac_bits: 0 }, &[inner]).map(Some)
        }
        (
            Op::Relu { .. } | Op::Scale { .. } | Op::Offset { .. } | Op::Function { .. },
            Some((reshape @ Op::Reshape { .. }, &[inner])),
        ) => {
            let reshape = reshape.clone();
            let value = builder.append(name, op.clone(), &[inner])?;
            builder.append(&format!("{name}.reshape"), reshape, &[value]).map(Some)
        }
        _ => Ok(None),
    }
}
