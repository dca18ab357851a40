//! Windows over the last two dimensions of `[channels, h, w]`, and their sum. The average is this sum times a public
//! factor.

use ndarray::{ArrayD, Axis, IxDyn, Slice, Zip};
use serde::{Deserialize, Serialize};

use super::linear::{Batch, Element, Linear, standard};
use super::pad::padded;
use super::{Args, FloatOp, FloatOperation, Op, Scale};
use crate::error::Result;
use crate::model::bounds::{Interval, Operand};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;

/// Windows over the last two dimensions of `[channels, h, w]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolGeometry {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Padding before the first row and column.
    pub pad_begin: [usize; 2],
    /// Padding after the last row and column.
    pub pad_end: [usize; 2],
}

impl PoolGeometry {
    /// Height and width of the output of a geometry that was validated.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|d| (self.input[d] + self.pad_begin[d] + self.pad_end[d] - self.kernel[d]) / self.stride[d] + 1)
    }

    /// Elements per window.
    pub fn window(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The form of one element for each window. Windows lie at least partly inside: padding is smaller.
    pub(super) fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let x = form::value(operands)?;
        let [channels, h, w] = x.shape[..] else { return Err(format!("cannot pool shape {:?}", x.shape)) };
        let inside = |d: usize| self.pad_begin[d] < self.kernel[d] && self.pad_end[d] < self.kernel[d];
        match [0, 1].map(|d| self.steps(d).filter(|_| inside(d))) {
            [Some(oh), Some(ow)] if self.input == [h, w] => {
                // A window is gathered element by element.
                form::check_size(&[channels, oh, ow, self.kernel[0], self.kernel[1]])?;
                Ok(Form::batched(vec![channels, oh, ow]))
            }
            _ => Err(format!("window {:?} does not fit input {:?} with its padding", self.kernel, [h, w])),
        }
    }

    fn steps(&self, d: usize) -> Option<usize> {
        let padded = self.input[d].checked_add(self.pad_begin[d])?.checked_add(self.pad_end[d])?;
        let room = padded.checked_sub(self.kernel[d])?;
        (self.kernel[d] > 0).then_some(room.checked_div(self.stride[d])?.checked_add(1)?)
    }

    /// For each position in a window, the elements at that position of all windows: `[batch, channels, oh, ow]` each.
    /// Positions in the padding hold `fill`.
    pub(super) fn gather<T: Element>(&self, x: &Batch<T>, fill: T) -> Vec<Batch<T>> {
        let padded = match (self.pad_begin, self.pad_end) {
            ([0, 0], [0, 0]) => x.clone(),
            ([top, left], [bottom, right]) => padded(x, &[0, top, left], &[0, bottom, right], fill),
        };
        let output = self.output();
        let positions = (0..self.kernel[0]).flat_map(|y| (0..self.kernel[1]).map(move |x| [y, x]));
        positions
            .map(|first| {
                standard(padded.slice_each_axis(|axis| match axis.axis.index().checked_sub(2) {
                    None => Slice::from(..),
                    Some(d) => {
                        let last = first[d] + (output[d] - 1) * self.stride[d];
                        Slice::new(first[d] as isize, Some(last as isize + 1), self.stride[d] as isize)
                    }
                }))
            })
            .collect()
    }
}

/// Sum of every window of each channel; padding counts as zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumPool(pub PoolGeometry);

impl Linear for SumPool {
    fn name(&self) -> &'static str {
        "SumPool"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        self.0.form(operands)
    }

    fn intervals(&self, operands: &[Operand<'_>], _: &Form) -> Vec<Interval> {
        let Self(geometry) = self;
        let padded = geometry.pad_begin.iter().chain(&geometry.pad_end).any(|&p| p > 0);
        let sum = |i: Interval| i.scale(geometry.window() as f64);
        operands[0].range.each(|i| if padded { sum(i).hull(Interval::ZERO) } else { sum(i) })
    }

    fn apply<T: Element>(&self, args: &Args<'_, T>) -> Batch<T> {
        let sum = |a: Batch<T>, b: Batch<T>| Zip::from(&a).and(&b).map_collect(|&a, &b| a.plus(b)).into_shared();
        self.0.gather(args.x(), T::default()).into_iter().reduce(sum).expect("a window has elements")
    }
}

impl FloatOperation for SumPool {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        quantizer.unary(name, Op::SumPool(self.clone()), inputs)
    }
}

impl Importer {
    /// AveragePool: the sum over the number of elements, those in the padding counted or not.
    pub(in crate::model) fn average_pool(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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

    /// GlobalAveragePool.
    pub(in crate::model) fn global_average_pool(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        let shape = self.network.shape(x).to_vec();
        let axes: Vec<usize> = (1..shape.len()).collect();
        let mean = self.mean(node, x, axes)?;
        let kept = (0..shape.len()).map(|d| if d == 0 { shape[0] } else { 1 }).collect();
        self.reshape(node, mean, kept)
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
