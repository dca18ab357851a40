//! Operators that become several operations: Softmax inside a network, normalisations, LeakyRelu, HardSigmoid,
//! HardSwish.

use ndarray::{ArrayD, IxDyn};

use super::Importer;
use super::node::OnnxNode;
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::function::{Exp, Power};
use crate::model::op::{FloatOp, Function, Relu, Scale};
use crate::protocol::power::Exponent;

impl Importer {
    /// Softmax inside a network: exp(x - max) over their sum, which is at least 1.
    pub(in crate::model) fn softmax(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis"])?;
        let x = self.batch(node, 0)?;
        let rank = self.network.shape(x).len();
        // Older opsets take all dimensions from that one on together.
        let together = node.opset < 13;
        let first = self.sample_axes(node, &[node.int("axis", if together { 1 } else { -1 })], rank)?[0];
        let axes: Vec<usize> = (first..if together { rank } else { first + 1 }).collect();
        let max = self.maximum(node, x, &axes)?;
        let below = self.push(node, FloatOp::Sub, &[x, max])?;
        let powers = self.function(node, Function::Exp(Exp { high: 0.0 }), below)?;
        let sum = self.sum(node, powers, &axes)?;
        let factor = self.function(node, Function::Power(Power { exponent: Exponent::Reciprocal, low: -1 }), sum)?;
        self.push(node, FloatOp::Mul, &[powers, factor])
    }

    /// x over the root of its sum of squares along an axis.
    pub(in crate::model) fn lp_normalization(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis", "p"])?;
        if node.int("p", 2) != 2 {
            return Err(node.error("is supported for p = 2 only"));
        }
        let x = self.batch(node, 0)?;
        let axes = self.sample_axes(node, &[node.int("axis", -1)], self.network.shape(x).len())?;
        let square = self.push(node, FloatOp::Mul, &[x, x])?;
        let sum = self.sum(node, square, &axes)?;
        let factor = self.function(node, Function::INVERSE_SQRT, sum)?;
        self.push(node, FloatOp::Mul, &[x, factor])
    }

    /// (x - mean) / sqrt(variance + epsilon) * scale + bias, mean and variance of each channel.
    pub(in crate::model) fn instance_normalization(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["epsilon"])?;
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x).to_vec();
        let per_channel: Vec<usize> = (0..shape.len()).map(|d| if d == 0 { shape[0] } else { 1 }).collect();
        let parameter = |p: &ArrayD<f64>| p.clone().into_shape_with_order(IxDyn(&per_channel));
        let refuse = |_| node.error(format!("parameters are not vectors of one element for each channel of {shape:?}"));
        let scale = parameter(self.required(node, 1)?).map_err(refuse)?;
        let bias = parameter(self.required(node, 2)?).map_err(refuse)?;
        let normalized = self.normalized(node, x, (1..shape.len()).collect())?;
        let scale = self.weight(node, "scale", scale)?;
        let y = self.push(node, FloatOp::Mul, &[normalized, scale])?;
        self.add_weight(node, y, bias)
    }

    /// The same with mean and variance over the last dimensions.
    pub(in crate::model) fn layer_normalization(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis", "epsilon", "stash_type"])?;
        let x = self.batch(node, 0)?;
        let rank = self.network.shape(x).len();
        let first = self.sample_axes(node, &[node.int("axis", -1)], rank)?[0];
        let scale = self.required(node, 1)?.clone();
        let bias = self.constant(node, 2)?.cloned();
        let normalized = self.normalized(node, x, (first..rank).collect())?;
        let scale = self.weight(node, "scale", scale)?;
        let y = self.push(node, FloatOp::Mul, &[normalized, scale])?;
        bias.map_or(Ok(y), |bias| self.add_weight(node, y, bias))
    }

    /// (x - mean) / sqrt(variance + epsilon) over some dimensions.
    fn normalized(&mut self, node: &OnnxNode<'_>, x: ValueId, axes: Vec<usize>) -> Result<ValueId> {
        let count: usize = axes.iter().map(|&axis| self.network.shape(x)[axis]).product();
        let mean = |importer: &mut Self, x: ValueId| {
            let sum = importer.sum(node, x, &axes)?;
            importer.push(node, FloatOp::Scale(Scale { factor: 1.0 / count as f64 }), &[sum])
        };
        let centre = mean(self, x)?;
        let x = self.push(node, FloatOp::Sub, &[x, centre])?;
        let square = self.push(node, FloatOp::Mul, &[x, x])?;
        let variance = mean(self, square)?;
        let variance = self.offset(node, variance, node.float("epsilon", 1e-5))?;
        let factor = self.function(node, Function::INVERSE_SQRT, variance)?;
        self.push(node, FloatOp::Mul, &[x, factor])
    }

    /// alpha x below zero.
    pub(in crate::model) fn leaky_relu(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["alpha"])?;
        let (x, alpha) = (self.batch(node, 0)?, node.float("alpha", 0.01));
        let positive = self.push(node, FloatOp::Relu(Relu::default()), &[x])?;
        let positive = self.push(node, FloatOp::Scale(Scale { factor: 1.0 - alpha }), &[positive])?;
        let all = self.push(node, FloatOp::Scale(Scale { factor: alpha }), &[x])?;
        self.push(node, FloatOp::Add, &[positive, all])
    }

    pub(in crate::model) fn hard_sigmoid_node(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["alpha", "beta"])?;
        let x = self.batch(node, 0)?;
        self.hard_sigmoid(node, x, [node.float("alpha", 0.2), node.float("beta", 0.5)])
    }

    /// x times its HardSigmoid.
    pub(in crate::model) fn hard_swish(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        let gate = self.hard_sigmoid(node, x, [1.0 / 6.0, 0.5])?;
        self.push(node, FloatOp::Mul, &[x, gate])
    }

    /// alpha x + beta between 0 and 1.
    fn hard_sigmoid(&mut self, node: &OnnxNode<'_>, x: ValueId, [alpha, beta]: [f64; 2]) -> Result<ValueId> {
        let scaled = self.push(node, FloatOp::Scale(Scale { factor: alpha }), &[x])?;
        let shifted = self.offset(node, scaled, beta)?;
        self.push(node, FloatOp::Relu(Relu { ceiling: Some(1.0) }), &[shifted])
    }
}
