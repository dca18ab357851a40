//! Division by 2^m, rounded to the nearest integer: exactly, whatever the components.
//!
//! Pi holds (x_i, x_{i+1}), |x| < 3 * 2^60 as a signed number. Let t = x + 2^(m-1) - 1, with components s_i. The result
//! is floor(t / 2^m): the integer nearest to x / 2^m, and of two that are equally near the lower one.
//!
//! [`truncate`](fn@truncate) shifts each component by itself, and so misses what their lowest m bits carry:
//!
//!   truncate(x) = floor(t / 2^m) - K + 1,   K = floor(sum(s_i mod 2^m) / 2^m) in {0, 1, 2}.
//!
//! In carry-save form the sum is s + 2c, so that K is bit m - 1 of c plus the carry G out of s + 2 (c mod 2^(m-1)). At
//! the same time as the truncation:
//!
//! 1. c, m bits ([`carry_save`](super::compare)).
//! 2. ... G ([`carry`](fn@carry)): ceil(log2(m)) rounds.
//! 3. Their sum as a number ([`convert`](super::convert)), two rounds.
//!
//! Rounds: 3 + ceil(log2(m)). It costs more than a truncation, and is for what leaves the computation: the rounding of
//! a truncation depends on the components, which are drawn anew each time, and its mean over many times is x / 2^m with
//! all its bits. Private because its parts are and nothing is opened. Source: Catrina, de Hoogh, SCN'10, section 3
//! (truncation that is exact by the carry of the low part), with the carries of three components.

use super::bits::{component_planes, select_planes, stack};
use super::carry::{self, carry};
use super::compare::carry_save;
use super::convert::{weigh, weigh_cost};
use super::cost::Cost;
use super::truncate::{self, truncate};
use crate::error::Result;
use crate::party::Party;
use crate::ring::Word;
use crate::sharing::ArithmeticShare;

/// The integer nearest to x / 2^m, for |x| < 3 * 2^(w-4). See the module for rounds; bytes: those of a truncation,
/// about 3m bits and 4/3 words a party.
///
/// # Panics
/// If m is zero or exceeds w - 3.
pub fn round<W: Word>(party: &mut Party, x: &ArithmeticShare<W>, m: u32) -> Result<ArithmeticShare<W>> {
    let low = x.clone();
    let (truncated, carries) = party.join(|party| truncate(party, x, m), move |party| low_carries(party, &low, m))?;
    Ok(truncated.add(&carries).add_constant(party.role(), W::ZERO.wrapping_sub(W::ONE)))
}

/// Cost of [`round`] for n numbers.
pub fn cost(n: usize, m: u32) -> Cost {
    let m = m as usize;
    let (planes, carried) = if m > 1 { (2, carry::cost(m - 1, n)) } else { (1, Cost::default()) };
    let carries = Cost::planes(m, n) + carried + weigh_cost::<u64>(n, &[0; 2][..planes]);
    truncate::cost(n, m as u32).beside(carries)
}

/// K.
fn low_carries<W: Word>(party: &mut Party, x: &ArithmeticShare<W>, m: u32) -> Result<ArithmeticShare<W>> {
    let m = m as usize;
    let half = W::ONE.shl(m as u32 - 1).wrapping_sub(W::ONE);
    let s = component_planes(party.kernel(), &x.add_constant(party.role(), half), 0, m);
    let c = carry_save(party, &s)?;
    let top = select_planes(&c, m - 1..m);
    let bits = match m {
        1 => top,
        _ => stack(&[&top, &carry(party, &select_planes(&s, 1..m), &select_planes(&c, 0..m - 1))?]),
    };
    weigh(party, &bits, x.shape(), &[0; 2][..bits.shape()[0]])
}
