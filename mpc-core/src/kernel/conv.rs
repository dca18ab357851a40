//! Convolutions over Z_2^64.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::gemm::FEW_ROWS;
use crate::error::{Error, Result};

/// A two-dimensional convolution (height 1 for one dimension) without batch: input `[in_channels, in_h, in_w]`, weights
/// `[out_channels, in_channels / groups, k_h, k_w]`, output `[out_channels, out_h, out_w]`. As ONNX `Conv`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvGeometry {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Channel groups; divides both channel counts.
    pub groups: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps.
    pub stride: [usize; 2],
    /// Distances between the taps of the kernel.
    pub dilation: [usize; 2],
    /// Zeros before the first row and column.
    pub pad_begin: [usize; 2],
    /// Zeros after the last row and column.
    pub pad_end: [usize; 2],
}

impl ConvGeometry {
    /// The most elements of a tensor that [`ConvGeometry::validate`] accepts: 512 MiB.
    pub const MAX_ELEMENTS: usize = 1 << 26;

    /// Height and width of the output, 0 where the geometry is not valid.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|d| self.steps(d).unwrap_or(0))
    }

    /// Checks a geometry from an untrusted source: no size is zero, the groups divide the channels, the kernel fits
    /// into the padded input, and neither that, nor the weights, nor the output has more than
    /// [`ConvGeometry::MAX_ELEMENTS`] elements. [`Kernel::conv`] expects a valid one.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn validate(&self) -> Result<()> {
        let invalid = |reason: &str| Err(Error::invalid("convolution", format!("{reason}: {self:?}")));
        let sizes = [self.input, self.kernel, self.stride, self.dilation].concat();
        if sizes.contains(&0) || [self.in_channels, self.out_channels, self.groups].contains(&0) {
            return invalid("a size is zero");
        }
        if !self.in_channels.is_multiple_of(self.groups) || !self.out_channels.is_multiple_of(self.groups) {
            return invalid("the groups do not divide the channels");
        }
        let (Some(height), Some(width)) = (self.steps(0), self.steps(1)) else {
            return invalid("the kernel does not fit into the padded input");
        };
        let tensors = [
            [self.in_channels, self.padded(0).unwrap_or(usize::MAX), self.padded(1).unwrap_or(usize::MAX), 1],
            [self.out_channels, self.in_channels / self.groups, self.kernel[0], self.kernel[1]],
            [self.out_channels, height, width, 1],
        ];
        let bounded = |shape: [usize; 4]| {
            let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
            elements.is_some_and(|elements| elements <= Self::MAX_ELEMENTS)
        };
        if !tensors.into_iter().all(bounded) {
            return invalid("a tensor is too large");
        }
        Ok(())
    }

    /// What the taps of one group see of one input, at most `most` positions of the output at a time: which ones, and
    /// one row a tap, one column a position (im2col). Taps are numbered as in a row of the weights.
    pub(crate) fn columns<'x>(
        &'x self,
        x: &'x [u64],
        group: usize,
        most: usize,
    ) -> impl Iterator<Item = (Range<usize>, Vec<u64>)> + 'x {
        let plan = Plan::new(self);
        let x = plan.pad(x);
        (0..plan.positions.len()).step_by(most).map(move |first| {
            let range = first..plan.positions.len().min(first + most);
            let (x, positions) = (&x[group * (x.len() / self.groups)..], &plan.positions[range.clone()]);
            let mut seen = Vec::with_capacity(plan.taps.len() * positions.len());
            plan.taps.iter().for_each(|tap| seen.extend(positions.iter().map(|position| x[tap + position])));
            (range, seen)
        })
    }

    /// Padded size of the input, unless it overflows.
    fn padded(&self, d: usize) -> Option<usize> {
        self.input[d].checked_add(self.pad_begin[d])?.checked_add(self.pad_end[d])
    }

    /// Positions of the kernel on the padded input, unless it does not fit.
    fn steps(&self, d: usize) -> Option<usize> {
        let reach = self.kernel[d].checked_sub(1)?.checked_mul(self.dilation[d])?.checked_add(1)?;
        Some(self.padded(d)?.checked_sub(reach)?.checked_div(self.stride[d])? + 1)
    }
}

impl Kernel {
    /// `y += conv(x, w)` for `batch` inputs one after the other.
    ///
    /// # Panics
    /// If the geometry is not valid, or a slice is not as long as it says.
    pub fn conv(self, g: &ConvGeometry, batch: usize, x: &[u64], w: &[u64], y: &mut [u64]) {
        let plan = Plan::new(g);
        let [m, k, n] = plan.shape;
        assert_eq!(x.len(), batch * g.in_channels * g.input[0] * g.input[1]);
        assert_eq!(w.len(), g.groups * m * k);
        assert_eq!(y.len(), batch * g.groups * m * n);
        if y.is_empty() {
            return;
        }
        for (x, y) in x.chunks_exact(x.len() / batch).zip(y.chunks_exact_mut(y.len() / batch)) {
            let x = plan.pad(x);
            let groups = x.chunks_exact(x.len() / g.groups).zip(w.chunks_exact(m * k)).zip(y.chunks_exact_mut(m * n));
            for ((x, w), y) in groups {
                if m < FEW_ROWS {
                    self.run(
                        #[inline(always)]
                        || plan.add_taps(x, w, y),
                    );
                } else {
                    self.blocked(
                        plan.shape,
                        w,
                        y,
                        #[inline(always)]
                        |t, p, panel| plan.pack(x, t, p, panel),
                    );
                }
            }
        }
    }
}

