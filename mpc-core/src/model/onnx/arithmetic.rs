//! BatchNormalization, and constants as operands.

use ndarray::{ArrayD, Axis, IxDyn};

use super::Importer;
use super::node::OnnxNode;
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::FloatOp;

impl Importer {
    /// scale * (x - mean) / sqrt(var + epsilon) + bias per channel, as a product and a sum that the passes fold.
    pub(in crate::model) fn batch_norm(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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
        let lifted = super::sliding::lift(&shape);
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
    pub(in crate::model) fn add_weight(
        &mut self,
        node: &OnnxNode<'_>,
        x: ValueId,
        value: ArrayD<f64>,
    ) -> Result<ValueId> {
        let weight = self.aligned(node, x, value)?;
        self.push(node, FloatOp::Add, &[x, weight])
    }

    /// Places a constant operand; where it has a batch dimension, that must be 1.
    pub(in crate::model) fn aligned(
        &mut self,
        node: &OnnxNode<'_>,
        x: ValueId,
        mut value: ArrayD<f64>,
    ) -> Result<ValueId> {
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
