//! Local handling of candidates, each a row of a matrix `[m, n]`: nothing here talks.

use crate::ring::{Domain, Word};
use crate::sharing::{Share, gather, slice, tensor};

/// Rows in groups: row i of group j becomes columns j n to (j + 1) n of row i of `[size, G n]`, for G = ceil(m / size).
/// The last row is repeated to fill the last places.
pub fn in_groups<D: Domain, W: Word>(rows: &Share<D, W>, size: usize) -> Share<D, W> {
    let &[m, n] = rows.shape() else { panic!("candidates are rows") };
    let groups = m.div_ceil(size);
    let order = (0..groups * size).map(|row| row.min(m - 1));
    rows.map(|t| gather(&[size, groups * n], order.clone().map(|row| &slice(t)[row * n..][..n])))
}

/// The first row.
pub fn first<D: Domain, W: Word>(rows: &Share<D, W>) -> Share<D, W> {
    let n = rows.shape()[1];
    rows.map(|t| tensor(&[n], slice(t)[..n].to_vec()))
}

/// What each row but the first has more than the first: `[m - 1, n]`.
pub fn gains<D: Domain, W: Word>(rows: &Share<D, W>) -> Share<D, W> {
    let &[m, n] = rows.shape() else { panic!("candidates are rows") };
    rows.map(|t| {
        let (first, others) = slice(t).split_at(n);
        let gains = others.chunks_exact(n.max(1)).flat_map(|row| row.iter().zip(first).map(|(&x, &y)| D::sub(x, y)));
        tensor(&[m - 1, n], gains.collect())
    })
}

/// What was put one after the other, flat: parts of `shape`.
pub fn parts<D: Domain, W: Word>(x: &Share<D, W>, shape: &[usize]) -> Vec<Share<D, W>> {
    let n = shape.iter().product::<usize>();
    let part = |i: usize| x.map(|t| tensor(shape, slice(t)[i * n..][..n].to_vec()));
    (0..x.len().checked_div(n).unwrap_or(0)).map(part).collect()
}

/// The sum of all rows.
pub fn sum<D: Domain, W: Word>(rows: &Share<D, W>) -> Share<D, W> {
    let n = rows.shape()[1];
    rows.map(|t| {
        let mut sum = slice(t)[..n].to_vec();
        for row in slice(t)[n..].chunks_exact(n.max(1)) {
            sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum = D::add(*sum, x));
        }
        tensor(&[n], sum)
    })
}
