//! Dimensions: those of ONNX tensors count the batch, those of samples do not.

use super::Importer;
use super::node::OnnxNode;
use crate::error::Result;

impl Importer {
    /// Axes from operand 1 (newer opsets) or an attribute (older ones).
    pub(in crate::model) fn axes_operand(&self, node: &OnnxNode<'_>) -> Result<Option<Vec<i64>>> {
        Ok(self.integers(node, 1)?.or_else(|| node.ints("axes").map(<[i64]>::to_vec)))
    }

    /// Dimensions of an ONNX tensor of `rank` dimensions, negative ones counted from the end.
    pub(in crate::model) fn axes(&self, node: &OnnxNode<'_>, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let axis = |&axis: &i64| {
            let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
            from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank)
        };
        let found: Option<Vec<usize>> = axes.iter().map(axis).collect();
        found.ok_or_else(|| node.error(format!("axes {axes:?} are not all among {rank} dimensions")))
    }

    /// Likewise for dimensions of a sample of `rank` dimensions; the batch dimension is refused.
    pub(in crate::model) fn sample_axes(&self, node: &OnnxNode<'_>, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let with_batch = self.axes(node, axes, rank + 1)?;
        let sample: Option<Vec<usize>> = with_batch.iter().map(|axis| axis.checked_sub(1)).collect();
        sample.ok_or_else(|| node.error("must leave the batch dimension alone"))
    }
}

/// `shape` with 1 in place of these dimensions.
pub(in crate::model) fn kept(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().map(|(d, &size)| if axes.contains(&d) { 1 } else { size }).collect()
}
