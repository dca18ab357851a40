//! The operations that move and sum elements without looking at them. They are linear, so they act on numbers and on
//! the components of shares alike.

use ndarray::{ArcArray, Array, ArrayViewD, Axis, IxDyn, Slice};

use super::graph::{Op, PoolGeometry};

/// A tensor with the batch dimension first.
pub(crate) type Batch<T> = ArcArray<T, IxDyn>;

/// What tensors consist of.
pub(crate) trait Element: Copy + Default + Send + Sync + 'static {
    /// The sum; modulo 2^64 for words.
    fn plus(self, other: Self) -> Self;
}

impl Element for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Element for u64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

/// The result of such an operation on valid operands.
///
/// # Panics
/// On any other operation, and on operands that shape inference refuses.
pub(crate) fn rearrange<T: Element>(op: &Op, operands: &[&Batch<T>], windows: &[u32]) -> Batch<T> {
    let x = operands[0];
    match op {
        Op::SumPool(geometry) => {
            let sum = |a: Batch<T>, b: Batch<T>| ndarray::Zip::from(&a).and(&b).map_collect(|&a, &b| a.plus(b)).into();
            gather_windows(geometry, x, T::default()).into_iter().reduce(sum).expect("a window has elements")
        }
        Op::ReduceSum { axes } => axes.iter().rev().fold(x.clone(), |x, &axis| {
            x.fold_axis(Axis(axis + 1), T::default(), |&sum, &next| sum.plus(next)).into_shared()
        }),
        Op::Reshape { shape } => {
            let shape: Vec<usize> = x.shape()[..1].iter().chain(shape).copied().collect();
            x.clone().into_shape_with_order(IxDyn(&shape)).expect("as many elements")
        }
        Op::Transpose { perm } => {
            let axes: Vec<usize> = std::iter::once(0).chain(perm.iter().map(|axis| axis + 1)).collect();
            standard(x.view().permuted_axes(IxDyn(&axes)))
        }
        Op::Pad { begin, end } => pad(x, begin, end, T::default()),
        Op::Concat { axis } => {
            let views: Vec<_> = operands.iter().map(|x| x.view()).collect();
            standard(ndarray::concatenate(Axis(axis + 1), &views).expect("shapes that agree").view())
        }
        Op::SumWindows { .. } => sum_windows(x, windows),
        op => unreachable!("{} does more than move elements", op.name()),
    }
}

/// For each position in a window, the elements at that position of all windows: `[batch, channels, oh, ow]` each.
/// Positions in the padding hold `fill`.
pub(crate) fn gather_windows<T: Element>(g: &PoolGeometry, x: &Batch<T>, fill: T) -> Vec<Batch<T>> {
    let padded = match (g.pad_begin, g.pad_end) {
        ([0, 0], [0, 0]) => x.clone(),
        ([top, left], [bottom, right]) => pad(x, &[0, top, left], &[0, bottom, right], fill),
    };
    let output = g.output();
    let positions = (0..g.kernel[0]).flat_map(|y| (0..g.kernel[1]).map(move |x| [y, x]));
    positions
        .map(|first| {
            standard(padded.slice_each_axis(|axis| match axis.axis.index().checked_sub(2) {
                None => Slice::from(..),
                Some(d) => {
                    let last = first[d] + (output[d] - 1) * g.stride[d];
                    Slice::new(first[d] as isize, Some(last as isize + 1), g.stride[d] as isize)
                }
            }))
        })
        .collect()
}

/// `x`, batched or a weight, repeated to `shape`, its batch dimension first.
pub(crate) fn broadcast<T: Element>(x: &Batch<T>, batched: bool, shape: &[usize]) -> Batch<T> {
    if x.shape() == shape {
        return x.clone();
    }
    let mut aligned = x.shape().to_vec();
    while batched && aligned.len() < shape.len() {
        aligned.insert(1, 1);
    }
    let x = x.clone().into_shape_with_order(IxDyn(&aligned)).expect("as many elements");
    standard(x.broadcast(IxDyn(shape)).expect("shapes that broadcast"))
}

fn pad<T: Element>(x: &Batch<T>, begin: &[usize], end: &[usize], fill: T) -> Batch<T> {
    let sizes = x.shape()[1..].iter().zip(begin.iter().zip(end)).map(|(size, (a, b))| size + a + b);
    let shape: Vec<usize> = x.shape()[..1].iter().copied().chain(sizes).collect();
    let mut padded = Array::from_elem(IxDyn(&shape), fill);
    let mut inside = padded.slice_each_axis_mut(|axis| match axis.axis.index().checked_sub(1) {
        None => Slice::from(..),
        Some(d) => Slice::from(begin[d]..begin[d] + x.shape()[d + 1]),
    });
    inside.assign(x);
    padded.into_shared()
}

fn sum_windows<T: Element>(x: &Batch<T>, windows: &[u32]) -> Batch<T> {
    if windows.iter().all(|&n| n == 1) {
        return x.clone();
    }
    let mut shape = x.shape().to_vec();
    shape[0] = windows.len();
    let mut sums = Array::from_elem(IxDyn(&shape), T::default());
    let mut samples = x.outer_iter();
    for (mut sum, &n) in sums.outer_iter_mut().zip(windows) {
        for sample in samples.by_ref().take(n as usize) {
            sum.zip_mut_with(&sample, |sum, &next| *sum = sum.plus(next));
        }
    }
    sums.into_shared()
}

fn standard<T: Element>(view: ArrayViewD<'_, T>) -> Batch<T> {
    view.as_standard_layout().into_owned().into_shared()
}
