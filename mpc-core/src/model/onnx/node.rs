//! A node of the file and what the importer asks of it: operands and attributes of the right kind.

use ndarray::ArrayD;

use super::proto::{AttributeProto, NodeProto};
use super::{Importer, Value};
use crate::error::{Error, Result};
use crate::model::graph::ValueId;
use crate::model::op::{FloatOp, Reshape};

/// A node that is being imported.
pub(in crate::model) struct OnnxNode<'a> {
    pub proto: &'a NodeProto,
    /// Its name, or that of its first output.
    pub name: &'a str,
    pub opset: i64,
}

impl<'a> OnnxNode<'a> {
    /// An error that names the node, its operator and the opset.
    pub(in crate::model) fn error(&self, reason: impl Into<String>) -> Error {
        Error::model(self.name, format!("{}, opset {}", self.proto.op_type, self.opset), reason)
    }

    /// Refuses attributes that the importer does not know: ignoring one could change the result.
    pub(in crate::model) fn only_attributes(&self, known: &[&str]) -> Result<()> {
        match self.proto.attribute.iter().find(|attribute| !known.contains(&attribute.name.as_str())) {
            Some(unknown) => Err(self.error(format!("attribute {:?} is not supported", unknown.name))),
            None => Ok(()),
        }
    }

    pub(in crate::model) fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(in crate::model) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(in crate::model) fn float(&self, name: &str, default: f32) -> f64 {
        self.attribute(name).map_or(default, |attribute| attribute.f).into()
    }

    pub(in crate::model) fn text(&self, name: &str, default: &'a str) -> &'a str {
        self.attribute(name).map_or(default, |attribute| std::str::from_utf8(&attribute.s).unwrap_or("?"))
    }

    pub(in crate::model) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// Sizes: one non-negative number per dimension, `default` where there is no such attribute.
    pub(in crate::model) fn sizes(&self, name: &str, dimensions: usize, default: usize) -> Result<Vec<usize>> {
        let Some(ints) = self.ints(name) else { return Ok(vec![default; dimensions]) };
        let sizes: Option<Vec<usize>> =
            ints.iter().map(|&i| usize::try_from(i).ok().filter(|&i| i <= MAX_SIZE)).collect();
        sizes
            .filter(|sizes| sizes.len() == dimensions)
            .ok_or_else(|| self.error(format!("{name} {ints:?} is not {dimensions} numbers from 0 to {MAX_SIZE}")))
    }
}

/// Largest size, stride or padding.
const MAX_SIZE: usize = 1 << 20;

impl Importer {
    /// Operand number `index`, if it is given.
    pub(in crate::model) fn operand(&self, node: &OnnxNode<'_>, index: usize) -> Result<Option<&Value>> {
        match node.proto.input.get(index).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(name) => match self.values.get(name) {
                Some(value) => Ok(Some(value)),
                None => Err(node.error(format!("operand {name:?} is not computed before it is used"))),
            },
        }
    }

    /// An operand that must be a value computed from the input.
    pub(in crate::model) fn batch(&self, node: &OnnxNode<'_>, index: usize) -> Result<ValueId> {
        match self.operand(node, index)? {
            Some(Value::Batch(id)) => Ok(*id),
            Some(Value::Constant { .. }) => {
                Err(node.error(format!("operand {index} must depend on the model's input")))
            }
            None => Err(node.error(format!("operand {index} is missing"))),
        }
    }

    /// An operand that must be a constant, if it is given.
    pub(in crate::model) fn constant(&self, node: &OnnxNode<'_>, index: usize) -> Result<Option<&ArrayD<f64>>> {
        match self.operand(node, index)? {
            Some(Value::Constant { value, .. }) => Ok(Some(value)),
            Some(Value::Batch(_)) => {
                Err(node.error(format!("operand {index} must be a constant, not computed from the model's input")))
            }
            None => Ok(None),
        }
    }

    /// A constant operand that must be given.
    pub(in crate::model) fn required(&self, node: &OnnxNode<'_>, index: usize) -> Result<&ArrayD<f64>> {
        self.constant(node, index)?.ok_or_else(|| node.error(format!("operand {index} is missing")))
    }

    /// A constant operand of integers, if it is given.
    pub(in crate::model) fn integers(&self, node: &OnnxNode<'_>, index: usize) -> Result<Option<Vec<i64>>> {
        Ok(self.constant(node, index)?.map(|value| value.iter().map(|&x| x as i64).collect()))
    }

    /// Appends a layer; errors name the node of the file.
    pub(in crate::model) fn push(&mut self, node: &OnnxNode<'_>, op: FloatOp, inputs: &[ValueId]) -> Result<ValueId> {
        let located = |error| match error {
            Error::Model { reason, .. } => node.error(reason),
            other => other,
        };
        self.network.push(node.name, op, inputs).map_err(located)
    }

    /// Places a constant as a weight: the parties hold shares of it.
    pub(in crate::model) fn weight(&mut self, node: &OnnxNode<'_>, name: &str, value: ArrayD<f64>) -> Result<ValueId> {
        let located = |error| match error {
            Error::Model { reason, .. } => node.error(reason),
            other => other,
        };
        self.network.weight(format!("{}.{name}", node.name), value).map_err(located)
    }

    /// Appends a reshape, unless the shape is right already.
    pub(in crate::model) fn reshape(&mut self, node: &OnnxNode<'_>, x: ValueId, shape: Vec<usize>) -> Result<ValueId> {
        if self.network.shape(x) == shape {
            return Ok(x);
        }
        self.push(node, FloatOp::Reshape(Reshape { shape }), &[x])
    }
}
