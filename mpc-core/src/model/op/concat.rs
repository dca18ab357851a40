//! Samples joined along a dimension.

use ndarray::Axis;
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear, broadcast, standard};
use super::{Args, FloatOp, FloatOperation, Op};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand, first};
use crate::model::form::Form;
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;

/// Joins samples along a dimension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat {
    /// The dimension of a sample.
    pub axis: usize,
}

impl Linear for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let axis = self.axis;
        let first = operands.first().ok_or("cannot take 0 operands")?;
        let mut joined = first.shape.clone();
        let total = joined.get_mut(axis).ok_or_else(|| format!("there is no dimension {axis} in {:?}", first.shape))?;
        *total = 0;
        for operand in operands {
            let same = operand.shape.len() == first.shape.len()
                && (0..first.shape.len()).all(|d| d == axis || operand.shape[d] == first.shape[d]);
            if !same {
                return Err(format!("cannot join {first} and {operand} along dimension {axis}"));
            }
            *total = total.saturating_add(operand.shape[axis]);
        }
        Ok(Form::batched(joined))
    }

    fn intervals(&self, operands: &[Operand<'_>], form: &Form) -> Vec<Interval> {
        if self.axis == 0 {
            return operands.iter().flat_map(|operand| operand.range.channels.clone()).collect();
        }
        let hull = |c: usize| operands.iter().map(|operand| operand.range.channels[c]).reduce(Interval::hull);
        (0..first(&form.shape)).map(|c| hull(c).unwrap_or(Interval::ZERO)).collect()
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        // What is the same for all samples is joined to each.
        let whole = |&(x, batched): &(&Batch<T>, bool)| match batched {
            true => x.clone(),
            false => broadcast(x, batched, &[&args.shape[..1], x.shape()].concat()),
        };
        let samples: Vec<Batch<T>> = args.operands.iter().map(whole).collect();
        let views: Vec<_> = samples.iter().map(|x| x.view()).collect();
        standard(ndarray::concatenate(Axis(self.axis + 1), &views).expect("shapes that agree").view())
    }
}

impl FloatOperation for Concat {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.aligned(name, inputs)?;
        quantizer.emit(name, Op::Concat(self.clone()), &operands)
    }
}

impl Importer {
    /// Concat.
    pub(in crate::model) fn concat(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis"])?;
        let values: Vec<ValueId> = (0..node.proto.input.len()).map(|i| self.batch(node, i)).collect::<Result<_>>()?;
        let first = *values.first().ok_or_else(|| node.error("takes at least one operand"))?;
        let axis = self.sample_axes(node, &[node.int("axis", 0)], self.network.shape(first).len())?;
        self.push(node, FloatOp::Concat(Concat { axis: axis[0] }), &values)
    }
}
