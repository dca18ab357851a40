//! Matrix products over Z_2^64.

use std::ops::Range;

use super::Kernel;
use super::tile::{Block, NARROW_WIDTH, Narrow};
use crate::ring::Word;

/// Rows and columns of a panel of b, which takes half of a first-level cache.
const DEPTH: usize = 128;
const WIDTH: usize = 24;
/// Below this many rows a packed panel is not used often enough to pay for itself.
pub(super) const FEW_ROWS: usize = 4;
/// Below this many columns vectors run along the rows of a.
const FEW_COLUMNS: usize = 4;
/// Words of a row of c that stay in the first-level cache.
const ROW: usize = 1024;

impl Kernel {
    /// `c += a * b` modulo 2^64: a is m x k, b is k x n, c is m x n, all row-major.
    ///
    /// # Panics
    /// If a slice is not as long as its shape says.
    pub fn gemm(self, [m, k, n]: [usize; 3], a: &[u64], b: &[u64], c: &mut [u64]) {
        assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n]);
        if c.is_empty() || k == 0 {
            return;
        }
        if n < FEW_COLUMNS {
            let transposed: Vec<u64> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
            self.run(
                #[inline(always)]
                || inner_products(n, k, a, &transposed, c),
            );
        } else if m < FEW_ROWS {
            self.run(
                #[inline(always)]
                || sum_rows(n, k, a, b, c),
            );
        } else {
            self.blocked(
                [m, k, n],
                a,
                c,
                #[inline(always)]
                |rows, columns, panel| pack(n, b, rows, columns, panel),
            );
        }
    }

    /// `c += a * b` in register tiles. `pack` writes rows and columns of b to a panel of as many rows, filling up each
    /// row with zeros.
    pub(super) fn blocked(
        self,
        [m, k, n]: [usize; 3],
        a: &[u64],
        c: &mut [u64],
        pack: impl Fn(Range<usize>, Range<usize>, &mut [u64]),
    ) {
        #[repr(align(64))]
        struct Panel([u64; DEPTH * WIDTH]);
        let mut panel = Panel([0; DEPTH * WIDTH]);
        let tiles = self.tiles();
        for l in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - l);
            for j in (0..n).step_by(WIDTH) {
                let columns = WIDTH.min(n - j);
                let panel_stride = columns.next_multiple_of(tiles.lanes);
                let panel = &mut panel.0[..depth * panel_stride];
                self.run(
                    #[inline(always)]
                    || pack(l..l + depth, j..j + columns, panel),
                );
                let mut i = 0;
                while i < m {
                    let rows = tiles.height(m - i);
                    for first in (0..columns).step_by(tiles.width()) {
                        self.tile(Block {
                            a: &a[i * k + l..],
                            a_stride: k,
                            panel: &panel[first..],
                            panel_stride,
                            c: &mut c[i * n + j + first..],
                            c_stride: n,
                            size: [rows, depth, tiles.width().min(columns - first)],
                        });
                    }
                    i += rows;
                }
            }
        }
    }
}

/// Writes rows and columns of b, which is n wide, to a panel.
#[inline(always)]
fn pack(n: usize, b: &[u64], rows: Range<usize>, columns: Range<usize>, panel: &mut [u64]) {
    let width = panel.len() / rows.len();
    for (to, l) in panel.chunks_exact_mut(width).zip(rows) {
        to[..columns.len()].copy_from_slice(&b[l * n..][columns.clone()]);
        to[columns.len()..].fill(0);
    }
}

/// `c += a * b` for few columns: every entry of c is the inner product of a row of a and a row of b transposed.
#[inline(always)]
fn inner_products(n: usize, k: usize, a: &[u64], b: &[u64], c: &mut [u64]) {
    for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        for (b, c) in b.chunks_exact(k).zip(c) {
            for (a, b) in a.iter().zip(b) {
                *c = c.wrapping_add(a.wrapping_mul(*b));
            }
        }
    }
}

/// `c += a * b` for few rows: four rows of b at a time are added to each row of c.
#[inline(always)]
fn sum_rows(n: usize, k: usize, a: &[u64], b: &[u64], c: &mut [u64]) {
    for j in (0..n).step_by(ROW) {
        let width = ROW.min(n - j);
        for l in (0..k).step_by(4) {
            for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
                let c = &mut c[j..][..width];
                let row = |l: usize| &b[l * n + j..][..width];
                if let [a0, a1, a2, a3] = a[l..k.min(l + 4)] {
                    let [b0, b1, b2, b3] = [row(l), row(l + 1), row(l + 2), row(l + 3)];
                    for x in 0..width {
                        let low = a0.wrapping_mul(b0[x]).wrapping_add(a1.wrapping_mul(b1[x]));
                        let high = a2.wrapping_mul(b2[x]).wrapping_add(a3.wrapping_mul(b3[x]));
                        c[x] = c[x].wrapping_add(low).wrapping_add(high);
                    }
                } else {
                    for (a, l) in a[l..].iter().zip(l..) {
                        for (c, b) in c.iter_mut().zip(row(l)) {
                            *c = c.wrapping_add(a.wrapping_mul(*b));
                        }
                    }
                }
            }
        }
    }
}

/// Words that matrices are made of.
pub trait Gemm: Word {
    /// `c += a * b` modulo 2^w: a is m x k, b is k x n, c is m x n, all row-major.
    ///
    /// # Panics
    /// If a slice is not as long as its shape says.
    fn gemm(kernel: Kernel, shape: [usize; 3], a: &[Self], b: &[Self], c: &mut [Self]);
}

impl Gemm for u64 {
    fn gemm(kernel: Kernel, shape: [usize; 3], a: &[Self], b: &[Self], c: &mut [Self]) {
        kernel.gemm(shape, a, b, c);
    }
}

macro_rules! narrow_gemm {
    ($($word:ty),*) => {$(
        impl Gemm for $word {
            fn gemm(kernel: Kernel, shape: [usize; 3], a: &[Self], b: &[Self], c: &mut [Self]) {
                narrow(kernel, shape, a, b, c);
            }
        }
    )*};
}
narrow_gemm!(u16, u32);

fn narrow<W: Narrow>(kernel: Kernel, [m, k, n]: [usize; 3], a: &[W], b: &[W], c: &mut [W]) {
    assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n]);
    if k == 0 {
        return;
    }
    for first in (0..n).step_by(NARROW_WIDTH) {
        let width = NARROW_WIDTH.min(n - first);
        let mut packed = Vec::new();
        let panel = if n == NARROW_WIDTH {
            b.as_chunks().0
        } else {
            packed.extend(b.chunks_exact(n).map(|row| {
                let mut to = [W::ZERO; NARROW_WIDTH];
                to[..width].copy_from_slice(&row[first..][..width]);
                to
            }));
            &packed
        };
        let mut rows = a.chunks_exact(k).zip(c.chunks_exact_mut(n).map(|row| &mut row[first..][..width]));
        let mut left = m;
        while left > 0 {
            left -= kernel.narrow_tile(&mut rows, left, panel);
        }
    }
}
