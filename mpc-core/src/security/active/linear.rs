//! Matrix products and convolutions, compressed to inner products (Freivalds, 1979).
//!
//! A claim Z = X Y over Z_2^64, X of m rows and Y of n columns. With r in S^m and s in S^n it becomes <r^T X, Y s> =
//! r^T Z s over E. If Z is wrong, r^T (Z - X Y) s vanishes with probability at most 2 * 2^-d - 2^-2d: the error is a
//! bilinear polynomial in r and s that is not zero, and S is exceptional, so this holds for multiples of 2^63 as well.
//! Several claims, and the groups of a convolution, have weights r of their own, so their sum is again such a
//! polynomial.

use super::draw;
use super::inner::{Base, InnerProduct};
use super::mixed::{Mixed, is_worth};
use crate::kernel::extension::Extension;
use crate::kernel::transpose::transpose;
use crate::kernel::{ConvGeometry, Kernel};
use crate::link::coin::Coin;
use crate::ring::{Arithmetic, Word};
use crate::security::{Claim, Operands};
use crate::sharing::slice;

/// Words of an im2col matrix that are held at a time, so that they and the weights of their columns stay in a cache: 2
/// MiB.
const PANEL: usize = 1 << 18;

/// Compresses a claim and adds it to the inner product.
///
/// # Panics
/// If it is elementwise.
pub(super) fn compress<E>(inner: &mut InnerProduct<E>, kernel: Kernel, coin: &mut Coin, claim: &Claim)
where
    E: Extension<Domain = Arithmetic, Word = u64>,
{
    match claim {
        Claim::MatMul(operands) => matmul(inner, kernel, coin, operands),
        Claim::Conv(geometry, operands) => conv(inner, kernel, coin, geometry, operands),
        other => unreachable!("{other:?} is elementwise"),
    }
}

fn matmul<E>(inner: &mut InnerProduct<E>, kernel: Kernel, coin: &mut Coin, claim: &Operands<Arithmetic, u64>)
where
    E: Extension<Domain = Arithmetic, Word = u64>,
{
    let [m, n] = [claim.x.shape()[0], claim.y.shape()[1]];
    let (r, s) = (draw::<E>(coin, m), draw::<E>(coin, n));
    let [x, y, z] = [&claim.x, &claim.y, &claim.z].map(|share| [slice(share.own()), slice(share.next())]);
    let q = y.map(|y| weighted_rows::<E>(kernel, y, &s));
    let c = z.map(|z| inner_product::<E>(kernel, &weighted_rows::<E>(kernel, z, &s), &r));
    if is_worth(m, claim.x.shape()[1]) {
        let (mixed, binding) = Mixed::new(kernel, x.map(<[u64]>::to_vec), r, q, c);
        inner.unlifted.push((Base::Mixed(mixed), binding));
    } else {
        inner.push(x.map(|x| E::lift(kernel, x, &r)), q, c);
    }
}

/// For each group, X is the matrix of the weights, and Y what every tap sees at every position of every input.
fn conv<E>(
    inner: &mut InnerProduct<E>,
    kernel: Kernel,
    coin: &mut Coin,
    g: &ConvGeometry,
    claim: &Operands<Arithmetic, u64>,
) where
    E: Extension<Domain = Arithmetic, Word = u64>,
{
    let batch = claim.x.shape()[0];
    let positions: usize = g.output().iter().product();
    let channels = g.out_channels / g.groups;
    let taps = g.in_channels / g.groups * g.kernel.iter().product::<usize>();
    let (r, s) = (draw::<E>(coin, g.out_channels), draw::<E>(coin, batch * positions));
    let [x, w, z] = [&claim.x, &claim.y, &claim.z].map(|share| [slice(share.own()), slice(share.next())]);
    let inputs = || s.chunks_exact(positions * E::WORDS);
    for group in 0..g.groups {
        let r = &r[group * channels * E::WORDS..][..channels * E::WORDS];
        let p = w.map(|w| E::lift(kernel, &w[group * channels * taps..][..channels * taps], r));
        let c = z.map(|z| {
            let mut rows = vec![0; channels * E::WORDS];
            for (z, s) in z.chunks_exact(z.len() / batch).zip(inputs()) {
                E::add_weighted_sums(kernel, &z[group * channels * positions..][..channels * positions], s, &mut rows);
            }
            inner_product::<E>(kernel, &rows, r)
        });
        if g.groups == 1 && is_worth(batch * positions, taps) {
            // One row a position: what all taps see there.
            let seen = x.map(|x| {
                let inputs = x.chunks_exact(x.len() / batch).flat_map(|x| g.columns(x, group, positions));
                inputs.flat_map(|(_, columns)| transpose(&columns, positions)).collect()
            });
            let (mixed, binding) = Mixed::new(kernel, seen, s.clone(), p, c);
            inner.unlifted.push((Base::Mixed(mixed), binding));
            continue;
        }
        let q = x.map(|x| {
            let mut q = vec![0; taps * E::WORDS];
            for (x, s) in x.chunks_exact(x.len() / batch).zip(inputs()) {
                // Enough of them to make a pass over the sums worth it.
                for (at, seen) in g.columns(x, group, (PANEL / taps).next_multiple_of(64)) {
                    E::add_weighted_sums(kernel, &seen, &s[at.start * E::WORDS..at.end * E::WORDS], &mut q);
                }
            }
            q
        });
        inner.push(p, q, c);
    }
}

fn inner_product<E: Extension>(kernel: Kernel, x: &[E::Word], y: &[E::Word]) -> Vec<E::Word> {
    let mut sum = vec![E::Word::ZERO; E::WORDS];
    E::add_inner(kernel, x, y, &mut sum);
    sum
}

/// Each row of a matrix, weighted and summed.
fn weighted_rows<E: Extension>(kernel: Kernel, matrix: &[E::Word], weights: &[E::Word]) -> Vec<E::Word> {
    let mut sums = vec![E::Word::ZERO; matrix.len() / (weights.len() / E::WORDS) * E::WORDS];
    E::add_weighted_sums(kernel, matrix, weights, &mut sums);
    sums
}
