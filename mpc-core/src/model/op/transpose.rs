//! A permutation of the dimensions of a sample.

use ndarray::IxDyn;
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear, standard};
use super::{Args, FloatOp, FloatOperation, Op};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;

/// Dimension i of the result is dimension `perm[i]` of the operand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transpose {
    /// A permutation of the dimensions of a sample.
    pub perm: Vec<usize>,
}

impl Linear for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let (x, perm) = (form::value(operands)?, &self.perm);
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.shape.len()) {
            return Err(format!("{perm:?} does not permute the dimensions of {:?}", x.shape));
        }
        Ok(Form::batched(perm.iter().map(|&axis| x.shape[axis]).collect()))
    }

    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval> {
        let range = operands[0].range;
        if self.perm.first() == Some(&0) { range.channels.clone() } else { range.everywhere(&form.shape) }
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        let axes: Vec<usize> = std::iter::once(0).chain(self.perm.iter().map(|axis| axis + 1)).collect();
        standard(args.x().view().permuted_axes(IxDyn(&axes)))
    }
}

impl FloatOperation for Transpose {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::Transpose(self.clone()), inputs)
    }
}

impl Importer {
    /// Transpose.
    pub(in crate::model) fn transpose(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["perm"])?;
        let x = self.batch(node, 0)?;
        let rank = self.network.shape(x).len();
        let perm = self.axes(node, node.ints("perm").unwrap_or(&[]), rank + 1)?;
        match perm.split_first() {
            Some((0, rest)) => {
                let perm: Vec<usize> = rest.iter().map(|&axis| axis.wrapping_sub(1)).collect();
                self.push(node, FloatOp::Transpose(Transpose { perm }), &[x])
            }
            _ => Err(node.error("needs a perm that keeps the batch dimension first")),
        }
    }
}
