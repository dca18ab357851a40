//! Between words and bit planes, and elementwise products.

use std::ops::Range;

use super::Kernel;
use crate::ring::{Domain, Word};

/// Blocks of 64 words that are transposed side by side: as many words as a cache line of a plane has.
const BLOCKS: usize = 8;

/// The most planes that are collected bit by bit faster than all 64 of a block are transposed.
#[cfg(target_arch = "x86_64")]
const FEW: usize = 4;

impl Kernel {
    /// These bits of every word as planes of ceil(n / 64) words: bit j of word i of the first plane is bit `bits.start`
    /// of element 64 i + j. Bits past the last element are zero.
    ///
    /// # Panics
    /// If the range ends past the word.
    pub fn to_planes<W: Word>(self, words: &[W], bits: Range<usize>) -> Vec<u64> {
        assert!(bits.end <= W::BITS as usize);
        let per_plane = words.len().div_ceil(64);
        let mut planes = vec![0; bits.len() * per_plane];
        #[cfg(target_arch = "x86_64")]
        if let (Kernel::Avx512(_), 1..=FEW) = (self, bits.len()) {
            for (bit, plane) in bits.zip(planes.chunks_exact_mut(per_plane.max(1))) {
                let (blocks, rest) = words.as_chunks();
                // SAFETY: the kernel is AVX-512.
                plane.iter_mut().zip(blocks).for_each(|(to, words)| *to = unsafe { x86::collect(words, bit as u32) });
                let last = rest.iter().enumerate().fold(0, |bits, (j, word)| bits | (word.to_u64() >> bit & 1) << j);
                plane.iter_mut().skip(blocks.len()).for_each(|to| *to = last);
            }
            return planes;
        }
        if !planes.is_empty() {
            self.narrow().run(
                #[inline(always)]
                || split(words, bits.start, per_plane, &mut planes),
            );
        }
        planes
    }

    /// The inverse of [`Kernel::to_planes`]: `n` words whose low bits are the planes.
    ///
    /// # Panics
    /// If the planes are not whole, or more than the word has bits.
    pub fn from_planes<W: Word>(self, planes: &[u64], n: usize) -> Vec<W> {
        let mut words = vec![W::ZERO; n];
        self.from_planes_into(planes, &mut words);
        words
    }

    /// As [`Kernel::from_planes`], into memory that is there.
    ///
    /// # Panics
    /// As there.
    pub fn from_planes_into<W: Word>(self, planes: &[u64], words: &mut [W]) {
        let per_plane = words.len().div_ceil(64);
        if words.is_empty() {
            return;
        }
        assert!(planes.len().is_multiple_of(per_plane) && planes.len() / per_plane <= W::BITS as usize);
        if planes.len() == per_plane {
            return self.spread(planes, words);
        }
        self.narrow().run(
            #[inline(always)]
            || join(planes, per_plane, words),
        );
    }

    /// One plane as words 0 or 1.
    fn spread<W: Word>(self, plane: &[u64], words: &mut [W]) {
        #[cfg(target_arch = "x86_64")]
        if let Kernel::Avx512(_) = self {
            let (blocks, rest) = words.as_chunks_mut();
            // SAFETY: the kernel is AVX-512.
            plane.iter().zip(blocks).for_each(|(&bits, words)| unsafe { x86::spread(bits, words) });
            let last = plane.last().copied().unwrap_or(0);
            rest.iter_mut().enumerate().for_each(|(j, word)| *word = W::from_u64(last >> j & 1));
            return;
        }
        self.run(
            #[inline(always)]
            || {
                for (bits, words) in plane.iter().zip(words.chunks_mut(64)) {
                    words.iter_mut().enumerate().for_each(|(j, word)| *word = W::from_u64(bits >> j & 1));
                }
            },
        );
    }

    /// The local part of a product of replicated shares, elementwise: `x_i (y_i + y_{i+1}) + x_{i+1} y_i`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn cross_product<D: Domain, W: Word>(self, x: [&[W]; 2], y: [&[W]; 2]) -> Vec<W> {
        let mut products = vec![W::ZERO; x[0].len()];
        self.cross_product_into::<D, W>(x, y, &mut products);
        products
    }

    /// `a - b`, elementwise.
    ///
    /// # Panics
    /// If the lengths differ.
    pub(crate) fn difference_into<D: Domain, W: Word>(self, a: &[W], b: &[W], difference: &mut [W]) {
        assert!(a.len() == difference.len() && b.len() == difference.len());
        self.run(
            #[inline(always)]
            || difference.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (&a, &b))| *to = D::sub(a, b)),
        );
    }

    /// As [`Kernel::cross_product`], into memory that is there.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn cross_product_into<D: Domain, W: Word>(self, x: [&[W]; 2], y: [&[W]; 2], products: &mut [W]) {
        let n = products.len();
        assert!([x[0].len(), x[1].len(), y[0].len(), y[1].len()] == [n; 4]);
        self.run(
            #[inline(always)]
            || {
                let (x, y) = (x[0].iter().zip(x[1]), y[0].iter().zip(y[1]));
                for (product, ((&x0, &x1), (&y0, &y1))) in products.iter_mut().zip(x.zip(y)) {
                    *product = D::add(D::mul(x0, D::add(y0, y1)), D::mul(x1, y0));
                }
            },
        );
    }
}

