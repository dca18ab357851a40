//! Register tiles: the innermost loops of the matrix product.

use super::Kernel;
use crate::ring::Word;

/// Operands of one tile, `c += a * b` for a few rows and columns.
pub(super) struct Block<'a> {
    /// The rows of a, `a_stride` apart.
    pub(super) a: &'a [u64],
    pub(super) a_stride: usize,
    /// The rows of b, `panel_stride` apart and filled up with zeros to whole vectors.
    pub(super) panel: &'a [u64],
    pub(super) panel_stride: usize,
    /// The rows of c, `c_stride` apart.
    pub(super) c: &'a mut [u64],
    pub(super) c_stride: usize,
    /// Rows of c, a power of two; rows of b; columns of c, at most [`Tiles::width`].
    pub(super) size: [usize; 3],
}

/// The tiles of an instruction set.
pub(super) struct Tiles {
    /// Words in a vector.
    pub(super) lanes: usize,
    /// `[i][j]` has 2^i rows and (j + 1) vectors. To call one is safe on a machine with the instruction set.
    sizes: &'static [&'static [unsafe fn(Block<'_>)]],
}

impl Tiles {
    /// The most words that a tile is wide.
    pub(super) fn width(&self) -> usize {
        self.lanes * self.sizes[0].len()
    }

    /// The most rows, up to `rows`, that a tile has.
    pub(super) fn height(&self, rows: usize) -> usize {
        1 << rows.ilog2().min(self.sizes.len() as u32 - 1)
    }
}

impl Kernel {
    pub(super) fn tiles(self) -> &'static Tiles {
        match self {
            Kernel::Scalar => &Tiles { lanes: 4, sizes: &[&[portable::<1>], &[portable::<2>], &[portable::<4>]] },
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2(_) => &x86::AVX2,
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(_) => &x86::AVX512,
        }
    }

    /// Computes one tile.
    pub(super) fn tile(self, block: Block<'_>) {
        let tiles = self.tiles();
        let [rows, _, columns] = block.size;
        let tile = tiles.sizes[rows.ilog2() as usize][columns.div_ceil(tiles.lanes) - 1];
        // SAFETY: a `Kernel` exists only on a machine with its instruction set, and the tiles are those of this one.
        unsafe { tile(block) }
    }
}

/// Columns of a tile of words narrower than 64 bits.
pub(super) const NARROW_WIDTH: usize = 48;

/// Words narrower than 64 bits, whose products are single instructions.
pub(super) trait Narrow: Word {
    /// The sums of some rows of a, each with all of b, where it is faster than the portable code. To call one is safe
    /// on a machine with the instruction set.
    #[cfg(target_arch = "x86_64")]
    const AVX2: Option<Sums<Self, 2>>;
    #[cfg(target_arch = "x86_64")]
    const AVX512: Sums<Self, 8>;
}

#[cfg(not(target_arch = "x86_64"))]
impl Narrow for u16 {}
#[cfg(not(target_arch = "x86_64"))]
impl Narrow for u32 {}

#[cfg(target_arch = "x86_64")]
pub(super) type Sums<W, const ROWS: usize> = unsafe fn([&[W]; ROWS], &[[W; NARROW_WIDTH]]) -> [[W; NARROW_WIDTH]; ROWS];

impl Kernel {
    /// `c += a * b` for the next few of `left` rows of a and c, over all rows of b; how many they were.
    pub(super) fn narrow_tile<'a, W: Narrow>(
        self,
        rows: &mut impl Iterator<Item = (&'a [W], &'a mut [W])>,
        left: usize,
        b: &[[W; NARROW_WIDTH]],
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        match (self, W::AVX2) {
            // SAFETY: the kernel has the instructions.
            (Kernel::Avx512(_), _) if left >= 8 => return narrow(rows, b, |a| unsafe { W::AVX512(a, b) }),
            // SAFETY: as above.
            (Kernel::Avx2(_), Some(sums)) if left >= 2 => return narrow(rows, b, |a| unsafe { sums(a, b) }),
            _ => {}
        }
        let _ = left;
        self.run(
            #[inline(always)]
            || narrow(rows, b, |a| narrow_sums(a, b)),
        )
    }
}

