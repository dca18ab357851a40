//! The convolution of `[channels, h, w]` with a kernel. One dimension is computed as two, with height 1. Where each
//! sample has a kernel of its own, the samples are groups of one convolution.

use ndarray::{Array2, Array4, ArrayView2, ArrayViewD, Axis, IxDyn};

use super::linear::{Batch, Element, broadcast};
use super::{Args, FloatOp, FloatOperation, Op, Operation, Place, Product, RingOperation, Shared};
use crate::error::Result;
use crate::kernel::{ConvGeometry, Kernel};
use crate::link::round::Round;
use crate::model::bounds::{Interval, Operand, Range};
use crate::model::form::{self, Form};
use crate::model::graph::ValueId;
use crate::model::onnx::sliding::{Sliding, lift};
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::passes::Quantizer;
use crate::party::Party;
use crate::protocol::product::{self, PendingLinear};
use crate::sharing::{ArithmeticShare, Share, slice, tensor};

impl Operation for ConvGeometry {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn form(&self, operands: &[Form]) -> Result<Form, String> {
        let [Form { shape: x, .. }, Form { shape: w, .. }] = form::exactly(operands)?;
        self.validate().map_err(|error| error.to_string())?;
        let [oh, ow] = self.output();
        let input = [self.in_channels, self.input[0], self.input[1]];
        let kernel = [self.out_channels, self.in_channels / self.groups, self.kernel[0], self.kernel[1]];
        if x[..] != input || w[..] != kernel {
            return Err(format!("expects input {input:?} and kernel {kernel:?}, got {x:?} and {w:?}"));
        }
        Ok(Form::batched(vec![self.out_channels, oh, ow]))
    }

    fn float(&self, args: &Args<'_, f64>) -> Batch<f64> {
        let (geometry, [x, w]) = self.arranged([args.operands[0], args.operands[1]]);
        geometry.reference(&x, &w).into_shape_with_order(IxDyn(&args.shape)).expect("as many elements").into_shared()
    }
}

impl FloatOperation for ConvGeometry {
    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, inputs: &[ValueId]) -> Result<ValueId> {
        let operands = quantizer.operands(inputs)?;
        quantizer.product(name, Op::Conv(self.clone()), &operands)
    }
}

impl RingOperation for ConvGeometry {
    fn real(&self) -> &dyn Operation {
        self
    }

    fn frac_bits(&self, operands: &[u32]) -> Result<u32, String> {
        Ok(operands[0].saturating_add(operands[1]))
    }

