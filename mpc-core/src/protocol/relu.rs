//! max(x, 0), optionally clipped from above and truncated on the way.
//!
//! Pi holds (x_i, x_{i+1}), |x| < 2^(k-1).
//!
//! 1. ... At the same time: the sign of x ([`msb`]), and what does not depend on it: x / 2^m
//!    ([`truncate`](fn@truncate)), and that times a random bit ([`Injection`]), four rounds. The sign may be that of x
//!    without its lowest `drop` bits ([`coarse`]): then what is below 2^(drop+1) may become zero.
//! 2. The inverted sign times the truncated value, one round.
//!
//! With a ceiling c, min(max(x, 0), c) = relu(x) - relu(x - c): both comparisons in one batch. Rounds: those of the
//! comparison plus one, however large the layer. Private because its parts are.

use super::bits::not;
use super::compare::{self, Width, coarse, msb};
use super::convert::{Injection, injection_cost};
use super::cost::Cost;
use super::truncate::{self, truncate};
use crate::error::Result;
use crate::party::Party;
use crate::ring::Word;
use crate::security::Claimable;
use crate::sharing::{ArithmeticShare, Share, gather, slice, tensor};

/// max(x, 0) / 2^`rescale` and at most `ceiling` (in units of the result, positive) where one is given. `rescale` 0
/// truncates nothing. An x below 2^(drop + 1) may count as negative, and one so little above the ceiling as below it,
/// unless drop is 0.
///
/// # Panics
/// Where [`msb`], [`coarse`] or [`truncate`](fn@truncate) do, and if the ceiling is not below 2^(w-3-rescale).
pub fn relu<W: Claimable>(
    party: &mut Party,
    x: &ArithmeticShare<W>,
    width: Width,
    rescale: u32,
    ceiling: Option<W>,
) -> Result<ArithmeticShare<W>> {
    let role = party.role();
    let Some(ceiling) = ceiling else {
        return times_sign(party, x, x, width, rescale, |value| value);
    };
    let bits = W::BITS - (0..W::BITS).rev().take_while(|&b| ceiling.shr(b) == W::ZERO).count() as u32;
    assert!(bits + rescale <= W::BITS - 3, "a ceiling below 2^{}", W::BITS - 3 - rescale);
    let below = move |x: &ArithmeticShare<W>, by: W| x.add_constant(role, W::ZERO.wrapping_sub(by));

    let bits = (width.bits.max(bits + rescale + 1) + 1).min(W::BITS);
    let width = if bits <= W::BITS - 2 { Width { bits, ..width } } else { Width::exact(bits) };
    let both = concat(&[x, &below(x, ceiling.shl(rescale))]);
    let both = times_sign(party, &both, x, width, rescale, move |value| concat(&[&value, &below(&value, ceiling)]))?;
    Ok(both.map(|t| {
        let (upper, lower) = slice(t).split_at(x.len());
        tensor(x.shape(), upper.iter().zip(lower).map(|(&a, &b)| a.wrapping_sub(b)).collect())
    }))
}

/// Cost of [`relu`] without ceiling for n numbers in words of `bits` bits.
pub fn cost(n: usize, width: Width, rescale: u32, bits: u32) -> Cost {
    let truncated = if rescale > 0 { truncate::cost(n, rescale) } else { Cost::default() };
    let [beside, after] = injection_cost(n, bits);
    compare::cost(n, width.compared()).beside(truncated + beside) + after
}

/// `operands` of `x` divided by 2^`rescale`, each where its number in `compared` is not negative, and zero elsewhere.
fn times_sign<W: Claimable>(
    party: &mut Party,
    compared: &ArithmeticShare<W>,
    x: &ArithmeticShare<W>,
    width: Width,
    rescale: u32,
    operands: impl FnOnce(ArithmeticShare<W>) -> ArithmeticShare<W> + Send + 'static,
) -> Result<ArithmeticShare<W>> {
    let (compared, k) = coarse(compared, width);
    let x = x.clone();
    let injection = move |party: &mut Party| {
        let value = if rescale > 0 { truncate(party, &x, rescale)? } else { x };
        Injection::of(party, operands(value))
    };
    let (sign, injection) = party.join(|party| msb(party, &compared, k), injection)?;
    let positive = not(party.role(), &sign);
    injection.by(party, &positive)
}

/// The elements of several sharings one after the other, flat.
pub(super) fn concat<W: Word>(parts: &[&ArithmeticShare<W>]) -> ArithmeticShare<W> {
    let shape = [parts.iter().map(|part| part.len()).sum()];
    Share::new(
        gather(&shape, parts.iter().map(|part| slice(part.own()))),
        gather(&shape, parts.iter().map(|part| slice(part.next()))),
    )
}
