//! The same elements in another shape.

use ndarray::IxDyn;
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear};
use super::{Args, FloatOperation, Op};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;

/// The elements of a sample in another shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// That shape, per sample.
    pub shape: Vec<usize>,
}

impl Linear for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        form::check_size(&self.shape)?;
        if self.shape.iter().product::<usize>() != x.shape.iter().product() {
            return Err(format!("cannot make {:?} of {:?}", self.shape, x.shape));
        }
        Ok(Form::batched(self.shape.clone()))
    }

    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval> {
        operands[0].reshaped(&form.shape)
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        args.x().clone().into_shape_with_order(IxDyn(&args.shape)).expect("as many elements")
    }
}

impl FloatOperation for Reshape {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::Reshape(self.clone()), inputs)
    }
}

impl Importer {
    /// Flatten.
    pub(in crate::model) fn flatten(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis"])?;
        let x = self.batch(node, 0)?;
        let rank = self.network.shape(x).len() as i64 + 1;
        if !matches!(node.int("axis", 1), axis if axis == 1 || axis == 1 - rank) {
            return Err(node.error("is supported with axis 1 only, so that samples stay apart"));
        }
        let len = self.network.shape(x).iter().product();
        self.reshape(node, x, vec![len])
    }

    /// Reshape.
    pub(in crate::model) fn reshape_node(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["allowzero", "shape"])?;
        let x = self.batch(node, 0)?;
        let target = match self.integers(node, 1)? {
            Some(target) => target,
            None => node.ints("shape").map(<[i64]>::to_vec).ok_or_else(|| node.error("needs a constant shape"))?,
        };
        let from = self.network.shape(x).to_vec();
        let elements: usize = from.iter().product();
        let refuse =
            || node.error(format!("cannot make {target:?} of {from:?} per sample; keep the batch dimension first"));
        let (&batch, sample) = target.split_first().ok_or_else(refuse)?;
        if !(matches!(batch, 0 | -1) || Some(batch) == self.batch) {
            return Err(refuse());
        }
        // 0 keeps a dimension; one -1 takes what is left.
        let mut shape = Vec::with_capacity(sample.len());
        for (d, &size) in sample.iter().enumerate() {
            shape.push(match size {
                0 => Some(*from.get(d).ok_or_else(refuse)?),
                -1 => None,
                size => Some(usize::try_from(size).map_err(|_| refuse())?),
            });
        }
        let known = shape.iter().flatten().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(refuse)?;
        let open = shape.iter().filter(|size| size.is_none()).count();
        if known == 0 || open > usize::from(batch != -1) || !elements.is_multiple_of(known) {
            return Err(refuse());
        }
        let shape = shape.into_iter().map(|size| size.unwrap_or(elements / known)).collect();
        self.reshape(node, x, shape)
    }

    /// Squeeze.
    pub(in crate::model) fn squeeze(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axes"])?;
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x).to_vec();
        let axes = match self.axes_operand(node)? {
            Some(axes) => self.sample_axes(node, &axes, shape.len())?,
            None => (0..shape.len()).filter(|&d| shape[d] == 1).collect(),
        };
        if axes.iter().any(|&axis| shape[axis] != 1) {
            return Err(node.error(format!("dimensions {axes:?} of {shape:?} per sample are not all 1")));
        }
        let kept = (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
        self.reshape(node, x, kept)
    }

    /// Unsqueeze.
    pub(in crate::model) fn unsqueeze(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axes"])?;
        let x = self.batch(node, 0)?;
        let axes = self.axes_operand(node)?.ok_or_else(|| node.error("needs constant axes"))?;
        let mut shape = self.network.shape(x).to_vec();
        let mut axes = self.sample_axes(node, &axes, shape.len() + axes.len())?;
        axes.sort_unstable();
        for axis in axes {
            if axis > shape.len() {
                return Err(node.error(format!("there is no dimension {axis} in {shape:?} per sample")));
            }
            shape.insert(axis, 1);
        }
        self.reshape(node, x, shape)
    }
}
