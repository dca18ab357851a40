//! Convolutions over Z_2^64.

use serde::{Deserialize, Serialize};

use super::Kernel;

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
    /// Height and width of the output.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|d| {
            let reach = self.dilation[d] * (self.kernel[d] - 1) + 1;
            (self.input[d] + self.pad_begin[d] + self.pad_end[d] - reach) / self.stride[d] + 1
        })
    }
}

impl Kernel {
    /// `y += conv(x, w)` for `batch` inputs one after the other.
    ///
    /// # Panics
    /// If a slice is not as long as the geometry says.
    pub fn conv(self, g: &ConvGeometry, batch: usize, x: &[u64], w: &[u64], y: &mut [u64]) {
        let ([h, wd], [oh, ow], [kh, kw]) = (g.input, g.output(), g.kernel);
        let (per_in, per_out) = (g.in_channels / g.groups, g.out_channels / g.groups);
        assert_eq!(x.len(), batch * g.in_channels * h * wd);
        assert_eq!(w.len(), g.out_channels * per_in * kh * kw);
        assert_eq!(y.len(), batch * g.out_channels * oh * ow);
        for (index, out) in y.iter_mut().enumerate() {
            let (b, rest) = (index / (g.out_channels * oh * ow), index % (g.out_channels * oh * ow));
            let (o, oy, ox) = (rest / (oh * ow), rest / ow % oh, rest % ow);
            for c in 0..per_in {
                let plane = &x[(b * g.in_channels + o / per_out * per_in + c) * h * wd..][..h * wd];
                for ky in 0..kh {
                    for kx in 0..kw {
                        let iy = (oy * g.stride[0] + ky * g.dilation[0]).wrapping_sub(g.pad_begin[0]);
                        let ix = (ox * g.stride[1] + kx * g.dilation[1]).wrapping_sub(g.pad_begin[1]);
                        if iy < h && ix < wd {
                            let tap = w[((o * per_in + c) * kh + ky) * kw + kx];
                            *out = out.wrapping_add(plane[iy * wd + ix].wrapping_mul(tap));
                        }
                    }
                }
            }
        }
    }
}
