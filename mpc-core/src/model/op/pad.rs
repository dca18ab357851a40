//! Zeros around a sample.

use ndarray::{Array, IxDyn, Slice};
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear};
use super::{Args, FloatOperation, Op};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::passes::Quantizer;

/// Zeros around a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pad {
    /// Zeros before each dimension.
    pub begin: Vec<usize>,
    /// Zeros behind each dimension.
    pub end: Vec<usize>,
}

impl Linear for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        if self.begin.len() != x.shape.len() || self.end.len() != x.shape.len() {
            return Err(format!("has not one padding for each dimension of {:?}", x.shape));
        }
        let padded = x.shape.iter().zip(&self.begin).zip(&self.end);
        Ok(Form::batched(padded.map(|((&size, &a), &b)| size.saturating_add(a).saturating_add(b)).collect()))
    }

    fn intervals(&self, operands: &[Operand<'_>], _: &Form) -> Vec<Interval> {
        let Self { begin, end } = self;
        // A scalar has no side to pad.
        let (Some(first), Some(last)) = (begin.first(), end.first()) else { return operands[0].range.channels.clone() };
        let inner = begin[1..].iter().chain(&end[1..]).any(|&p| p > 0);
        let zeros = |n: usize| std::iter::repeat_n(Interval::ZERO, n);
        let middle = operands[0].range.each(|i| if inner { i.hull(Interval::ZERO) } else { i });
        zeros(*first).chain(middle).chain(zeros(*last)).collect()
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        padded(args.x(), &self.begin, &self.end, T::default())
    }
}

impl FloatOperation for Pad {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::Pad(self.clone()), inputs)
    }
}

/// `x` with `fill` around each sample.
pub(super) fn padded<T: Element>(x: &Batch<T>, begin: &[usize], end: &[usize], fill: T) -> Batch<T> {
    let sizes = x.shape()[1..].iter().zip(begin.iter().zip(end)).map(|(size, (a, b))| size + a + b);
    let shape: Vec<usize> = x.shape()[..1].iter().copied().chain(sizes).collect();
    let mut padded = Array::from_elem(IxDyn(&shape), fill);
    let mut inside = padded.slice_each_axis_mut(|axis| match axis.axis.index().checked_sub(1) {
        None => Slice::from(..),
        Some(d) => Slice::from(begin[d]..begin[d] + x.shape()[d + 1]),
    });
    inside.assign(x);
    padded.into_shared()
}