/// Adds the sums of ROWS rows.
#[inline(always)]
fn narrow<'a, W: Word, const ROWS: usize>(
    rows: &mut impl Iterator<Item = (&'a [W], &'a mut [W])>,
    b: &[[W; NARROW_WIDTH]],
    sums: impl Fn([&[W]; ROWS]) -> [[W; NARROW_WIDTH]; ROWS],
) -> usize {
    let mut c: [&mut [W]; ROWS] = std::array::from_fn(|_| Default::default());
    let a = std::array::from_fn(|i| {
        let (a, row) = rows.next().expect("as many rows as are left");
        c[i] = row;
        &a[..b.len()]
    });
    for (c, sums) in c.into_iter().zip(sums(a)) {
        c.iter_mut().zip(sums).for_each(|(c, sum)| *c = c.wrapping_add(sum));
    }
    ROWS
}

#[inline(always)]
fn narrow_sums<W: Word>([a]: [&[W]; 1], b: &[[W; NARROW_WIDTH]]) -> [[W; NARROW_WIDTH]; 1] {
    let mut sums = [W::ZERO; NARROW_WIDTH];
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = sum.wrapping_add(a.wrapping_mul(*b)));
    }
    [sums]
}

fn portable<const ROWS: usize>(block: Block<'_>) {
    const LANES: usize = 4;
    let Block { a, a_stride, panel, panel_stride, c, c_stride, size: [_, depth, columns] } = block;
    let rows: [&[u64]; ROWS] = std::array::from_fn(|i| &a[i * a_stride..][..depth]);
    let mut sums = [[0u64; LANES]; ROWS];
    for (l, b) in (0..depth).zip(panel.chunks(panel_stride)) {
        let b = &b[..LANES];
        for (sums, row) in sums.iter_mut().zip(rows) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = sum.wrapping_add(row[l].wrapping_mul(*b));
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        add(&mut c[i * c_stride..][..columns], sums);
    }
}

