//! With 512-bit vectors: the sixteen sums stay in registers, and a permutation chooses for all columns at once.

use std::arch::x86_64::*;

use crate::kernel::Kernel;
use crate::ring::Word;

/// Words that are summed up at a time.
const GROUP: usize = 4;

/// Words of a row that are worked on at a time, so that what is chosen for them stays in a cache.
pub(super) const BLOCK: usize = 1 << 12;

/// The width that this is made for.
pub(super) const COLUMNS: usize = 48;

/// `c += a * b`, b being as wide as [`COLUMNS`].
///
/// # Panics
/// If the kernel is another one than AVX-512.
pub(super) fn add_sums<W: Word>(kernel: Kernel, k: usize, a: &[W], b: &[W], c: &mut [W]) {
    assert!(matches!(kernel, Kernel::Avx512(_)));
    let mut choices = vec![W::ZERO; BLOCK.min(k).div_ceil(GROUP) * COLUMNS];
    for (block, b) in b.chunks(BLOCK * COLUMNS).enumerate() {
        kernel.run(
            #[inline(always)]
            || choose(b, COLUMNS, &mut choices),
        );
        for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(COLUMNS)) {
            let a = &a[block * BLOCK..][..b.len() / COLUMNS];
            // SAFETY: the kernel is AVX-512.
            unsafe { add_choices(a, &choices, c) };
        }
    }
}

/// For each group of rows and each column, the four bits as one number.
#[inline(always)]
fn choose<W: Word>(rows: &[W], columns: usize, choices: &mut [W]) {
    for (choices, rows) in choices.chunks_exact_mut(columns).zip(rows.chunks(GROUP * columns)) {
        choices.fill(W::ZERO);
        for (i, row) in rows.chunks_exact(columns).enumerate() {
            choices.iter_mut().zip(row).for_each(|(choice, bit)| *choice = choice.wrapping_add(bit.shl(i as u32)));
        }
    }
}

/// Adds to one row of c the sums that `choices` picks from each group of words of a.
#[target_feature(enable = "avx512f")]
fn add_choices<W: Word>(a: &[W], choices: &[W], c: &mut [W]) {
    if W::BITS == 64 { wide(a, choices, c) } else { narrow(a, choices, c) }
}

#[target_feature(enable = "avx512f")]
fn wide<W: Word>(a: &[W], choices: &[W], c: &mut [W]) {
    const LANES: usize = 8;
    let mut sums = [_mm512_setzero_si512(); COLUMNS / LANES];
    for (group, choices) in a.chunks(GROUP).zip(choices.chunks_exact(COLUMNS)) {
        let word = |i: usize| _mm512_set1_epi64(group.get(i).map_or(0, |w| w.to_u64()).cast_signed());
        // Lane j holds the sum of the words whose bit j has, the fourth left out or in.
        let low = _mm512_maskz_mov_epi64(0b1010_1010, word(0));
        let low = _mm512_mask_add_epi64(low, 0b1100_1100, low, word(1));
        let low = _mm512_mask_add_epi64(low, 0b1111_0000, low, word(2));
        let high = _mm512_add_epi64(low, word(3));
        for (sum, choice) in sums.iter_mut().zip(choices.chunks_exact(LANES)) {
            // SAFETY: eight words.
            let choice = unsafe { _mm512_loadu_si512(choice.as_ptr().cast()) };
            *sum = _mm512_add_epi64(*sum, _mm512_permutex2var_epi64(low, choice, high));
        }
    }
    for (c, sum) in c.chunks_exact_mut(LANES).zip(sums) {
        // SAFETY: eight words.
        unsafe {
            let old = _mm512_loadu_si512(c.as_ptr().cast());
            _mm512_storeu_si512(c.as_mut_ptr().cast(), _mm512_add_epi64(old, sum));
        }
    }
}

#[target_feature(enable = "avx512f")]
fn narrow<W: Word>(a: &[W], choices: &[W], c: &mut [W]) {
    const LANES: usize = 16;
    let mut sums = [_mm512_setzero_si512(); COLUMNS / LANES];
    for (group, choices) in a.chunks(GROUP).zip(choices.chunks_exact(COLUMNS)) {
        let word = |i: usize| _mm512_set1_epi32(group.get(i).map_or(0, |w| w.to_u64()) as i32);
        let all = _mm512_maskz_mov_epi32(0xaaaa, word(0));
        let all = _mm512_mask_add_epi32(all, 0xcccc, all, word(1));
        let all = _mm512_mask_add_epi32(all, 0xf0f0, all, word(2));
        let all = _mm512_mask_add_epi32(all, 0xff00, all, word(3));
        for (sum, choice) in sums.iter_mut().zip(choices.chunks_exact(LANES)) {
            // SAFETY: sixteen words.
            let choice = unsafe { _mm512_loadu_si512(choice.as_ptr().cast()) };
            *sum = _mm512_add_epi32(*sum, _mm512_permutexvar_epi32(choice, all));
        }
    }
    for (c, sum) in c.chunks_exact_mut(LANES).zip(sums) {
        // SAFETY: sixteen words.
        unsafe {
            let old = _mm512_loadu_si512(c.as_ptr().cast());
            _mm512_storeu_si512(c.as_mut_ptr().cast(), _mm512_add_epi32(old, sum));
        }
    }
}
