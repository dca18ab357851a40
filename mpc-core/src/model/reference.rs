//! What every operation means over the real numbers, in float64.

use ndarray::{Array2, ArrayView2, Axis, IxDyn, Zip};

use super::graph::Op;
use super::network::Network;
use super::rearrange::{Batch, broadcast, gather_windows, rearrange};
use crate::kernel::ConvGeometry;

/// The result of `op` on operands that shape inference accepts; `batched` tells for each whether it is a batch or a
/// weight. `Input` and `Weight` compute nothing.
pub(crate) fn apply(op: &Op, operands: &[(&Batch<f64>, bool)], windows: &[u32]) -> Batch<f64> {
    let (x, _) = operands[0];
    match op {
        Op::Conv(geometry) => conv(geometry, x, operands[1].0),
        Op::MatMul => matmul(x, operands[1].0),
        Op::Add => elementwise(operands, |a, b| a + b),
        Op::Sub => elementwise(operands, |a, b| a - b),
        Op::Mul => elementwise(operands, |a, b| a * b),
        Op::Scale { factor, .. } => x.mapv(|x| x * factor).into_shared(),
        Op::Offset { constant } => x.mapv(|x| x + constant).into_shared(),
        Op::Rescale { .. } => x.clone(),
        Op::Relu { ceiling, .. } => x.mapv(|x| x.max(0.0).min(ceiling.unwrap_or(f64::INFINITY))).into_shared(),
        Op::Function { function, .. } => x.mapv(|x| function.of(x)).into_shared(),
        Op::MaxPool(geometry) => {
            let max = |a: Batch<f64>, b: Batch<f64>| Zip::from(&a).and(&b).map_collect(|a, b| a.max(*b)).into_shared();
            gather_windows(geometry, x, f64::NEG_INFINITY).into_iter().reduce(max).expect("a window has elements")
        }
        op @ (Op::SumPool(_)
        | Op::ReduceSum { .. }
        | Op::Reshape { .. }
        | Op::Transpose { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::SumWindows { .. }) => {
            rearrange(op, &operands.iter().map(|(operand, _)| *operand).collect::<Vec<_>>(), windows)
        }
        Op::Input | Op::Weight(_) => unreachable!("{} computes nothing", op.name()),
    }
}

/// The largest magnitude of every layer of `network` on a batch of samples.
pub(super) fn peaks(network: &Network, samples: &Batch<f64>) -> Vec<f64> {
    let windows = vec![1; samples.shape()[0]];
    let mut last_use = vec![0; network.layers.len()];
    for (id, layer) in network.layers.iter().enumerate() {
        layer.inputs.iter().for_each(|&input| last_use[input] = id);
    }
    let mut values: Vec<Option<Batch<f64>>> = Vec::with_capacity(network.layers.len());
    let mut peaks = Vec::with_capacity(network.layers.len());
    for (id, layer) in network.layers.iter().enumerate() {
        let value = match &layer.op {
            Op::Input => samples.clone(),
            Op::Weight(index) => network.weights[*index].to_shared(),
            op => {
                let operand = |&input: &usize| {
                    let value: &Option<Batch<f64>> = &values[input];
                    (value.as_ref().expect("alive until its last use"), network.layers[input].form.batched)
                };
                apply(op, &layer.inputs.iter().map(operand).collect::<Vec<_>>(), &windows)
            }
        };
        peaks.push(value.iter().fold(0.0, |peak: f64, x| peak.max(x.abs())));
        values.push(Some(value));
        layer.inputs.iter().filter(|&&input| last_use[input] == id).for_each(|&input| values[input] = None);
    }
    peaks
}

fn elementwise(operands: &[(&Batch<f64>, bool)], f: impl Fn(f64, f64) -> f64) -> Batch<f64> {
    let [(x, x_batched), (y, y_batched)] = operands else { unreachable!("two operands") };
    let batch = if *x_batched { x.shape()[0] } else { y.shape()[0] };
    let sample = |t: &Batch<f64>, batched: bool| t.shape()[usize::from(batched)..].to_vec();
    let shape = super::shape::broadcast(&sample(x, *x_batched), &sample(y, *y_batched)).expect("they broadcast");
    let shape: Vec<usize> = std::iter::once(batch).chain(shape).collect();
    let (x, y) = (broadcast(x, *x_batched, &shape), broadcast(y, *y_batched, &shape));
    Zip::from(&x).and(&y).map_collect(|&x, &y| f(x, y)).into_shared()
}

fn matmul(x: &Batch<f64>, w: &Batch<f64>) -> Batch<f64> {
    let (k, n) = (w.shape()[0], w.shape()[1]);
    let rows = x.clone().into_shape_with_order((x.len() / k, k)).expect("rows of k elements");
    let w = w.view().into_shape_with_order((k, n)).expect("a matrix");
    let mut shape = x.shape().to_vec();
    shape.last_mut().into_iter().for_each(|last| *last = n);
    rows.dot(&w).into_shared().into_shape_with_order(IxDyn(&shape)).expect("as many elements")
}

fn conv(g: &ConvGeometry, x: &Batch<f64>, w: &Batch<f64>) -> Batch<f64> {
    let [oh, ow] = g.output();
    let (per_in, per_out) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let taps = per_in * g.kernel[0] * g.kernel[1];
    let w = w.view().into_shape_with_order((g.out_channels, taps)).expect("a row of taps per channel");
    let mut y = ndarray::Array4::zeros((x.shape()[0], g.out_channels, oh, ow));
    for (x, mut y) in x.outer_iter().zip(y.outer_iter_mut()) {
        let x = x.into_shape_with_order((g.in_channels, g.input[0] * g.input[1])).expect("channels of pixels");
        for group in 0..g.groups {
            let x = x.slice_axis(Axis(0), (group * per_in..(group + 1) * per_in).into());
            let w = w.slice_axis(Axis(0), (group * per_out..(group + 1) * per_out).into());
            let product = w.dot(&patches(g, x)).into_shape_with_order((per_out, oh, ow)).expect("output channels");
            y.slice_axis_mut(Axis(0), (group * per_out..(group + 1) * per_out).into()).assign(&product);
        }
    }
    y.into_dyn().into_shared()
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
