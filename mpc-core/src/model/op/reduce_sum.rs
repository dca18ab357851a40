//! The sum over some dimensions of a sample.

use ndarray::Axis;
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear};
use super::{Args, FloatOp, FloatOperation, Function, Op, Scale};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand, first};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::axes::kept;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;

/// Sum over some dimensions of a sample, which disappear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReduceSum {
    /// The dimensions, ascending.
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
            let sum = Interval::sum(&range.channels);
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

impl Importer {
    /// ReduceSum, ReduceMean, ReduceMax and ReduceL2.
    pub(in crate::model) fn reduce(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axes", "keepdims", "noop_with_empty_axes"])?;
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x).to_vec();
        let axes = self.axes_operand(node)?.ok_or_else(|| node.error("needs constant axes"))?;
        let mut axes = self.sample_axes(node, &axes, shape.len())?;
        axes.sort_unstable();
        let kept = kept(&shape, &axes);
        let y = match node.proto.op_type.as_str() {
            "ReduceSum" => self.push(node, FloatOp::ReduceSum(ReduceSum { axes: axes.clone() }), &[x])?,
            "ReduceMean" => self.mean(node, x, axes.clone())?,
            "ReduceMax" => self.maximum(node, x, &axes)?,
            _ => {
                let square = self.push(node, FloatOp::Mul, &[x, x])?;
                let sum = self.push(node, FloatOp::ReduceSum(ReduceSum { axes: axes.clone() }), &[square])?;
                self.function(node, Function::SQRT, sum)?
            }
        };
        if node.int("keepdims", 1) != 0 {
            return self.reshape(node, y, kept);
        }
        let left = (0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).collect();
        self.reshape(node, y, left)
    }

    /// Mean over some dimensions of a sample, which disappear.
    pub(in crate::model) fn mean(&mut self, node: &OnnxNode<'_>, x: ValueId, axes: Vec<usize>) -> Result<ValueId> {
        let count: usize = axes.iter().map(|&axis| self.network.shape(x)[axis]).product();
        let sum = self.push(node, FloatOp::ReduceSum(ReduceSum { axes }), &[x])?;
        self.push(node, FloatOp::Scale(Scale { factor: 1.0 / count as f64 }), &[sum])
    }

    /// Sum over some dimensions of a sample, which become 1.
    pub(in crate::model) fn sum(&mut self, node: &OnnxNode<'_>, x: ValueId, axes: &[usize]) -> Result<ValueId> {
        let shape = kept(self.network.shape(x), axes);
        let sum = self.push(node, FloatOp::ReduceSum(ReduceSum { axes: axes.to_vec() }), &[x])?;
        self.reshape(node, sum, shape)
    }
}
