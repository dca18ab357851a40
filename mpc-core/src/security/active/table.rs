//! Multilinear extensions on the points 0, 1 and infinity.
//!
//! A vector of 2^l blocks is the multilinear polynomial F in l variables whose value at the binary digits of a is block a, the first
//! variable being the leading digit. The product of two such polynomials has degree 2 in each variable, so its values on
//! {0, 1, infinity}^l determine it; at infinity stands the leading coefficient. These points need no inverse and keep small numbers
//! small. A table has 3^l entries, the digit of the first variable leading. Source: sum-check with small values (Bagad, Domb, Thaler,
//! ePrint 2023/1784); protocols.md, "Active security".

use crate::kernel::Kernel;
use crate::kernel::extension::{Extension, sub};
use crate::ring::{Domain, Word};

/// The values of F on {0, 1, infinity}^l: 3^l blocks from 2^l.
pub(super) fn extend<D: Domain, W: Word>(blocks: &[W], levels: usize) -> Vec<W> {
    let mut values = blocks.to_vec();
    for level in 0..levels {
        let half = values.len() / 3usize.pow(level as u32) / 2;
        let mut extended = Vec::with_capacity(values.len() / 2 * 3);
        for pair in values.chunks_exact(2 * half) {
            let (zero, one) = pair.split_at(half);
            extended.extend_from_slice(pair);
            extended.extend(zero.iter().zip(one).map(|(&zero, &one)| D::sub(one, zero)));
        }
        values = extended;
    }
    values
}

/// The positions in a table of the points of {0, 1}^l, in the order of the blocks.
pub(super) fn cube(levels: usize) -> Vec<usize> {
    (0..levels).fold(vec![0], |points, _| points.iter().flat_map(|p| [3 * p, 3 * p + 1]).collect())
}

/// The factors with which the blocks make up F(t): products of 1 - t_v and t_v.
pub(super) fn factors<E: Extension>(kernel: Kernel, point: &[Vec<E::Word>]) -> Vec<E::Word> {
    point.iter().fold(E::one(), |factors, t| {
        let split = |factor: &[E::Word]| {
            let high = E::mul(kernel, factor, t);
            [sub::<E>(factor, &high), high].concat()
        };
        factors.chunks_exact(E::WORDS).flat_map(split).collect()
    })
}

/// The value at t of the polynomial with this table.
pub(super) fn interpolate<E: Extension>(kernel: Kernel, table: Vec<E::Word>, point: &[Vec<E::Word>]) -> Vec<E::Word> {
    point.iter().fold(table, |table, t| {
        // h(t) = h(0) (1 - t) + h(1) t + h(inf) t (t - 1)
        let square = E::mul(kernel, t, t);
        let factors = [sub::<E>(&E::one(), t), t.clone(), sub::<E>(&square, t)].concat();
        E::fold(kernel, &table, &factors)
    })
}
