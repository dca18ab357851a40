//! Galois rings Z_2^w[X] / f, f of degree D and irreducible modulo 2.
//!
//! S is the set of the 2^D polynomials with coefficients 0 and 1: the difference of two of them is nonzero modulo 2,
//! hence a unit. All the heavy work is matrix products of words.

use std::marker::PhantomData;

use super::Extension;
use crate::kernel::Kernel;
use crate::kernel::gemm::Gemm;
use crate::kernel::subset::subset_sums;
use crate::kernel::transpose::transpose;
use crate::ring::Arithmetic;

/// The ring over Z_2^w, w the bits of `W`; D is 2 or 4 (for tests), 48 or 64.
#[derive(Debug, Clone, Copy)]
pub struct Galois<W, const D: usize>(PhantomData<W>);

/// Elements that an inner product takes at a time.
const CHUNK: usize = 128;

impl<W: Gemm, const D: usize> Galois<W, D> {
    /// The exponents below D of f.
    const TAIL: &'static [usize] = match D {
        2 | 4 => &[0, 1],
        48 => &[0, 2, 3, 5],
        64 => &[0, 1, 3, 4],
        _ => panic!("no polynomial of this degree"),
    };

    /// A polynomial of 2D coefficients modulo f, in the first D of them.
    #[inline(always)]
    fn reduce(coefficients: &mut [W]) {
        // The last few are brought down one by one, because they come down above D again.
        let most = Self::TAIL[Self::TAIL.len() - 1];
        for k in (2 * D - most..2 * D).rev() {
            for t in Self::TAIL {
                coefficients[k - D + t] = coefficients[k - D + t].wrapping_sub(coefficients[k]);
            }
        }
        let (low, high) = coefficients.split_at_mut(D);
        for &t in Self::TAIL {
            let low = low[t..].iter_mut().zip(&high[..D - most]);
            low.for_each(|(low, &high)| *low = low.wrapping_sub(high));
        }
    }

    /// Row k is X^k times `factor`: the matrix of a multiplication.
    fn matrix(factor: &[W]) -> Vec<W> {
        let mut matrix = vec![W::ZERO; D * D];
        matrix[..D].copy_from_slice(factor);
        for k in 1..D {
            let (before, row) = matrix.split_at_mut(k * D);
            let (before, row) = (&before[(k - 1) * D..], &mut row[..D]);
            row[1..].copy_from_slice(&before[..D - 1]);
            for &t in Self::TAIL {
                row[t] = row[t].wrapping_sub(before[D - 1]);
            }
        }
        matrix
    }
}

impl<W: Gemm, const D: usize> Extension for Galois<W, D> {
    type Domain = Arithmetic;
    type Word = W;
    const WORDS: usize = D;
    const LANES: usize = 1;
    const CHALLENGE_BITS: u32 = D as u32;

    fn challenges(bits: &[u64]) -> Vec<W> {
        let mut elements = vec![W::ZERO; bits.len() * D];
        for (element, bits) in elements.chunks_exact_mut(D).zip(bits) {
            element.iter_mut().enumerate().for_each(|(k, word)| *word = W::from_u64(bits >> k & 1));
        }
        elements
    }

    fn add_weighted_sums(kernel: Kernel, values: &[W], weights: &[W], sums: &mut [W]) {
        subset_sums(kernel, [sums.len() / D, weights.len() / D, D], values, weights, sums);
    }

    fn add_multiples(kernel: Kernel, values: &[W], elements: &[W], sums: &mut [W]) {
        W::gemm(kernel, [sums.len() / D, elements.len() / D, D], values, elements, sums);
    }

    fn lift(kernel: Kernel, rows: &[W], factors: &[W]) -> Vec<W> {
        let height = factors.len() / D;
        let columns = rows.len() / height;
        let mut lifted = vec![W::ZERO; columns * D];
        W::gemm(kernel, [columns, height, D], &transpose(rows, columns), factors, &mut lifted);
        lifted
    }

    fn weigh(kernel: Kernel, elements: &mut [W], weights: &[W]) {
        /// Coefficients of the product that are summed up in registers.
        const BLOCK: usize = 16;
        kernel.run(
            #[inline(always)]
            || {
                for (element, weight) in elements.chunks_exact_mut(D).zip(weights.chunks_exact(D)) {
                    // The element between zeros, so that every coefficient of the product is a sum of D words.
                    let mut padded = [[W::ZERO; 64 + BLOCK]; 3];
                    let padded = padded.as_flattened_mut();
                    padded[D..2 * D].copy_from_slice(element);
                    let mut product = [W::ZERO; 2 * 64 + BLOCK];
                    // Weights are public, and so is how many bits they have.
                    let mut bits = [0; 64];
                    let mut count = 0;
                    for (k, &bit) in weight.iter().enumerate() {
                        bits[count] = k;
                        count += usize::from(bit != W::ZERO);
                    }
                    for first in (0..2 * D).step_by(BLOCK) {
                        let mut sums = [W::ZERO; BLOCK];
                        for k in &bits[..count] {
                            let shifted = &padded[D + first - k..][..BLOCK];
                            sums.iter_mut().zip(shifted).for_each(|(sum, &x)| *sum = sum.wrapping_add(x));
                        }
                        product[first..][..BLOCK].copy_from_slice(&sums);
                    }
                    Self::reduce(&mut product[..2 * D]);
                    element.copy_from_slice(&product[..D]);
                }
            },
        );
    }

    fn add_inner(kernel: Kernel, x: &[W], y: &[W], sum: &mut [W]) {
        let mut products = vec![W::ZERO; D * D];
        for (x, y) in x.chunks(CHUNK * D).zip(y.chunks(CHUNK * D)) {
            W::gemm(kernel, [D, y.len() / D, D], &transpose(x, D), y, &mut products);
        }
        let mut total = vec![W::ZERO; 2 * D];
        for (k, row) in products.chunks_exact(D).enumerate() {
            total[k..][..D].iter_mut().zip(row).for_each(|(sum, &x)| *sum = sum.wrapping_add(x));
        }
        Self::reduce(&mut total);
        sum.iter_mut().zip(&total).for_each(|(sum, &x)| *sum = sum.wrapping_add(x));
    }

    fn fold(kernel: Kernel, rows: &[W], factors: &[W]) -> Vec<W> {
        let width = rows.len() / (factors.len() / D);
        let mut folded = vec![W::ZERO; width];
        for (row, factor) in rows.chunks_exact(width).zip(factors.chunks_exact(D)) {
            W::gemm(kernel, [width / D, D, D], row, &Self::matrix(factor), &mut folded);
        }
        folded
    }
}