#[inline(always)]
fn add(c: &mut [u64], sums: &[u64]) {
    c.iter_mut().zip(sums).for_each(|(c, sum)| *c = c.wrapping_add(*sum));
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Block, NARROW_WIDTH, Narrow, Sums, Tiles, add};

    /// Sums of products of ROWS rows with a matrix of narrow words.
    macro_rules! narrow {
        ($($name:ident, $features:literal: $word:ty, $vector:ty, $zero:ident, $set:ident, $load:ident, $store:ident, $mul:ident, $add:ident;)*) => {$(
            #[target_feature(enable = $features)]
            fn $name<const ROWS: usize>(
                a: [&[$word]; ROWS],
                b: &[[$word; NARROW_WIDTH]],
            ) -> [[$word; NARROW_WIDTH]; ROWS] {
                const LANES: usize = size_of::<$vector>() / size_of::<$word>();
                const VECTORS: usize = NARROW_WIDTH / LANES;
                let mut sums = [[$zero(); VECTORS]; ROWS];
                for (l, b) in b.iter().enumerate() {
                    // SAFETY: `b` has as many words for each vector.
                    let b: [_; VECTORS] = std::array::from_fn(|v| unsafe { $load(b[v * LANES..].as_ptr().cast()) });
                    for i in 0..ROWS {
                        let a = $set(a[i][l].cast_signed());
                        for v in 0..VECTORS {
                            sums[i][v] = $add(sums[i][v], $mul(a, b[v]));
                        }
                    }
                }
                let mut words = [[0; NARROW_WIDTH]; ROWS];
                for (words, sums) in words.iter_mut().zip(sums) {
                    for (words, sum) in words.chunks_exact_mut(LANES).zip(sums) {
                        // SAFETY: as many words as the vector has.
                        unsafe { $store(words.as_mut_ptr().cast(), sum) };
                    }
                }
                words
            }
        )*};
    }
    narrow! {
        short_256, "avx2": u16, __m256i, _mm256_setzero_si256, _mm256_set1_epi16, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_mullo_epi16, _mm256_add_epi16;
        short_256_of_32, "avx2,avx512f,avx512bw,avx512vl": u16, __m256i, _mm256_setzero_si256, _mm256_set1_epi16, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_mullo_epi16, _mm256_add_epi16;
        word_512, "avx512f": u32, __m512i, _mm512_setzero_si512, _mm512_set1_epi32, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_mullo_epi32, _mm512_add_epi32;
    }

    impl Narrow for u16 {
        const AVX2: Option<Sums<Self, 2>> = Some(short_256::<2>);
        /// 48 words are three vectors of 256 bits; there are 32 registers for them.
        const AVX512: Sums<Self, 8> = short_256_of_32::<8>;
    }

    impl Narrow for u32 {
        const AVX2: Option<Sums<Self, 2>> = None;
        const AVX512: Sums<Self, 8> = word_512::<8>;
    }

    pub(super) static AVX2: Tiles = Tiles { lanes: 4, sizes: &[&[avx2::<1>], &[avx2::<2>], &[avx2::<4>]] };

    pub(super) static AVX512: Tiles = Tiles {
        lanes: 8,
        sizes: &[
            &[avx512::<1, 1>, avx512::<1, 2>, avx512::<1, 3>],
            &[avx512::<2, 1>, avx512::<2, 2>, avx512::<2, 3>],
            &[avx512::<4, 1>, avx512::<4, 2>, avx512::<4, 3>],
            &[avx512::<8, 1>, avx512::<8, 2>, avx512::<8, 3>],
        ],
    };

    /// There is no 64-bit product: with x = x0 + 2^32 x1, sum x0 y0 in 64 bits, and x0 y1 and x1 y0 in the two halves
    /// of another word, 32 bits of each being enough.
    #[target_feature(enable = "avx2")]
    fn avx2<const ROWS: usize>(block: Block<'_>) {
        const LANES: usize = 4;
        let Block { a, a_stride, panel, panel_stride, c, c_stride, size: [_, depth, columns] } = block;
        let rows: [&[u64]; ROWS] = std::array::from_fn(|i| &a[i * a_stride..][..depth]);
        let mut low = [_mm256_setzero_si256(); ROWS];
        let mut cross = [_mm256_setzero_si256(); ROWS];
        for (l, b) in (0..depth).zip(panel.chunks(panel_stride)) {
            let b = &b[..LANES];
            // SAFETY: `b` has four words.
            let b = unsafe { _mm256_loadu_si256(b.as_ptr().cast()) };
            let swapped = _mm256_shuffle_epi32::<0b10_11_00_01>(b);
            for i in 0..ROWS {
                let a = _mm256_set1_epi64x(rows[i][l].cast_signed());
                low[i] = _mm256_add_epi64(low[i], _mm256_mul_epu32(a, b));
                cross[i] = _mm256_add_epi32(cross[i], _mm256_mullo_epi32(a, swapped));
            }
        }
        for i in 0..ROWS {
            let both = _mm256_add_epi32(cross[i], _mm256_shuffle_epi32::<0b10_11_00_01>(cross[i]));
            let sum = _mm256_add_epi64(low[i], _mm256_slli_epi64::<32>(both));
            let mut sums = [0; LANES];
            // SAFETY: `sums` has four words.
            unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), sum) };
            add(&mut c[i * c_stride..][..columns], &sums);
        }
    }

    #[target_feature(enable = "avx512f,avx512dq")]
    fn avx512<const ROWS: usize, const VECTORS: usize>(block: Block<'_>) {
        const LANES: usize = 8;
        let Block { a, a_stride, panel, panel_stride, c, c_stride, size: [_, depth, columns] } = block;
        let rows: [&[u64]; ROWS] = std::array::from_fn(|i| &a[i * a_stride..][..depth]);
        let mut sums = [[_mm512_setzero_si512(); VECTORS]; ROWS];
        for (l, b) in (0..depth).zip(panel.chunks(panel_stride)) {
            let b = &b[..LANES * VECTORS];
            // SAFETY: `b` has eight words for each vector.
            let b: [_; VECTORS] =
                std::array::from_fn(|v| unsafe { _mm512_loadu_si512(b[v * LANES..].as_ptr().cast()) });
            for i in 0..ROWS {
                let a = _mm512_set1_epi64(rows[i][l].cast_signed());
                for v in 0..VECTORS {
                    sums[i][v] = _mm512_add_epi64(sums[i][v], _mm512_mullo_epi64(a, b[v]));
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (c, sum) in c[i * c_stride..][..columns].chunks_mut(LANES).zip(sums) {
                let mask = u8::MAX >> (LANES - c.len());
                let c = c.as_mut_ptr().cast();
                // SAFETY: the mask has one bit for each word of the chunk.
                unsafe {
                    let sum = _mm512_add_epi64(_mm512_maskz_loadu_epi64(mask, c), *sum);
                    _mm512_mask_storeu_epi64(c, mask, sum);
                }
            }
        }
    }
}
