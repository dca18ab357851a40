//! What convolutions and pools share: how a window slides over a value. One dimension is computed as two, with height
//! 1.

use super::Importer;
use super::node::OnnxNode;
use crate::error::Result;
use crate::model::graph::ValueId;
use crate::model::op::{FloatOp, PoolGeometry};

/// `[channels, length]` as `[channels, 1, length]`; other shapes as they are.
pub(in crate::model) fn lift(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [channels, length] => vec![channels, 1, length],
        _ => shape.to_vec(),
    }
}

/// Height and width of everything that says how a window moves.
pub(in crate::model) struct Sliding {
    pub(in crate::model) input: [usize; 2],
    pub(in crate::model) kernel: [usize; 2],
    pub(in crate::model) stride: [usize; 2],
    pub(in crate::model) dilation: [usize; 2],
    pub(in crate::model) begin: [usize; 2],
    pub(in crate::model) end: [usize; 2],
}

impl Sliding {
    /// Reads the attributes that convolutions and pools share, for an operand of shape `[channels, ..]`.
    pub(in crate::model) fn read(node: &OnnxNode<'_>, shape: &[usize], kernel: &[usize]) -> Result<Self> {
        let dimensions = kernel.len();
        if !(1..=2).contains(&dimensions) || shape.len() != dimensions + 1 {
            let reason = format!("has a kernel of {dimensions} dimensions on {shape:?}; 1 and 2 are supported");
            return Err(node.error(reason));
        }
        let pair = |values: &[usize], lifted: usize| match *values {
            [w] => [lifted, w],
            _ => [values[0], values[1]],
        };
        let input = pair(&shape[1..], 1);
        let kernel = pair(kernel, 1);
        let stride = pair(&node.sizes("strides", dimensions, 1)?, 1);
        let dilation = pair(&node.sizes("dilations", dimensions, 1)?, 1);
        if [kernel, stride, dilation].iter().flatten().any(|&size| size == 0) {
            return Err(node.error("has a kernel, stride or dilation of 0"));
        }
        let (begin, end) = match node.text("auto_pad", "NOTSET") {
            "NOTSET" => {
                let pads = node.sizes("pads", 2 * dimensions, 0)?;
                (pair(&pads[..dimensions], 0), pair(&pads[dimensions..], 0))
            }
            "VALID" => ([0, 0], [0, 0]),
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                let total = [0, 1].map(|d| {
                    let steps = input[d].div_ceil(stride[d]).saturating_sub(1).saturating_mul(stride[d]);
                    let reach = (kernel[d] - 1).saturating_mul(dilation[d]).saturating_add(1);
                    steps.saturating_add(reach).saturating_sub(input[d])
                });
                let less = total.map(|n| n / 2);
                let more = [0, 1].map(|d| total[d] - less[d]);
                if same == "SAME_UPPER" { (less, more) } else { (more, less) }
            }
            other => return Err(node.error(format!("auto_pad {other:?} is not known"))),
        };
        Ok(Self { input, kernel, stride, dilation, begin, end })
    }

    /// A pool; with ceil_mode a last, incomplete window counts if it starts inside.
    pub(in crate::model) fn pool(&self, node: &OnnxNode<'_>) -> Result<PoolGeometry> {
        if self.dilation != [1, 1] {
            return Err(node.error("pooling with dilation is not supported"));
        }
        let mut end = self.end;
        if node.int("ceil_mode", 0) != 0 {
            for (d, end) in end.iter_mut().enumerate() {
                let padded = self.input[d] + self.begin[d] + *end;
                let windows = padded.saturating_sub(self.kernel[d]).div_ceil(self.stride[d]);
                if windows * self.stride[d] < self.input[d] + self.begin[d] {
                    *end += (windows * self.stride[d] + self.kernel[d]).saturating_sub(padded);
                }
            }
        }
        let Self { input, kernel, stride, begin, .. } = *self;
        Ok(PoolGeometry { input, kernel, stride, pad_begin: begin, pad_end: end })
    }
}

impl Importer {
    /// Operand and window of a pool.
    pub(in crate::model) fn pooled(&self, node: &OnnxNode<'_>) -> Result<(ValueId, Sliding)> {
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x);
        let dimensions = node.ints("kernel_shape").map_or(0, <[i64]>::len);
        let kernel = node.sizes("kernel_shape", dimensions, 1)?;
        Ok((x, Sliding::read(node, shape, &kernel)?))
    }

    /// Appends a pool over a value of one or two dimensions.
    pub(in crate::model) fn pool(&mut self, node: &OnnxNode<'_>, op: FloatOp, x: ValueId) -> Result<ValueId> {
        let shape = self.network.shape(x).to_vec();
        let lifted = self.reshape(node, x, lift(&shape))?;
        let y = self.push(node, op, &[lifted])?;
        self.lower(node, y, shape.len())
    }

    /// Takes back the dimension that [`lift`] added to a value of this many dimensions.
    pub(in crate::model) fn lower(&mut self, node: &OnnxNode<'_>, y: ValueId, dimensions: usize) -> Result<ValueId> {
        let mut shape = self.network.shape(y).to_vec();
        if dimensions == 2 {
            shape.remove(1);
        }
        self.reshape(node, y, shape)
    }
}
