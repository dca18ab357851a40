//! Sums of subsets: matrix products with a public matrix of zeros and ones.
//!
//! Four words at a time have sixteen sums, and a row of bits chooses one of them for each column (the method of four Russians). The
//! sums stay in registers, and what is chosen depends on the public bits only.

use super::Kernel;
use super::gemm::Gemm;
#[cfg(target_arch = "x86_64")]
use crate::ring::Word;

/// Words that are summed up at a time.
#[cfg(target_arch = "x86_64")]
const GROUP: usize = 4;

/// Words of a row that are worked on at a time, so that what is chosen for them stays in a cache.
#[cfg(any(test, target_arch = "x86_64"))]
const BLOCK: usize = 1 << 12;

/// `c += a * b` modulo 2^w, b being k x n of zeros and ones: a is m x k, c is m x n, all row-major.
///
/// # Panics
/// If a slice is not as long as its shape says.
pub(super) fn subset_sums<W: Gemm>(kernel: Kernel, [m, k, n]: [usize; 3], a: &[W], b: &[W], c: &mut [W]) {
    assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n]);
    #[cfg(target_arch = "x86_64")]
    if let Kernel::Avx512(_) = kernel
        && n == x86::COLUMNS
        && k > 0
    {
        let mut choices = vec![W::ZERO; BLOCK.min(k).div_ceil(GROUP) * n];
        for (block, b) in b.chunks(BLOCK * n).enumerate() {
            kernel.run(
                #[inline(always)]
                || choose(b, n, &mut choices),
            );
            for (a, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
                let a = &a[block * BLOCK..][..b.len() / n];
                // SAFETY: the kernel is AVX-512.
                unsafe { x86::add_choices(a, &choices, c) };
            }
        }
        return;
    }
    W::gemm(kernel, [m, k, n], a, b, c);
}

/// For each group of rows and each column, the four bits as one number.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn choose<W: Word>(rows: &[W], columns: usize, choices: &mut [W]) {
    for (choices, rows) in choices.chunks_exact_mut(columns).zip(rows.chunks(GROUP * columns)) {
        choices.fill(W::ZERO);
        for (i, row) in rows.chunks_exact(columns).enumerate() {
            choices.iter_mut().zip(row).for_each(|(choice, bit)| *choice = choice.wrapping_add(bit.shl(i as u32)));
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::GROUP;
    use crate::ring::Word;

    /// The width that this is made for.
    pub(super) const COLUMNS: usize = 48;

    /// Adds to one row of c the sums that `choices` picks from each group of words of a.
    #[target_feature(enable = "avx512f")]
    pub(super) fn add_choices<W: Word>(a: &[W], choices: &[W], c: &mut [W]) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_are_worked_on_in_blocks() {
        let (m, k, n) = (3, 2 * BLOCK + 5, 48);
        let word = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
        let a: Vec<u64> = (0..m * k).map(word).collect();
        let b: Vec<u64> = (0..k * n).map(|i| word(i) >> 40 & 1).collect();
        let expected: Vec<u64> = (0..m * n)
            .map(|i| (0..k).fold(7, |sum: u64, j| sum.wrapping_add(a[i / n * k + j].wrapping_mul(b[j * n + i % n]))))
            .collect();
        for kernel in Kernel::available() {
            let mut c = vec![7; m * n];
            subset_sums(kernel, [m, k, n], &a, &b, &mut c);
            assert!(c == expected, "{kernel}");
        }
    }
}
