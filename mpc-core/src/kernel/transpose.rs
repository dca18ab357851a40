//! Transposes of matrices.

use crate::ring::Word;

/// The transpose of a matrix with `width` columns.
pub(crate) fn transpose<W: Word>(matrix: &[W], width: usize) -> Vec<W> {
    let height = matrix.len() / width;
    let mut transposed = vec![W::ZERO; matrix.len()];
    transpose_into(matrix, width, [height, width], &mut transposed, height);
    transposed
}

/// Writes the transpose of a matrix of `height` rows and `width` columns. Its rows are `stride` apart, those of the
/// transpose `to_stride`.
///
/// # Panics
/// If a slice is too short.
pub(super) fn transpose_into<W: Word>(
    matrix: &[W],
    stride: usize,
    [height, width]: [usize; 2],
    to: &mut [W],
    to_stride: usize,
) {
    /// Bytes of a row that are read at a time: a cache line.
    const BYTES: usize = 64;
    let side = square_side::<W>();
    let (rows, columns) = (height - height % side, width - width % side);
    for first in (0..columns).step_by(BYTES / size_of::<W>()) {
        for row in (0..rows).step_by(side) {
            for column in (first..columns.min(first + BYTES / size_of::<W>())).step_by(side) {
                square(&matrix[row * stride + column..], stride, &mut to[column * to_stride + row..], to_stride);
            }
        }
    }
    let rest = (0..height).flat_map(|i| (if i < rows { columns } else { 0 }..width).map(move |j| (i, j)));
    rest.for_each(|(i, j)| to[j * to_stride + i] = matrix[i * stride + j]);
}

#[cfg(target_arch = "x86_64")]
use x86::{square, square_side};

/// Sides of the squares that [`square`] transposes.
#[cfg(not(target_arch = "x86_64"))]
fn square_side<W: Word>() -> usize {
    1
}

#[cfg(not(target_arch = "x86_64"))]
fn square<W: Word>(from: &[W], _: usize, to: &mut [W], _: usize) {
    to[0] = from[0];
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use crate::ring::Word;

    /// Sides of the squares that [`square`] transposes: words in 16 bytes.
    pub(super) fn square_side<W: Word>() -> usize {
        match W::BITS {
            16 | 32 | 64 => 128 / W::BITS as usize,
            _ => 1,
        }
    }

    /// Transposes one square. Rows are `stride` and `to_stride` apart.
    #[inline(always)]
    pub(super) fn square<W: Word>(from: &[W], stride: usize, to: &mut [W], to_stride: usize) {
        match W::BITS {
            64 => move_square(from, stride, to, to_stride, pairs),
            32 => move_square(from, stride, to, to_stride, fours),
            16 => move_square(from, stride, to, to_stride, eights),
            _ => to[0] = from[0],
        }
    }

    #[inline(always)]
    fn move_square<W: Word, const SIDE: usize>(
        from: &[W],
        stride: usize,
        to: &mut [W],
        to_stride: usize,
        transpose: impl Fn([__m128i; SIDE]) -> [__m128i; SIDE],
    ) {
        assert!(SIDE * size_of::<W>() == size_of::<__m128i>());
        // SAFETY: the slice has as many words as the vector.
        let rows = std::array::from_fn(|i| unsafe { _mm_loadu_si128(from[i * stride..][..SIDE].as_ptr().cast()) });
        for (j, row) in transpose(rows).into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm_storeu_si128(to[j * to_stride..][..SIDE].as_mut_ptr().cast(), row) };
        }
    }

    #[inline(always)]
    fn pairs([a, b]: [__m128i; 2]) -> [__m128i; 2] {
        // SAFETY: part of every x86-64, as are all below.
        unsafe { [_mm_unpacklo_epi64(a, b), _mm_unpackhi_epi64(a, b)] }
    }

    #[inline(always)]
    fn fours([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
        // SAFETY: as above.
        let [low, high] =
            [(a, b), (c, d)].map(|(a, b)| unsafe { [_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b)] });
        let [[a, b], [c, d]] = [pairs([low[0], high[0]]), pairs([low[1], high[1]])];
        [a, b, c, d]
    }

    #[inline(always)]
    fn eights(rows: [__m128i; 8]) -> [__m128i; 8] {
        // SAFETY: as above.
        let halves = |i: usize| unsafe {
            [_mm_unpacklo_epi16(rows[2 * i], rows[2 * i + 1]), _mm_unpackhi_epi16(rows[2 * i], rows[2 * i + 1])]
        };
        let [a, b, c, d] = std::array::from_fn(halves);
        // Of words in pairs, the first four columns and the last four.
        let ([a, b, c, d], [e, f, g, h]) = (fours([a[0], b[0], c[0], d[0]]), fours([a[1], b[1], c[1], d[1]]));
        [a, b, c, d, e, f, g, h]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_shape() {
        for [height, width] in [[1, 1], [1, 9], [7, 2], [8, 8], [16, 48], [19, 37], [64, 65]] {
            let words: Vec<u64> = (0..(height * width) as u64).collect();
            let expected: Vec<u64> = (0..words.len()).map(|i| words[i % height * width + i / height]).collect();
            let narrow = |word: &u64| *word as u16;
            assert_eq!(transpose(&words, width), expected);
            let half = transpose(&words.iter().map(|&word| word as u32).collect::<Vec<_>>(), width);
            assert!(half.into_iter().map(u64::from).eq(expected.iter().copied()));
            let quarter = transpose(&words.iter().map(narrow).collect::<Vec<_>>(), width);
            assert!(quarter.into_iter().eq(expected.iter().map(narrow)));
        }
    }
}
