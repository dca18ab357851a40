//! The sum over some dimensions of a sample.

use ndarray::Axis;
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear};
use super::{Args, FloatOperation, Op};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand, first};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::passes::Quantizer;

/// Sum over some dimensions of a sample, which disappear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReduceSum {
    /// Which, ascending.
    pub axes: Vec<usize>,
}

impl Linear for ReduceSum {
    fn name(&self) -> &'static str {
        "ReduceSum"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let (x, axes) = (form::value(operands)?, &self.axes);
        if !axes.is_sorted() || axes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(format!("axes {axes:?} are not ascending"));
        }
        if axes.iter().any(|&axis| axis >= x.shape.len()) {
            return Err(format!("axes {axes:?} are not all in shape {:?}", x.shape));
        }
        let kept = x.shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        Ok(Form::batched(kept.map(|(_, &size)| size).collect()))
    }

    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval> {
        let Operand { range, form: Form { shape, .. }, .. } = &operands[0];
        let others = self.axes.iter().filter(|&&axis| axis != 0).map(|&axis| shape[axis]).product::<usize>();
        if self.axes.first() == Some(&0) {
            let sum = range.channels.iter().copied().fold(Interval::ZERO, Interval::add);
            vec![sum.scale(others as f64); first(&form.shape)]
        } else {
            range.each(|i| i.scale(others as f64))
        }
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        self.axes.iter().rev().fold(args.x().clone(), |x, &axis| {
            x.fold_axis(Axis(axis + 1), T::default(), |&sum, &next| sum.plus(next)).into_shared()
        })
    }
}

impl FloatOperation for ReduceSum {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::ReduceSum(self.clone()), inputs)
    }
}
