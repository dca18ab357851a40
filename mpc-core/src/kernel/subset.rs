//! Sums of subsets: matrix products with a public matrix of zeros and ones.
//!
//! Four words at a time have sixteen sums, and four bits of each column choose one of them (the method of four
//! Russians). What is chosen, and so what is read, depends on the public bits only.

mod lanes;
#[cfg(target_arch = "x86_64")]
mod permute;

use super::Kernel;
use super::gemm::Gemm;
use super::transpose::transpose;

/// `c += a * b` modulo 2^w, b being k x n of zeros and ones: a is m x k, c is m x n, all row-major.
///
/// # Panics
/// If a slice is not as long as its shape says.
pub(super) fn subset_sums<W: Gemm>(kernel: Kernel, [m, k, n]: [usize; 3], a: &[W], b: &[W], c: &mut [W]) {
    assert_eq!([a.len(), b.len(), c.len()], [m * k, k * n, m * n]);
    if c.is_empty() || k == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if let Kernel::Avx512(_) = kernel
        && n == permute::COLUMNS
        && W::BITS >= 32
    {
        return permute::add_sums(kernel, k, a, b, c);
    }
    if m < lanes::BYTES / size_of::<W>() / 4 {
        return W::gemm(kernel, [m, k, n], a, b, c);
    }
    let mut sums = vec![W::ZERO; n * m];
    match W::BITS {
        64 => lanes::add_sums::<W, { lanes::BYTES / 8 }>(kernel, [m, k, n], a, b, &mut sums),
        32 => lanes::add_sums::<W, { lanes::BYTES / 4 }>(kernel, [m, k, n], a, b, &mut sums),
        _ => lanes::add_sums::<W, { lanes::BYTES / 2 }>(kernel, [m, k, n], a, b, &mut sums),
    }
    c.iter_mut().zip(transpose(&sums, m)).for_each(|(c, sum)| *c = c.wrapping_add(sum));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_around_those_of_panels() {
        let word = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
        for [m, k, n] in
            [[3, 70, 48], [4, 1, 1], [15, 31, 48], [17, 32, 64], [64, 65, 3], [131, 300, 48], [33, 4201, 48]]
        {
            check::<u64>([m, k, n], word);
            check::<u32>([m, k, n], |i| word(i) as u32);
            check::<u16>([m, k, n], |i| word(i) as u16);
        }
    }

    fn check<W: Gemm>([m, k, n]: [usize; 3], word: impl Fn(usize) -> W) {
        let a: Vec<W> = (0..m * k).map(&word).collect();
        let b: Vec<W> = (0..k * n).map(|i| W::from_u64(word(i).to_u64() >> 20 & 1)).collect();
        let seven = W::from_u64(7);
        let expected: Vec<W> = (0..m * n)
            .map(|i| (0..k).fold(seven, |sum, j| sum.wrapping_add(a[i / n * k + j].wrapping_mul(b[j * n + i % n]))))
            .collect();
        for kernel in Kernel::available() {
            let mut c = vec![seven; m * n];
            subset_sums(kernel, [m, k, n], &a, &b, &mut c);
            assert!(c == expected, "{kernel}, {m} x {k} x {n}");
        }
    }
}
