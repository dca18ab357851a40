//! Multilinear extensions on the points 0, 1 and infinity.
//!
//! A vector of 2^l blocks is the multilinear polynomial F in l variables whose value at the binary digits of a is block
//! a, the first variable being the leading digit. The product of two such polynomials has degree 2 in each variable, so
//! its values on {0, 1, infinity}^l determine it; at infinity stands the leading coefficient. These points need no
//! inverse and keep small numbers small. A table has 3^l entries, the digit of the first variable leading. Source:
//! sum-check with small values (Bagad, Domb, Thaler, ePrint 2024/1046); protocols.md, "Active security".

use crate::kernel::Kernel;
use crate::kernel::extension::{Extension, sub};
use crate::ring::{Domain, Word};

/// Calls `at` with the values of several polynomials at each point of {0, 1, infinity}^l, numbered as in a table. Each
/// is given by its 2^l blocks, and its value is as long as a block.
pub(super) fn extend<D: Domain, W: Word, const N: usize>(
    kernel: Kernel,
    polynomials: [&[W]; N],
    levels: usize,
    mut at: impl FnMut(usize, [&[W]; N]),
) {
    // The differences of one path from the root: half of the input, a quarter, and so on.
    let mut scratch = vec![W::ZERO; polynomials.iter().map(|polynomial| polynomial.len()).sum()];
    visit::<D, W, N>(kernel, polynomials, levels, 0, &mut scratch, &mut at);
}

fn visit<D: Domain, W: Word, const N: usize>(
    kernel: Kernel,
    polynomials: [&[W]; N],
    levels: usize,
    point: usize,
    mut scratch: &mut [W],
    at: &mut impl FnMut(usize, [&[W]; N]),
) {
    if levels == 0 {
        return at(point, polynomials);
    }
    let halves = polynomials.map(|polynomial| polynomial.split_at(polynomial.len() / 2));
    let differences: [&[W]; N] = halves.map(|(zero, one)| {
        let (differences, rest) = std::mem::take(&mut scratch).split_at_mut(zero.len());
        scratch = rest;
        kernel.difference_into::<D, W>(one, zero, differences);
        &*differences
    });
    let values = [halves.map(|(zero, _)| zero), halves.map(|(_, one)| one), differences];
    for (digit, values) in values.into_iter().enumerate() {
        visit::<D, W, N>(kernel, values, levels - 1, 3 * point + digit, scratch, at);
    }
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

/// The positions in a table that are not of the cube.
pub(super) fn beyond_cube(levels: usize) -> Vec<usize> {
    let cube = cube(levels);
    (0..3usize.pow(levels as u32)).filter(|point| cube.binary_search(point).is_err()).collect()
}

/// A whole table from its entries beyond the cube and those on it.
pub(super) fn from_rows<E: Extension>(levels: usize, beyond: &[E::Word], rows: &[E::Word]) -> Vec<E::Word> {
    let mut table = vec![E::Word::ZERO; 3usize.pow(levels as u32) * E::WORDS];
    for (points, entries) in [(cube(levels), rows), (beyond_cube(levels), beyond)] {
        for (point, entry) in points.into_iter().zip(entries.chunks_exact(E::WORDS)) {
            table[point * E::WORDS..][..E::WORDS].copy_from_slice(entry);
        }
    }
    table
}

/// A whole table from all entries but the first, and c, the sum of the entries on the cube with these weights, of which
/// the first is 1.
pub(super) fn from_sum<E: Extension>(
    kernel: Kernel,
    levels: usize,
    entries: &[E::Word],
    c: &[E::Word],
    weights: &[E::Word],
) -> Vec<E::Word> {
    let others = cube(levels).into_iter().skip(1).map(|point| &entries[(point - 1) * E::WORDS..][..E::WORDS]);
    let weighted =
        others.zip(weights.chunks_exact(E::WORDS).skip(1)).map(|(entry, weight)| E::mul(kernel, entry, weight));
    let first = weighted.fold(c.to_vec(), |first, entry| sub::<E>(&first, &entry));
    [&first, entries].concat()
}