#[inline(always)]
fn split<W: Word>(words: &[W], first: usize, per_plane: usize, planes: &mut [u64]) {
    for (i, words) in words.chunks(64 * BLOCKS).enumerate() {
        let mut blocks = [[W::ZERO; 64]; BLOCKS];
        blocks.as_flattened_mut()[..words.len()].copy_from_slice(words);
        let mut rows = [[0; BLOCKS]; 64];
        for (j, row) in rows.iter_mut().enumerate() {
            *row = std::array::from_fn(|b| blocks[b][j].to_u64() >> first);
        }
        transpose(&mut rows);
        for (plane, row) in planes.chunks_exact_mut(per_plane).zip(&rows) {
            let to = &mut plane[i * BLOCKS..];
            let len = to.len().min(BLOCKS);
            to[..len].copy_from_slice(&row[..len]);
        }
    }
}

#[inline(always)]
fn join<W: Word>(planes: &[u64], per_plane: usize, words: &mut [W]) {
    for (i, words) in words.chunks_mut(64 * BLOCKS).enumerate() {
        let mut rows = [[0; BLOCKS]; 64];
        for (plane, row) in planes.chunks_exact(per_plane).zip(&mut rows) {
            let from = &plane[i * BLOCKS..];
            let len = from.len().min(BLOCKS);
            row[..len].copy_from_slice(&from[..len]);
        }
        transpose(&mut rows);
        let mut blocks = [[W::ZERO; 64]; BLOCKS];
        for (j, row) in rows.iter().enumerate() {
            for (block, word) in blocks.iter_mut().zip(row) {
                block[j] = W::from_u64(*word);
            }
        }
        words.copy_from_slice(&blocks.as_flattened()[..words.len()]);
    }
}

/// Transposes 64 x 64 bits in each lane: quadrants change places, then quadrants of quadrants, down to single bits.
/// Source: Warren, Hacker's Delight, section 7-3.
#[inline(always)]
fn transpose(rows: &mut [[u64; BLOCKS]; 64]) {
    swap::<32>(rows);
    swap::<16>(rows);
    swap::<8>(rows);
    swap::<4>(rows);
    swap::<2>(rows);
    swap::<1>(rows);
}

/// Exchanges the upper right and the lower left quadrant of every square of twice `HALF` bits.
#[inline(always)]
fn swap<const HALF: usize>(rows: &mut [[u64; BLOCKS]; 64]) {
    // The low half of every 2 * HALF bits.
    let mask = u64::MAX / ((1 << HALF) + 1);
    for square in rows.chunks_exact_mut(2 * HALF) {
        let (upper, lower) = square.split_at_mut(HALF);
        for (upper, lower) in upper.as_flattened_mut().iter_mut().zip(lower.as_flattened_mut()) {
            let swap = (*upper >> HALF ^ *lower) & mask;
            *upper ^= swap << HALF;
            *lower ^= swap;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use crate::ring::Word;

    /// This bit of 64 words.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn collect<W: Word>(words: &[W; 64], bit: u32) -> u64 {
        let vectors = bytemuck::cast_slice::<W, u8>(words).as_chunks::<64>().0;
        vectors.iter().enumerate().fold(0, |bits, (i, from)| {
            // SAFETY: 64 bytes.
            let vector = unsafe { _mm512_loadu_si512(from.as_ptr().cast()) };
            let found = match W::BITS {
                8 => _mm512_test_epi8_mask(vector, _mm512_set1_epi8(1 << bit)),
                16 => u64::from(_mm512_test_epi16_mask(vector, _mm512_set1_epi16(1 << bit))),
                32 => u64::from(_mm512_test_epi32_mask(vector, _mm512_set1_epi32(1 << bit))),
                _ => u64::from(_mm512_test_epi64_mask(vector, _mm512_set1_epi64(1 << bit))),
            };
            bits | found << (i * 512 / W::BITS as usize)
        })
    }

    /// 64 bits as words 0 or 1.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn spread<W: Word>(bits: u64, words: &mut [W; 64]) {
        let vectors = bytemuck::cast_slice_mut::<W, u8>(words).as_chunks_mut::<64>().0;
        for (i, to) in vectors.iter_mut().enumerate() {
            let bits = bits >> (i * 512 / W::BITS as usize);
            let vector = match W::BITS {
                8 => _mm512_maskz_set1_epi8(bits, 1),
                16 => _mm512_maskz_set1_epi16(bits as u32, 1),
                32 => _mm512_maskz_set1_epi32(bits as u16, 1),
                _ => _mm512_maskz_set1_epi64(bits as u8, 1),
            };
            // SAFETY: 64 bytes.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), vector) };
        }
    }
}
