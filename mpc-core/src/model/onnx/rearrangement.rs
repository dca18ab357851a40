//! Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Pad, Concat: dimensions of ONNX tensors count
//! the batch, those of samples do not.

use super::Importer;
use super::node::OnnxNode;
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::{Concat, FloatOp, Pad, Transpose};

impl Importer {
    pub(super) fn flatten(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis"])?;
        let x = self.batch(node, 0)?;
        let rank = self.network.shape(x).len() as i64 + 1;
        if !matches!(node.int("axis", 1), axis if axis == 1 || axis == 1 - rank) {
            return Err(node.error("is supported with axis 1 only, so that samples stay apart"));
        }
        let len = self.network.shape(x).iter().product();
        self.reshape(node, x, vec![len])
    }

    pub(super) fn reshape_node(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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

    pub(super) fn squeeze(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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

    pub(super) fn unsqueeze(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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

    pub(super) fn transpose(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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

    pub(super) fn pad(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["mode", "pads", "value"])?;
        let x = self.batch(node, 0)?;
        let fill = match self.constant(node, 2)? {
            Some(value) => value.sum(),
            None => node.float("value", 0.0),
        };
        if node.text("mode", "constant") != "constant" || fill != 0.0 {
            return Err(node.error("only padding with zeros is supported"));
        }
        let rank = self.network.shape(x).len() + 1;
        let pads = match self.integers(node, 1)? {
            Some(pads) => pads,
            None => node.ints("pads").unwrap_or(&[]).to_vec(),
        };
        let mut sizes = vec![0i64; 2 * rank];
        match self.integers(node, 3)? {
            None if pads.len() == 2 * rank => sizes = pads.clone(),
            Some(axes) if pads.len() == 2 * axes.len() => {
                for (i, axis) in self.axes(node, &axes, rank)?.into_iter().enumerate() {
                    (sizes[axis], sizes[rank + axis]) = (pads[i], pads[axes.len() + i]);
                }
            }
            _ => return Err(node.error(format!("pads {pads:?} do not fit {rank} dimensions"))),
        }
        let sizes: Option<Vec<usize>> = sizes.iter().map(|&p| usize::try_from(p).ok()).collect();
        match sizes {
            Some(sizes) if sizes[0] == 0 && sizes[rank] == 0 => {
                let (begin, end) = (sizes[1..rank].to_vec(), sizes[rank + 1..].to_vec());
                self.push(node, FloatOp::Pad(Pad { begin, end }), &[x])
            }
            _ => Err(node.error("cropping, and padding the batch, are not supported")),
        }
    }

    pub(super) fn concat(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["axis"])?;
        let values: Vec<ValueId> = (0..node.proto.input.len()).map(|i| self.batch(node, i)).collect::<Result<_>>()?;
        let first = *values.first().ok_or_else(|| node.error("takes at least one operand"))?;
        let axis = self.sample_axes(node, &[node.int("axis", 0)], self.network.shape(first).len())?;
        self.push(node, FloatOp::Concat(Concat { axis: axis[0] }), &values)
    }

    /// Axes from operand 1 (newer opsets) or an attribute (older ones).
    pub(super) fn axes_operand(&self, node: &OnnxNode<'_>) -> Result<Option<Vec<i64>>> {
        Ok(self.integers(node, 1)?.or_else(|| node.ints("axes").map(<[i64]>::to_vec)))
    }

    /// Dimensions of an ONNX tensor of `rank` dimensions, negative ones counted from the end.
    pub(super) fn axes(&self, node: &OnnxNode<'_>, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let axis = |&axis: &i64| {
            let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
            from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank)
        };
        let found: Option<Vec<usize>> = axes.iter().map(axis).collect();
        found.ok_or_else(|| node.error(format!("axes {axes:?} are not all among {rank} dimensions")))
    }

    /// Likewise for dimensions of a sample of `rank` dimensions; the batch dimension is refused.
    pub(super) fn sample_axes(&self, node: &OnnxNode<'_>, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let with_batch = self.axes(node, axes, rank + 1)?;
        let sample: Option<Vec<usize>> = with_batch.iter().map(|axis| axis.checked_sub(1)).collect();
        sample.ok_or_else(|| node.error("must leave the batch dimension alone"))
    }
}
