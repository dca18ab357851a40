//! Which class has the largest score.
//!
//! Pi holds (x_i, x_{i+1}) of a matrix of scores, one row an input.
//!
//! 1. ... All pairs of one row at once: l_ab = 1 where x_a < x_b, for a < b ([`msb`] of the difference).
//! 2. ... The winner is the class that loses no pair: for each class a tree of ands over its n - 1 pairs, ceil(log2(n - 1)) rounds.
//!    Equal scores go to the lower index, so exactly one class wins.
//! 3. The index, as the xor of the winners' numbers, locally.
//!
//! n (n - 1) / 2 comparisons a row in one level, which for the few labels of a classifier is far cheaper than log2 n levels of
//! a tournament. The result is linear in reshared values, so it may be opened to a client.

use std::ops::Range;

use super::bits::{pack, unpack};
use super::compare::msb;
use super::product::mul;
use crate::error::Result;
use crate::party::Party;
use crate::ring::{Boolean, Tensor, Word};
use crate::role::Role;
use crate::sharing::{ArithmeticShare, Share, gather, slice, tensor};

/// The index of the largest element of each row of `x` (`[rows, classes]`, |x| < 2^(k-1)): shape `[rows]`, Boolean-shared words.
///
/// # Panics
/// If `x` is no matrix with at least one column, or k + 1 exceeds the word.
pub fn argmax<W: Word>(party: &mut Party, x: &ArithmeticShare<W>, k: u32) -> Result<Share<Boolean, u64>> {
    let &[rows, classes] = x.shape() else { panic!("argmax takes a matrix") };
    assert!(classes > 0, "argmax of nothing");
    if classes == 1 {
        return Ok(Share::zeros(&[rows]));
    }
    let pairs: Vec<(usize, usize)> = (0..classes).flat_map(|a| (a + 1..classes).map(move |b| (a, b))).collect();
    let differences = x.map(|t| {
        let rows = slice(t).chunks_exact(classes);
        let data = rows.flat_map(|row| pairs.iter().map(|&(a, b)| row[a].wrapping_sub(row[b])));
        tensor(&[t.len() / classes * pairs.len()], data.collect())
    });
    let less = msb(party, &differences, k + 1)?;
    let less = unpack::<u8>(party.kernel(), &less, rows * pairs.len());

    let mut wins = wins(party.role(), &less, classes);
    let mut factors = classes - 1;
    while factors > 1 {
        let half = factors / 2;
        let side = |from| wins.map(|t: &Tensor<u8>| columns(t, factors, from..from + half));
        let (left, right) = (pack(party.kernel(), &side(0)), pack(party.kernel(), &side(half)));
        let joined = mul(party, &left, &right)?;
        let joined = unpack::<u8>(party.kernel(), &joined, rows * classes * half);
        let rest = wins.map(|t| columns(t, factors, 2 * half..factors));
        wins = joined.zip(&rest, |a, b| side_by_side(a, b, rows * classes));
        factors -= half;
    }
    Ok(wins.map(|t| {
        let index = |row: &[u8]| {
            let numbers = row.iter().enumerate();
            numbers.fold(0, |word, (class, &bit)| word ^ (u64::from(bit) * class as u64))
        };
        tensor(&[rows], slice(t).chunks_exact(classes).map(index).collect())
    }))
}

/// For each row and class, whether it wins against each other class: `less` or its complement, reordered.
fn wins(role: Role, less: &Share<Boolean, u8>, classes: usize) -> Share<Boolean, u8> {
    let per_row = classes * (classes - 1) / 2;
    // Pair (a, b), a < b, in the order of enumeration.
    let pair = |a: usize, b: usize| a * (2 * classes - a - 1) / 2 + b - a - 1;
    let duels = (0..classes).flat_map(|c| (0..classes).filter(move |&j| j != c).map(move |j| (c, j)));
    let duels: Vec<(usize, u8)> = duels.map(|(c, j)| if c < j { (pair(c, j), 1) } else { (pair(j, c), 0) }).collect();
    let rows = less.len() / per_row;
    let gathered = less.map(|t| {
        let rows_of_pairs = slice(t).chunks_exact(per_row);
        let data = rows_of_pairs.flat_map(|row| duels.iter().map(|&(pair, _)| row[pair]));
        tensor(&[rows * duels.len()], data.collect())
    });
    let complement = (0..rows).flat_map(|_| duels.iter().map(|&(_, flip)| flip)).collect();
    gathered.add(&Share::public(role, &tensor(&[rows * duels.len()], complement)))
}

/// The given columns of a matrix with `width` columns, flat.
fn columns(t: &Tensor<u8>, width: usize, range: Range<usize>) -> Tensor<u8> {
    let rows = t.len() / width;
    gather(&[rows * range.len()], slice(t).chunks_exact(width).map(|row| &row[range.clone()]))
}

/// Two matrices of `rows` rows next to each other, flat.
fn side_by_side(a: &Tensor<u8>, b: &Tensor<u8>, rows: usize) -> Tensor<u8> {
    let row = |t, r| &slice(t)[r * t.len() / rows..(r + 1) * t.len() / rows];
    gather(&[a.len() + b.len()], (0..rows).flat_map(|r| [row(a, r), row(b, r)]))
}
