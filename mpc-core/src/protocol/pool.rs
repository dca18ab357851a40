//! The elementwise maximum of several sharings, optionally with zero as one more: max-pooling with its windows
//! gathered, and the ReLU after it.
//!
//! Pi holds (x_i, x_{i+1}) of m candidates. Level by level ([`Levels`]), all windows of a layer at once:
//!
//! 1. ... [`winners`] of all groups, and beside it what each candidate has more than the first one, times a random bit
//!    ([`Injection`]).
//! 2. What the winner has more than the first candidate, added to that one: max = x_0 + sum of w_c (x_c - x_0) over
//!    c > 0, one round.
//!
//! With ReLU, zero is the first candidate of the last level, and the candidates are truncated at the same time as they
//! are compared: a layer of pooling and ReLU takes the rounds of one comparison and a few, not of two.
//!
//! Numbers are compared without their lowest `drop` bits ([`Width`]): in each level the one that is taken is less than
//! 3 * 2^drop below the largest.

use super::compare::{Width, coarse};
use super::convert::{Injection, injection_cost};
use super::cost::Cost;
use super::relu::concat;
use super::rows;
use super::truncate::{self, truncate};
use super::winner::{self, Levels, winners};
use crate::error::Result;
use crate::party::Party;
use crate::ring::Word;
use crate::security::Claimable;
use crate::sharing::{ArithmeticShare, Share};

/// Elementwise maximum of `candidates`, all of one shape.
///
/// # Panics
/// If there are other than `levels` has candidates, shapes differ, or the difference of two exceeds the word; as
/// [`coarse`].
pub fn max<W: Claimable>(
    party: &mut Party,
    candidates: &[ArithmeticShare<W>],
    width: Width,
    levels: &Levels,
) -> Result<ArithmeticShare<W>> {
    let shape = candidates[0].shape();
    let max = levels.sizes().iter().try_fold(stacked(candidates, levels), |x, &size| level(party, &x, width, size))?;
    Ok(max.reshape(shape))
}

/// max(x, 0) / 2^`rescale` for the elementwise maximum x of `candidates`, as [`max`] and [`relu`](super::relu::relu)
/// one after the other, in fewer rounds. The last level has one candidate more than `levels` says, and there is one
/// even for a single candidate.
///
/// # Panics
/// As [`max`] and [`truncate`](fn@truncate).
pub fn max_relu<W: Claimable>(
    party: &mut Party,
    candidates: &[ArithmeticShare<W>],
    width: Width,
    rescale: u32,
    levels: &Levels,
) -> Result<ArithmeticShare<W>> {
    let (shape, stacked) = (candidates[0].shape(), stacked(candidates, levels));
    let before = levels.sizes().len().saturating_sub(1);
    let left = levels.sizes()[..before].iter().try_fold(stacked, |x, &size| level(party, &x, width, size))?;

    let (keys, k) = coarse(&left, width);
    let n = keys.shape()[1];
    let keys = concat(&[&Share::zeros(&[n]), &keys]).reshape(&[keys.shape()[0] + 1, n]);
    let injection = move |party: &mut Party| {
        let values = if rescale > 0 { truncate(party, &left, rescale)? } else { left };
        Injection::of(party, values)
    };
    let (wins, injection) = party.join(|party| winners(party, &keys, k + 1), injection)?;
    Ok(rows::sum(&injection.by(party, &wins)?).reshape(shape))
}

/// The candidates as rows.
fn stacked<W: Word>(candidates: &[ArithmeticShare<W>], levels: &Levels) -> ArithmeticShare<W> {
    assert_eq!(candidates.len(), levels.candidates(), "levels for these candidates");
    concat(&candidates.iter().collect::<Vec<_>>()).reshape(&[candidates.len(), candidates[0].len()])
}

/// The largest of each group of `size` rows.
fn level<W: Claimable>(
    party: &mut Party,
    x: &ArithmeticShare<W>,
    width: Width,
    size: usize,
) -> Result<ArithmeticShare<W>> {
    let grouped = rows::in_groups(x, size);
    let (keys, k) = coarse(&grouped, width);
    let gains = rows::gains(&grouped);
    let (wins, gains) = party.join(|party| winners(party, &keys, k + 1), |party| Injection::of(party, gains))?;
    let gains = gains.by(party, &wins)?;
    let &[m, n] = x.shape() else { unreachable!("candidates are rows") };
    Ok(rows::sum(&gains).add(&rows::first(&grouped)).reshape(&[m.div_ceil(size), n]))
}

/// Cost of [`max`] of n columns in words of `bits` bits.
pub fn cost(n: usize, width: Width, levels: &Levels, bits: u32) -> Cost {
    levels_cost(n, width, levels.candidates(), levels.sizes(), bits)
}

/// Cost of [`max_relu`] of n columns in words of `bits` bits.
pub fn relu_cost(n: usize, width: Width, rescale: u32, levels: &Levels, bits: u32) -> Cost {
    let sizes = levels.sizes();
    let before = &sizes[..sizes.len().saturating_sub(1)];
    let left = before.iter().fold(levels.candidates(), |m, size| m.div_ceil(*size));
    let truncated = if rescale > 0 { truncate::cost(left * n, rescale) } else { Cost::default() };
    let [beside, after] = injection_cost(left * n, bits);
    levels_cost(n, width, levels.candidates(), before, bits)
        + winner::cost(left + 1, n, width.compared() + 1).beside(truncated + beside)
        + after
}

fn levels_cost(n: usize, width: Width, mut candidates: usize, sizes: &[usize], bits: u32) -> Cost {
    let level = |&size: &usize| {
        candidates = candidates.div_ceil(size);
        let columns = candidates * n;
        let [beside, after] = injection_cost((size - 1) * columns, bits);
        winner::cost(size, columns, width.compared() + 1).beside(beside) + after
    };
    sizes.iter().map(level).sum()
}