/// The convolution of one group as a matrix product: weights times the matrix of what every tap sees at every position
/// (im2col). An entry of that matrix is found in the padded input at the sum of two offsets.
struct Plan<'a> {
    geometry: &'a ConvGeometry,
    /// Output channels of a group, taps, positions.
    shape: [usize; 3],
    /// Width of the output.
    row: usize,
    /// Height and width of the padded input.
    padded: [usize; 2],
    taps: Vec<usize>,
    positions: Vec<usize>,
}

impl<'a> Plan<'a> {
    fn new(g: &'a ConvGeometry) -> Self {
        let [height, row] = g.output();
        let padded = [0, 1].map(|d| g.pad_begin[d] + g.input[d] + g.pad_end[d]);
        let (plane, [kernel_h, kernel_w]) = (padded[0] * padded[1], g.kernel);
        let per_channel = kernel_h * kernel_w;
        let tap = |t: usize| {
            let (y, x) = (t % per_channel / kernel_w, t % kernel_w);
            t / per_channel * plane + y * g.dilation[0] * padded[1] + x * g.dilation[1]
        };
        let position = |p: usize| p / row * g.stride[0] * padded[1] + p % row * g.stride[1];
        let taps: Vec<_> = (0..g.in_channels / g.groups * per_channel).map(tap).collect();
        let positions: Vec<_> = (0..height * row).map(position).collect();
        let shape = [g.out_channels / g.groups, taps.len(), positions.len()];
        Self { geometry: g, shape, row, padded, taps, positions }
    }

    /// One input with its padding.
    fn pad<'x>(&self, x: &'x [u64]) -> Cow<'x, [u64]> {
        let (g, [height, width]) = (self.geometry, self.padded);
        if g.input == self.padded {
            return Cow::Borrowed(x);
        }
        let mut padded = vec![0; g.in_channels * height * width];
        for (to, from) in padded.chunks_exact_mut(height * width).zip(x.chunks_exact(g.input[0] * g.input[1])) {
            let rows = to.chunks_exact_mut(width).skip(g.pad_begin[0]);
            for (to, from) in rows.zip(from.chunks_exact(g.input[1])) {
                to[g.pad_begin[1]..][..from.len()].copy_from_slice(from);
            }
        }
        Cow::Owned(padded)
    }

    /// Writes taps and positions of the im2col matrix of a group to a panel, see [`Kernel::blocked`].
    #[inline(always)]
    fn pack(&self, x: &[u64], taps: Range<usize>, positions: Range<usize>, panel: &mut [u64]) {
        const CHUNK: usize = 4;
        let (taps, positions) = (&self.taps[taps], &self.positions[positions]);
        let width = panel.len() / taps.len();
        for (i, positions) in positions.chunks(CHUNK).enumerate() {
            let rows = panel.chunks_exact_mut(width).map(|row| &mut row[i * CHUNK..]).zip(taps);
            if positions.len() == CHUNK && positions[CHUNK - 1] - positions[0] == CHUNK - 1 {
                for (to, tap) in rows {
                    to[..CHUNK].copy_from_slice(&x[tap + positions[0]..][..CHUNK]);
                }
            } else {
                for (to, tap) in rows {
                    to.iter_mut().zip(positions).for_each(|(to, position)| *to = x[tap + position]);
                }
            }
        }
        if positions.len() < width {
            panel.chunks_exact_mut(width).for_each(|row| row[positions.len()..].fill(0));
        }
    }

    /// `y += conv(x, w)` for few output channels, where im2col would cost more than the products.
    #[inline(always)]
    fn add_taps(&self, x: &[u64], w: &[u64], y: &mut [u64]) {
        let [_, k, n] = self.shape;
        let stride = self.geometry.stride[1];
        for (w, y) in w.chunks_exact(k).zip(y.chunks_exact_mut(n)) {
            for (y, start) in y.chunks_exact_mut(self.row).zip(self.positions.iter().step_by(self.row)) {
                for (w, tap) in w.iter().zip(&self.taps) {
                    let x = &x[start + tap..][..(y.len() - 1) * stride + 1];
                    if stride == 1 {
                        y.iter_mut().zip(x).for_each(|(y, x)| *y = y.wrapping_add(w.wrapping_mul(*x)));
                    } else {
                        let x = x.iter().step_by(stride);
                        y.iter_mut().zip(x).for_each(|(y, x)| *y = y.wrapping_add(w.wrapping_mul(*x)));
                    }
                }
            }
        }
    }
}
