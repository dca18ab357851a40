//! Conv, MaxPool, AveragePool, GlobalAveragePool. One dimension is computed as two, with height 1.

use ndarray::{ArrayD, Axis, IxDyn};

use super::Importer;
use super::node::OnnxNode;
use crate::error::Result;
use crate::kernel::ConvGeometry;
use crate::model::graph::ValueId;
use crate::model::op::{FloatOp, MaxPool, PoolGeometry, Scale, SumPool};

/// `[channels, length]` as `[channels, 1, length]`; other shapes as they are.
pub(super) fn lift(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [channels, length] => vec![channels, 1, length],
        _ => shape.to_vec(),
    }
}

/// Height and width of everything that says how a window moves.
struct Sliding {
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    begin: [usize; 2],
    end: [usize; 2],
}

impl Sliding {
    /// Reads the attributes that convolutions and pools share, for an operand of shape `[channels, ..]`.
    fn read(node: &OnnxNode<'_>, shape: &[usize], kernel: &[usize]) -> Result<Self> {
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
    fn pool(&self, node: &OnnxNode<'_>) -> Result<PoolGeometry> {
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
    pub(super) fn conv(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"])?;
        let x = self.batch(node, 0)?;
        let w = self.required(node, 1)?.clone();
        let bias = self.constant(node, 2)?.cloned();
        let shape = self.network.shape(x).to_vec();
        let (&[out_channels, per_group, ..], true) = (w.shape(), w.ndim() >= 3) else {
            return Err(node.error(format!("has weights of shape {:?}", w.shape())));
        };
        let s = Sliding::read(node, &shape, &w.shape()[2..])?;
        let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
        let geometry = ConvGeometry {
            in_channels: shape[0],
            out_channels,
            groups,
            input: s.input,
            kernel: s.kernel,
            stride: s.stride,
            dilation: s.dilation,
            pad_begin: s.begin,
            pad_end: s.end,
        };
        let w = w.into_shape_with_order(IxDyn(&[out_channels, per_group, s.kernel[0], s.kernel[1]]));
        let w = self.weight(node, "weight", w.expect("one more dimension of size 1"))?;
        let lifted = self.reshape(node, x, lift(&shape))?;
        let mut y = self.push(node, FloatOp::Conv(geometry), &[lifted, w])?;
        if let Some(bias) = bias {
            let bias = bias.into_shape_with_order(IxDyn(&[out_channels, 1, 1]));
            let bias = bias.map_err(|_| node.error(format!("needs a bias of {out_channels} elements")))?;
            y = self.add_weight(node, y, bias)?;
        }
        self.lower(node, y, shape.len())
    }

    pub(super) fn max_pool(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        let known = ["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
        node.only_attributes(&known)?;
        if node.proto.output.iter().skip(1).any(|output| !output.is_empty()) {
            return Err(node.error("the indices of the maxima are not supported"));
        }
        let (x, sliding) = self.pooled(node)?;
        let geometry = sliding.pool(node)?;
        self.pool(node, FloatOp::MaxPool(MaxPool(geometry)), x)
    }

    pub(super) fn average_pool(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        let known = ["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"];
        node.only_attributes(&known)?;
        let (x, sliding) = self.pooled(node)?;
        let geometry = sliding.pool(node)?;
        let padded = geometry.pad_begin != [0, 0] || geometry.pad_end != [0, 0];
        if geometry.pad_end != sliding.end && node.int("count_include_pad", 0) != 0 {
            return Err(node.error("ceil_mode together with count_include_pad is not supported"));
        }
        let sum = self.pool(node, FloatOp::SumPool(SumPool(geometry.clone())), x)?;
        if padded && node.int("count_include_pad", 0) == 0 {
            let reciprocals = reciprocal_counts(&geometry);
            let dimensions = self.network.shape(x).len();
            let reciprocals = if dimensions == 2 { reciprocals.index_axis_move(Axis(1), 0) } else { reciprocals };
            let weight = self.weight(node, "counts", reciprocals)?;
            return self.push(node, FloatOp::Mul, &[sum, weight]);
        }
        self.push(node, FloatOp::Scale(Scale { factor: 1.0 / geometry.window() as f64 }), &[sum])
    }

    pub(super) fn global_average_pool(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x).to_vec();
        let axes: Vec<usize> = (1..shape.len()).collect();
        let mean = self.mean(node, x, axes)?;
        let kept = (0..shape.len()).map(|d| if d == 0 { shape[0] } else { 1 }).collect();
        self.reshape(node, mean, kept)
    }

    /// Operand and window of a pool.
    fn pooled(&self, node: &OnnxNode<'_>) -> Result<(ValueId, Sliding)> {
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x);
        let dimensions = node.ints("kernel_shape").map_or(0, <[i64]>::len);
        let kernel = node.sizes("kernel_shape", dimensions, 1)?;
        Ok((x, Sliding::read(node, shape, &kernel)?))
    }

    fn pool(&mut self, node: &OnnxNode<'_>, op: FloatOp, x: ValueId) -> Result<ValueId> {
        let shape = self.network.shape(x).to_vec();
        let lifted = self.reshape(node, x, lift(&shape))?;
        let y = self.push(node, op, &[lifted])?;
        self.lower(node, y, shape.len())
    }

    /// Takes back the dimension that [`lift`] added to a value of this many dimensions.
    fn lower(&mut self, node: &OnnxNode<'_>, y: ValueId, dimensions: usize) -> Result<ValueId> {
        let mut shape = self.network.shape(y).to_vec();
        if dimensions == 2 {
            shape.remove(1);
        }
        self.reshape(node, y, shape)
    }
}

/// For each window 1 / the number of its elements that are not padding: `[1, oh, ow]`.
fn reciprocal_counts(g: &PoolGeometry) -> ArrayD<f64> {
    let [oh, ow] = g.output();
    let inside = |d: usize, step: usize| {
        let start = step * g.stride[d];
        let end = (start + g.kernel[d]).min(g.pad_begin[d] + g.input[d]);
        end.saturating_sub(start.max(g.pad_begin[d]))
    };
    ArrayD::from_shape_fn(IxDyn(&[1, oh, ow]), |i| 1.0 / (inside(0, i[1]) * inside(1, i[2])).max(1) as f64)
}
