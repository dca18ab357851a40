//! Zeros around a sample.

use ndarray::{Array, IxDyn, Slice};
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear};
use super::{Args, FloatOp, FloatOperation, Op};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;

/// Zeros around a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pad {
    /// Zeros before each dimension.
    pub begin: Vec<usize>,
    /// Zeros after each dimension.
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

impl Importer {
    /// Pad.
    pub(in crate::model) fn pad(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["mode", "pads", "value"])?;
        let x = self.batch(node, 0)?;
        let fill = match self.constant(node, 2)? {
            Some(value) => value.sum(),
            None => node.float("value", 0.0),
        };
        if node.text("mode", "constant") != "constant" || fill != 0.0 {
            return Err(node.error("only padding with zeros is supported"));
        }
        let rank = self.network.shape(x).len() + 1;
        let pads = match self.integers(node, 1)? {
            Some(pads) => pads,
            None => node.ints("pads").unwrap_or(&[]).to_vec(),
        };
        let mut sizes = vec![0i64; 2 * rank];
        match self.integers(node, 3)? {
            None if pads.len() == 2 * rank => sizes = pads.clone(),
            Some(axes) if pads.len() == 2 * axes.len() => {
                for (i, axis) in self.axes(node, &axes, rank)?.into_iter().enumerate() {
                    (sizes[axis], sizes[rank + axis]) = (pads[i], pads[axes.len() + i]);
                }
            }
            _ => return Err(node.error(format!("pads {pads:?} do not fit {rank} dimensions"))),
        }
        let sizes: Option<Vec<usize>> = sizes.iter().map(|&p| usize::try_from(p).ok()).collect();
        match sizes {
            Some(sizes) if sizes[0] == 0 && sizes[rank] == 0 => {
                let (begin, end) = (sizes[1..rank].to_vec(), sizes[rank + 1..].to_vec());
                self.push(node, FloatOp::Pad(Pad { begin, end }), &[x])
            }
            _ => Err(node.error("cropping, and padding the batch, are not supported")),
        }
    }
}
