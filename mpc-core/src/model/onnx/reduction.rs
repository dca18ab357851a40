//! ReduceSum, ReduceMean, ReduceMax, ReduceL2.

use super::Importer;
use super::node::OnnxNode;
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::{FloatOp, Function, MaxPool, PoolGeometry, ReduceSum, Scale, Transpose};

impl Importer {
    pub(super) fn reduce(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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
    pub(super) fn mean(&mut self, node: &OnnxNode<'_>, x: ValueId, axes: Vec<usize>) -> Result<ValueId> {
        let count: usize = axes.iter().map(|&axis| self.network.shape(x)[axis]).product();
        let sum = self.push(node, FloatOp::ReduceSum(ReduceSum { axes }), &[x])?;
        self.push(node, FloatOp::Scale(Scale { factor: 1.0 / count as f64 }), &[sum])
    }

    /// Sum over some dimensions of a sample, which become 1.
    pub(super) fn sum(&mut self, node: &OnnxNode<'_>, x: ValueId, axes: &[usize]) -> Result<ValueId> {
        let shape = kept(self.network.shape(x), axes);
        let sum = self.push(node, FloatOp::ReduceSum(ReduceSum { axes: axes.to_vec() }), &[x])?;
        self.reshape(node, sum, shape)
    }

    /// Maximum over some dimensions of a sample, which become 1: a pool with one window over each row.
    pub(super) fn maximum(&mut self, node: &OnnxNode<'_>, x: ValueId, axes: &[usize]) -> Result<ValueId> {
        let shape = self.network.shape(x).to_vec();
        let perm: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).chain(axes.iter().copied()).collect();
        let x = if perm.is_sorted() { x } else { self.push(node, FloatOp::Transpose(Transpose { perm }), &[x])? };
        let n: usize = axes.iter().map(|&axis| shape[axis]).product();
        let x = self.reshape(node, x, vec![shape.iter().product::<usize>() / n, 1, n])?;
        let row = PoolGeometry { input: [1, n], kernel: [1, n], stride: [1, 1], pad_begin: [0, 0], pad_end: [0, 0] };
        let max = self.push(node, FloatOp::MaxPool(MaxPool(row)), &[x])?;
        self.reshape(node, max, kept(&shape, axes))
    }
}

/// `shape` with 1 in place of these dimensions.
fn kept(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().map(|(d, &size)| if axes.contains(&d) { 1 } else { size }).collect()
}
