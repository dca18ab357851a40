//! Between words and bit planes, and elementwise products.

use super::Kernel;
use crate::ring::{Domain, Word};

impl Kernel {
    /// The low `k` bits of every word as `k` planes of ceil(n / 64) words: bit j of word i of plane p is bit p of
    /// element 64 i + j. Bits behind the last element are zero.
    ///
    /// # Panics
    /// If `k` exceeds the word.
    pub fn to_planes<W: Word>(self, words: &[W], k: usize) -> Vec<u64> {
        assert!(k <= W::BITS as usize);
        let per_plane = words.len().div_ceil(64);
        let mut planes = vec![0; k * per_plane];
        for (i, block) in words.chunks(64).enumerate() {
            for p in 0..k {
                planes[p * per_plane + i] =
                    block.iter().enumerate().fold(0, |row, (j, w)| row | (w.to_u64() >> p & 1) << j);
            }
        }
        planes
    }

    /// The inverse of [`Kernel::to_planes`]: `n` words whose low bits are the planes.
    ///
    /// # Panics
    /// If the planes are not whole, or more than the word has bits.
    pub fn from_planes<W: Word>(self, planes: &[u64], n: usize) -> Vec<W> {
        let per_plane = n.div_ceil(64);
        if n == 0 {
            return Vec::new();
        }
        assert!(planes.len().is_multiple_of(per_plane) && planes.len() / per_plane <= W::BITS as usize);
        let word = |e: usize| {
            let planes = planes.chunks_exact(per_plane).enumerate();
            planes.fold(0, |word, (p, plane)| word | (plane[e / 64] >> (e % 64) & 1) << p)
        };
        (0..n).map(|e| W::from_u64(word(e))).collect()
    }

    /// The local part of a product of replicated shares, elementwise: `x_i (y_i + y_{i+1}) + x_{i+1} y_i`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn cross_product<D: Domain, W: Word>(self, x: [&[W]; 2], y: [&[W]; 2]) -> Vec<W> {
        assert!(x[0].len() == x[1].len() && y[0].len() == y[1].len() && x[0].len() == y[0].len());
        let (x, y) = (x[0].iter().zip(x[1]), y[0].iter().zip(y[1]));
        x.zip(y).map(|((&x0, &x1), (&y0, &y1))| D::add(D::mul(x0, D::add(y0, y1)), D::mul(x1, y0))).collect()
    }
}
