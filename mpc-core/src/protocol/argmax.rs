//! Which class has the largest score.
//!
//! Pi holds (x_i, x_{i+1}) of a matrix of scores, one row an input.
//!
//! 1. ... [`winners`] of all groups of classes, level by level ([`Levels`]).
//! 2. The index of each group's winner, i_0 ^ the xor of w_c & (i_c ^ i_0): one round, but local in the first level,
//!    where indices are public.
//! 3. Where another level follows, the score of each group's winner, prepared beside 1 ([`Injection`]).
//!
//! With a single level equal scores go to the lower index. All pairs of a few labels are far cheaper than log2 n levels
//! of a tournament. Scores are compared without their lowest `drop` bits ([`Width`]). The result is linear in reshared
//! values, so it may be opened to a client.

use super::bits::unpack;
use super::compare::{Width, coarse};
use super::convert::{Injection, injection_cost};
use super::cost::Cost;
use super::product::send_dot;
use super::rows;
use super::winner::{self, Levels, winners};
use crate::error::Result;
use crate::party::Party;
use crate::ring::{Boolean, Domain, Tensor, Word};
use crate::security::Claimable;
use crate::sharing::{ArithmeticShare, BitShare, Share, combine, slice, tensor};

/// The index of the largest element of each row of `x` (`[rows, classes]`), or of one less than 3 * 2^drop below it:
/// shape `[rows]`, Boolean-shared words.
///
/// # Panics
/// If `x` is no matrix with as many columns as `levels` has candidates, or the difference of two scores exceeds the
/// word; as [`coarse`].
pub fn argmax<W: Claimable>(
    party: &mut Party,
    x: &ArithmeticShare<W>,
    width: Width,
    levels: &Levels,
) -> Result<Share<Boolean, u64>> {
    let &[n, classes] = x.shape() else { panic!("argmax takes a matrix") };
    assert_eq!(classes, levels.candidates(), "levels for these classes");
    let (mut keys, k) = coarse(&x.map(transpose), width);
    // As long as they are public, the numbers themselves stand in both places.
    let numbers = tensor(&[classes, n], (0..classes as u64).flat_map(|class| std::iter::repeat_n(class, n)).collect());
    let mut indices = Share::new(numbers.clone(), numbers);
    for (level, &size) in levels.sizes().iter().enumerate() {
        let (candidates, numbers) = (rows::in_groups(&keys, size), rows::in_groups(&indices, size));
        let groups = candidates.shape()[1] / n.max(1);
        let (wins, scores) = if groups > 1 {
            let gains = rows::gains(&candidates);
            let of_gains = move |party: &mut Party| Injection::of(party, gains).map(Some);
            party.join(|party| winners(party, &candidates, k + 1), of_gains)?
        } else {
            (winners(party, &candidates, k + 1)?, None)
        };
        indices = match level {
            0 => index_of_public(party, &wins, &numbers),
            _ => index(party, &wins, &numbers)?,
        };
        if let Some(scores) = scores {
            keys = rows::sum(&scores.by(party, &wins)?).add(&rows::first(&candidates)).reshape(&[groups, n]);
        }
        indices = indices.reshape(&[groups, n]);
    }
    Ok(indices.reshape(&[n]))
}

/// Cost of [`argmax`] of n rows in words of `bits` bits.
pub fn cost(n: usize, width: Width, levels: &Levels, bits: u32) -> Cost {
    let mut candidates = levels.candidates();
    let level = |(level, &size): (usize, &usize)| {
        candidates = candidates.div_ceil(size);
        let columns = candidates * n;
        let gains = (size - 1) * columns;
        let indices = if level > 0 { Cost::round(3 * columns, u64::BITS) } else { Cost::default() };
        let [beside, after] = if candidates > 1 { injection_cost(gains, bits) } else { Default::default() };
        winner::cost(size, columns, width.compared() + 1).beside(beside) + indices + after
    };
    levels.sizes().iter().enumerate().map(level).sum()
}

/// The winners' numbers. 1 round, a word for each group.
fn index(party: &mut Party, wins: &BitShare, numbers: &Share<Boolean, u64>) -> Result<Share<Boolean, u64>> {
    let gains = rows::gains(numbers);
    let masks = masks(party, wins, gains.shape());
    Ok(party.round(|round| send_dot(round, &masks, &gains))?.add(&rows::first(numbers)))
}

/// The same where the numbers are public. Local.
fn index_of_public(party: &Party, wins: &BitShare, numbers: &Share<Boolean, u64>) -> Share<Boolean, u64> {
    let gains = rows::gains(numbers);
    let gains = masks(party, wins, gains.shape()).zip(&gains, |mask, gain| combine(mask, gain, Boolean::mul));
    rows::sum(&gains).add(&Share::public(party.role(), rows::first(numbers).own()))
}

/// Words of 64 equal bits.
fn masks(party: &Party, bits: &BitShare, shape: &[usize]) -> Share<Boolean, u64> {
    let words = unpack::<u64>(party.kernel(), bits, shape.iter().product());
    words.map(|t| t.mapv(|bit| bit.wrapping_neg()).into_shared()).reshape(shape)
}

fn transpose<W: Word>(t: &Tensor<W>) -> Tensor<W> {
    let (n, classes) = (t.shape()[0], t.shape()[1]);
    let data = (0..classes).flat_map(|class| slice(t).iter().skip(class).step_by(classes).copied());
    tensor(&[classes, n], data.collect())
}
