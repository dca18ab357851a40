//! Relu, Clip, and the last node of a classifier.

use super::node::OnnxNode;
use super::{Importer, Value};
use crate::error::Result;
use crate::model::float_graph::FloatNode;
use crate::model::graph::ValueId;
use crate::model::op::{FloatOp, Function, Offset, Relu, Scale};
use crate::protocol::power::Exponent;

impl Importer {
    pub(super) fn relu(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        self.push(node, FloatOp::Relu(Relu::default()), &[x])
    }

    /// min(max(x, low), high), from ReLUs. The ends are public.
    pub(super) fn clip(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["min", "max"])?;
        let x = self.batch(node, 0)?;
        let end = |importer: &Self, index: usize, name: &str| -> Result<Option<f64>> {
            let value = match importer.constant(node, index)? {
                Some(value) => {
                    Some(value.iter().copied().next().filter(|_| value.len() == 1).ok_or_else(|| {
                        node.error(format!("{name} has shape {:?}, expected a scalar", value.shape()))
                    })?)
                }
                None => node.attribute(name).map(|attribute| attribute.f.into()),
            };
            Ok(value.filter(|end| end.abs() < f64::from(f32::MAX)))
        };
        let (low, high) = (end(self, 1, "min")?, end(self, 2, "max")?);
        match (low, high) {
            (None, None) => Ok(x),
            // A root is not negative, and what divides by it minds its lower end.
            (Some(low), None) if (0.0..=RESOLUTION).contains(&low) && self.is_root(x) => Ok(x),
            (Some(low), high) => {
                let ceiling = high.map(|high| high - low);
                if ceiling.is_some_and(|ceiling| ceiling <= 0.0) {
                    return Err(node.error("max is not above min"));
                }
                let above = self.offset(node, x, -low)?;
                let clipped = self.push(node, FloatOp::Relu(Relu { ceiling }), &[above])?;
                self.offset(node, clipped, low)
            }
            (None, Some(high)) => {
                let negated = self.push(node, FloatOp::Scale(Scale { factor: -1.0 }), &[x])?;
                let below = self.offset(node, negated, high)?;
                let rest = self.push(node, FloatOp::Relu(Relu::default()), &[below])?;
                let negated = self.push(node, FloatOp::Scale(Scale { factor: -1.0 }), &[rest])?;
                self.offset(node, negated, high)
            }
        }
    }

    /// Whether what this Softmax computes only serves to order the scores of each row of classes.
    pub(super) fn orders_labels(&self, node: &OnnxNode<'_>) -> bool {
        let rows = |x: &Value| matches!(x, Value::Batch(x) if self.network.shape(*x).len() == 1);
        self.is_last(node) && self.operand(node, 0).ok().flatten().is_some_and(rows)
    }

    fn is_last(&self, node: &OnnxNode<'_>) -> bool {
        node.proto.output.first().is_some_and(|output| self.tail.contains(output))
    }

    /// Softmax and ArgMax over the classes: the label is taken from the scores, whose order they keep.
    pub(super) fn label_order(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis", "keepdims", "select_last_index"])?;
        let x = self.batch(node, 0)?;
        let default = if node.proto.op_type == "ArgMax" { 0 } else { 1 };
        let over_classes = self.network.shape(x).len() == 1 && matches!(node.int("axis", default), 1 | -1);
        if !over_classes || !self.is_last(node) || node.int("select_last_index", 0) != 0 {
            return Err(node.error("is supported only at the end, over the classes of a [batch, classes] value"));
        }
        Ok(x)
    }

    /// x + constant.
    pub(super) fn offset(&mut self, node: &OnnxNode<'_>, x: ValueId, constant: f64) -> Result<ValueId> {
        if constant == 0.0 { Ok(x) } else { self.push(node, FloatOp::Offset(Offset { constant }), &[x]) }
    }

    fn is_root(&self, x: ValueId) -> bool {
        match &self.network.nodes[x] {
            FloatNode { op: FloatOp::Reshape(_), inputs, .. } => self.is_root(inputs[0]),
            FloatNode { op: FloatOp::Function(Function::Power(power)), .. } => power.exponent == Exponent::Sqrt,
            _ => false,
        }
    }
}

/// Exporters clip a norm here before they divide by it; no fixed point knows such a number.
const RESOLUTION: f64 = 1e-5;
