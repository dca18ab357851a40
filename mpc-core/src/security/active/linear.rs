//! Matrix products and convolutions, compressed to inner products (Freivalds, 1979).
//!
//! A claim Z = X Y over Z_2^64, X of m rows and Y of n columns. With r in S^m and s in S^n it becomes
//! <r^T X, Y s> = r^T Z s over E. If Z is wrong, r^T (Z - X Y) s vanishes with probability at most 2 * 2^-d - 2^-2d: the error is a
//! bilinear polynomial in r and s that is not zero, and S is exceptional, so this holds for multiples of 2^63 as well.
//! Several claims, and the groups of a convolution, have weights r of their own, so their sum is again such a polynomial.

use super::{Pair, draw};
use crate::kernel::extension::{Extension, add};
use crate::kernel::{ConvGeometry, Kernel};
use crate::link::coin::Coin;
use crate::ring::{Arithmetic, Tensor};
use crate::security::{Claim, Operands};
use crate::sharing::slice;

/// Words of an im2col matrix that are held at a time: 8 MiB.
const PANEL: usize = 1 << 20;

/// Where compressed claims go.
pub(super) struct Compressed<'a, E: Extension> {
    pub(super) p: &'a mut Pair<E::Word>,
    pub(super) q: &'a mut Pair<E::Word>,
    pub(super) c: &'a mut Pair<E::Word>,
}

impl<E: Extension<Domain = Arithmetic, Word = u64>> Compressed<'_, E> {
    /// Adds a claim.
    ///
    /// # Panics
    /// If it is elementwise.
    pub(super) fn push(&mut self, kernel: Kernel, coin: &mut Coin, claim: &Claim) {
        match claim {
            Claim::MatMul(operands) => self.push_matmul(kernel, coin, operands),
            Claim::Conv(geometry, operands) => self.push_conv(kernel, coin, geometry, operands),
            other => unreachable!("{other:?} is elementwise"),
        }
    }

    fn push_matmul(&mut self, kernel: Kernel, coin: &mut Coin, claim: &Operands<Arithmetic, u64>) {
        let [m, n] = [claim.x.shape()[0], claim.y.shape()[1]];
        let (r, s) = (draw::<E>(coin, m), draw::<E>(coin, n));
        for (i, [x, y, z]) in components(claim).into_iter().enumerate() {
            self.p[i].extend(E::lift(kernel, slice(x), &r));
            self.q[i].extend(weighted_rows::<E>(kernel, slice(y), &s));
            self.add_to_c(kernel, i, weighted_rows::<E>(kernel, slice(z), &s), &r);
        }
    }

    /// For each group, X is the matrix of the weights, and Y what every tap sees at every position of every input.
    fn push_conv(&mut self, kernel: Kernel, coin: &mut Coin, g: &ConvGeometry, claim: &Operands<Arithmetic, u64>) {
        let batch = claim.x.shape()[0];
        let positions: usize = g.output().iter().product();
        let channels = g.out_channels / g.groups;
        let taps = g.in_channels / g.groups * g.kernel.iter().product::<usize>();
        let (r, s) = (draw::<E>(coin, g.out_channels), draw::<E>(coin, batch * positions));
        let inputs = || s.chunks_exact(positions * E::WORDS);
        for (i, [x, w, z]) in components(claim).into_iter().enumerate() {
            for group in 0..g.groups {
                let r = &r[group * channels * E::WORDS..][..channels * E::WORDS];
                let w = &slice(w)[group * channels * taps..][..channels * taps];
                self.p[i].extend(E::lift(kernel, w, r));

                let mut q = vec![0; taps * E::WORDS];
                let x = slice(x).chunks_exact(x.len() / batch);
                for (x, s) in x.zip(inputs()) {
                    let height = (PANEL / positions).max(1);
                    for (first, q) in (0..taps).step_by(height).zip(q.chunks_mut(height * E::WORDS)) {
                        let seen = g.columns(x, group, first..taps.min(first + height));
                        E::add_weighted_sums(kernel, &seen, s, q);
                    }
                }
                self.q[i].extend(q);

                let mut c = vec![0; channels * E::WORDS];
                for (z, s) in slice(z).chunks_exact(z.len() / batch).zip(inputs()) {
                    let z = &z[group * channels * positions..][..channels * positions];
                    E::add_weighted_sums(kernel, z, s, &mut c);
                }
                self.add_to_c(kernel, i, c, r);
            }
        }
    }

    /// Adds the weighted sum of `elements`.
    fn add_to_c(&mut self, kernel: Kernel, i: usize, mut elements: Vec<u64>, weights: &[u64]) {
        E::weigh(kernel, &mut elements, weights);
        for element in elements.chunks_exact(E::WORDS) {
            self.c[i] = add::<E>(&self.c[i], element);
        }
    }
}

/// Each row of a matrix, weighted and summed.
fn weighted_rows<E: Extension>(kernel: Kernel, matrix: &[E::Word], weights: &[E::Word]) -> Vec<E::Word> {
    let mut sums = vec![crate::ring::Word::ZERO; matrix.len() / (weights.len() / E::WORDS) * E::WORDS];
    E::add_weighted_sums(kernel, matrix, weights, &mut sums);
    sums
}

/// Operands and result by component.
fn components(claim: &Operands<Arithmetic, u64>) -> [[&Tensor<u64>; 3]; 2] {
    let Operands { x, y, z } = claim;
    [[x.own(), y.own(), z.own()], [x.next(), y.next(), z.next()]]
}
