//! Gemm, MatMul, Add, Sub, Mul, Div, BatchNormalization.

use ndarray::{ArrayD, Axis, IxDyn};

use super::node::OnnxNode;
use super::{Importer, Value};
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::{FloatOp, Function, Offset, Scale};

impl Importer {
    /// alpha * x * W + beta * c, W possibly transposed.
    pub(super) fn gemm(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["alpha", "beta", "transA", "transB"])?;
        let x = self.batch(node, 0)?;
        if node.int("transA", 0) != 0 {
            return Err(node.error("transA would mix samples of a batch"));
        }
        let w = self.required(node, 1)?;
        if w.ndim() != 2 {
            return Err(node.error(format!("operand 1 has shape {:?}, expected a matrix", w.shape())));
        }
        let w = if node.int("transB", 0) != 0 { w.t().to_owned() } else { w.clone() };
        let bias = self.constant(node, 2)?.map(|bias| bias * node.float("beta", 1.0));
        let w = self.weight(node, "weight", w * node.float("alpha", 1.0))?;
        let product = self.push(node, FloatOp::MatMul, &[x, w])?;
        match bias {
            Some(bias) => self.add_weight(node, product, bias),
            None => Ok(product),
        }
    }

    pub(super) fn matmul(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        let w = self.required(node, 1)?.clone();
        let w = self.weight(node, "weight", w)?;
        self.push(node, FloatOp::MatMul, &[x, w])
    }

    pub(super) fn elementwise(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let missing = || node.error("takes two operands");
        let (a, b) = (self.operand(node, 0)?.cloned(), self.operand(node, 1)?.cloned());
        let (a, mut b) = (a.ok_or_else(missing)?, b.ok_or_else(missing)?);
        if node.proto.op_type == "Div" {
            b = match b {
                Value::Batch(b) => Value::Batch(self.function(node, Function::RECIPROCAL, b)?),
                Value::Constant { value, public } => Value::Constant { value: value.mapv(f64::recip), public },
            };
        }
        let op = match node.proto.op_type.as_str() {
            "Add" => FloatOp::Add,
            "Sub" => FloatOp::Sub,
            _ => FloatOp::Mul,
        };
        match (a, b) {
            (Value::Batch(a), Value::Batch(b)) => {
                if self.network.shape(a).len() != self.network.shape(b).len() {
                    return Err(node.error("operands have different numbers of dimensions, so samples would mix"));
                }
                self.push(node, op, &[a, b])
            }
            (Value::Batch(x), Value::Constant { value, public: true }) if value.len() == 1 => {
                self.with_scalar(node, &op, x, value.sum())
            }
            (Value::Batch(x), Value::Constant { value, .. }) => {
                let value = if op == FloatOp::Sub { -value } else { value };
                let weight = self.aligned(node, x, value)?;
                self.push(node, if op == FloatOp::Mul { FloatOp::Mul } else { FloatOp::Add }, &[x, weight])
            }
            (Value::Constant { value, .. }, Value::Batch(x)) => {
                let weight = self.aligned(node, x, value)?;
                self.push(node, op, &[weight, x])
            }
            (Value::Constant { .. }, Value::Constant { .. }) => {
                Err(node.error("is applied to constants; export the model with constant folding"))
            }
        }
    }

    /// A public scalar from the graph's structure.
    fn with_scalar(&mut self, node: &OnnxNode<'_>, op: &FloatOp, x: ValueId, scalar: f64) -> Result<ValueId> {
        let op = match op {
            FloatOp::Add => FloatOp::Offset(Offset { constant: scalar }),
            FloatOp::Sub => FloatOp::Offset(Offset { constant: -scalar }),
            _ => FloatOp::Scale(Scale { factor: scalar }),
        };
        self.push(node, op, &[x])
    }

    /// scale * (x - mean) / sqrt(var + epsilon) + bias per channel, as a product and a sum that the passes fold.
    pub(super) fn batch_norm(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["epsilon", "momentum", "spatial", "training_mode"])?;
        if node.int("training_mode", 0) != 0 || node.int("spatial", 1) != 1 {
            return Err(node.error("is in training mode or not per channel; export the model in evaluation mode"));
        }
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x).to_vec();
        let channels = shape.first().copied().ok_or_else(|| node.error("is applied to a scalar"))?;
        let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|index| self.required(node, index).cloned());
        let (scale, bias, mean, variance) = (scale?, bias?, mean?, variance?);
        if [&scale, &bias, &mean, &variance].iter().any(|p| p.shape() != [channels]) {
            return Err(node.error(format!("parameters are not vectors of {channels} channels")));
        }
        let factor = scale / (variance + node.float("epsilon", 1e-5)).mapv(f64::sqrt);
        let shift = bias - mean * &factor;
        // On the shape that a one-dimensional convolution computes with, so that the two can be folded together.
        let lifted = super::convolution::lift(&shape);
        let per_channel = |p: ArrayD<f64>| {
            let shape: Vec<usize> = (0..lifted.len()).map(|d| if d == 0 { channels } else { 1 }).collect();
            p.into_shape_with_order(IxDyn(&shape)).expect("one element per channel")
        };
        let factor = self.weight(node, "scale", per_channel(factor))?;
        let shift = self.weight(node, "shift", per_channel(shift))?;
        let y = self.reshape(node, x, lifted)?;
        let y = self.push(node, FloatOp::Mul, &[y, factor])?;
        let y = self.push(node, FloatOp::Add, &[y, shift])?;
        self.reshape(node, y, shape)
    }

    /// Adds a constant as a weight.
    pub(super) fn add_weight(&mut self, node: &OnnxNode<'_>, x: ValueId, value: ArrayD<f64>) -> Result<ValueId> {
        let weight = self.aligned(node, x, value)?;
        self.push(node, FloatOp::Add, &[x, weight])
    }

    /// Places a constant operand; where it has a batch dimension, that must be 1.
    fn aligned(&mut self, node: &OnnxNode<'_>, x: ValueId, mut value: ArrayD<f64>) -> Result<ValueId> {
        let rank = self.network.shape(x).len();
        while value.ndim() > rank {
            if value.shape()[0] != 1 {
                return Err(
                    node.error(format!("a constant of shape {:?} is not the same for all samples", value.shape()))
                );
            }
            value = value.index_axis_move(Axis(0), 0);
        }
        self.weight(node, "constant", value)
    }
}