    fn range(&self, operands: &[Operand<'_>], _: &Form, _: u32) -> Range {
        let padded = self.pad_begin.iter().chain(&self.pad_end).any(|&p| p > 0);
        let taps = self.kernel[0] * self.kernel[1];
        let (per_in, per_out) = (self.in_channels / self.groups, self.out_channels / self.groups);
        let input = operands[0].range.each(|i| if padded { i.hull(Interval::ZERO) } else { i });
        let inputs = |o: usize| &input[o / per_out * per_in..][..per_in];
        let channels = match operands[1].weight {
            Some(weight) => {
                let channel = |(o, filter): (usize, ArrayViewD<'_, f64>)| {
                    Interval::dot(filter.iter().enumerate().map(|(i, &w)| (inputs(o)[i / taps], w)))
                };
                weight.outer_iter().enumerate().map(channel).collect()
            }
            None => {
                let filters = operands[1].range.channels.iter().enumerate();
                filters.map(|(o, &filter)| Interval::sum(inputs(o)).scale(taps as f64).mul(filter)).collect()
            }
        };
        Range::of(operands, channels)
    }

    fn fixed(&self, kernel: Kernel, args: &Args<'_, u64>, _: &Place<'_>) -> Result<Batch<u64>> {
        let (geometry, [x, w]) = self.arranged([args.operands[0], args.operands[1]]);
        let mut product = vec![0; args.shape.iter().product()];
        kernel.conv(&geometry, x.shape()[0], slice(&x), slice(&w), &mut product);
        Ok(tensor(&args.shape, product))
    }

    fn secure(&self, party: &mut Party, operands: &[&Shared], place: &Place<'_>) -> Result<Shared> {
        (self as &dyn Product).compute(party, operands, place)
    }

    fn product(&self) -> Option<&dyn Product> {
        Some(self)
    }
}

impl Product for ConvGeometry {
    fn send(&self, round: &mut Round<'_>, [x, w]: [(&ArithmeticShare, bool); 2]) -> Result<PendingLinear> {
        let (geometry, [own_x, own_w]) = self.arranged([(x.0.own(), x.1), (w.0.own(), w.1)]);
        let (_, [next_x, next_w]) = self.arranged([(x.0.next(), x.1), (w.0.next(), w.1)]);
        product::send_conv(round, &geometry, &Share::new(own_x, next_x), &Share::new(own_w, next_w))
    }
}

impl ConvGeometry {
    /// The convolution of a batch with one kernel that computes the same, and its operands. Each operand comes with
    /// whether it is a batch; one at least is.
    fn arranged<T: Element>(&self, [(x, x_batched), (w, w_batched)]: [(&Batch<T>, bool); 2]) -> (Self, [Batch<T>; 2]) {
        if !w_batched {
            return (self.clone(), [x.clone(), w.clone()]);
        }
        let samples = w.shape()[0];
        let [in_channels, out_channels, groups] =
            [self.in_channels, self.out_channels, self.groups].map(|n| samples * n);
        let sample = [self.in_channels, self.input[0], self.input[1]];
        let x = broadcast(x, x_batched, &[&[samples], &sample[..]].concat());
        let reshaped =
            |t: Batch<T>, shape: [usize; 4]| t.into_shape_with_order(IxDyn(&shape)).expect("as many elements");
        let x = reshaped(x, [1, in_channels, self.input[0], self.input[1]]);
        let w = reshaped(w.clone(), [out_channels, in_channels / groups, self.kernel[0], self.kernel[1]]);
        (Self { in_channels, out_channels, groups, ..self.clone() }, [x, w])
    }

    /// The convolution of a batch with one kernel in float64.
    fn reference(&self, x: &Batch<f64>, w: &Batch<f64>) -> Array4<f64> {
        let [oh, ow] = self.output();
        let (per_in, per_out) = (self.in_channels / self.groups, self.out_channels / self.groups);
        let taps = per_in * self.kernel[0] * self.kernel[1];
        let w = w.view().into_shape_with_order((self.out_channels, taps)).expect("a row of taps per channel");
        let mut y = Array4::zeros((x.shape()[0], self.out_channels, oh, ow));
        for (x, mut y) in x.outer_iter().zip(y.outer_iter_mut()) {
            let x = x.into_shape_with_order((self.in_channels, self.input[0] * self.input[1])).expect("pixels");
            for group in 0..self.groups {
                let x = x.slice_axis(Axis(0), (group * per_in..(group + 1) * per_in).into());
                let w = w.slice_axis(Axis(0), (group * per_out..(group + 1) * per_out).into());
                let product = w.dot(&patches(self, x)).into_shape_with_order((per_out, oh, ow)).expect("channels");
                y.slice_axis_mut(Axis(0), (group * per_out..(group + 1) * per_out).into()).assign(&product);
            }
        }
        y
    }
}

/// One column per output position, one row per tap.
fn patches(g: &ConvGeometry, x: ArrayView2<'_, f64>) -> Array2<f64> {
    let ([h, w], [_, ow], [kh, kw]) = (g.input, g.output(), g.kernel);
    Array2::from_shape_fn((x.nrows() * kh * kw, g.output().iter().product()), |(tap, position)| {
        let (channel, ky, kx) = (tap / (kh * kw), tap / kw % kh, tap % kw);
        let row = (position / ow * g.stride[0] + ky * g.dilation[0]).checked_sub(g.pad_begin[0]);
        let column = (position % ow * g.stride[1] + kx * g.dilation[1]).checked_sub(g.pad_begin[1]);
        match (row, column) {
            (Some(row), Some(column)) if row < h && column < w => x[[channel, row * w + column]],
            _ => 0.0,
        }
    })
}

impl Importer {
    /// Conv, with its bias.
    pub(in crate::model) fn conv(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
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
}
