//! Division by 2^m, rounded, without wrap failures.
//!
//! Pi holds (x_i, x_{i+1}), |x| + 2^(m-1) <= 2^62 as a signed number. Let t = x + 2^(m-1) - 1 and s_i the components of t + 2^62, a number
//! in [0, 2^63). The sum of the s_i over the integers is that number plus w 2^64 for a w in {0, 1, 2}, so
//!
//!   t / 2^m  ~  sum(s_i >> m) - w 2^(64-m) - 2^(62-m) + 1,   error in {-1, 0, 1} of the floor.
//!
//! Bits 63 and 62 of the carry-save form s + 2c give w: bit 63 of the number is zero, hence w = c_63 + (s_63 or c_62).
//!
//! 1. c_62 and c_63 ([`carry_save`](super::compare)).
//! 2. s_63 or c_62 = s_63 ^ c_62 ^ s_63 c_62.
//! 3. and 4. Both bits to numbers modulo 2^m ([`to_arithmetic`](super::convert::to_arithmetic)): they are needed times 2^(64-m) only.
//!
//! Four rounds; 3 bits and 2 words of m bits (8, 16, 32 or 64) per party. The result is within 1.5 of x / 2^m in units of its last
//! place, always. Which of the three roundings comes out is a function of the components s_i, and so belongs to the ideal functionality on
//! sharings; what comes out for x beyond the bound is one too (`docs/argument.md`, Lemma 6). Nothing is opened. Source: `docs/protocols.md`; the wrap
//! count replaces the dealer of ABY3, section 5.1.2. Local truncation of shares is not used: it is wrong with probability |x| / 2^64.

use super::bits::{component_planes, select_planes, stack};
use super::compare::carry_save;
use super::convert::{weigh, weigh_cost};
use super::cost::Cost;
use super::product::mul;
use crate::error::Result;
use crate::party::Party;
use crate::ring::{Boolean, Word};
use crate::sharing::ArithmeticShare;

/// x / 2^m, rounded, for |x| + 2^(m-1) <= 2^(w-2): m fractional bits fewer. See the module for rounds, bytes and error.
///
/// # Panics
/// If m is zero or exceeds w - 3.
pub fn truncate<W: Word>(party: &mut Party, x: &ArithmeticShare<W>, m: u32) -> Result<ArithmeticShare<W>> {
    assert!((1..=W::BITS - 3).contains(&m), "cannot truncate {}-bit words by {m} bits", W::BITS);
    let top = W::BITS as usize;
    let offset = W::ONE.shl(W::BITS - 2).wrapping_add(W::ONE.shl(m - 1)).wrapping_sub(W::ONE);
    let shifted = x.add_constant(party.role(), offset);

    let s = component_planes(party.kernel(), &shifted, top - 2, top);
    let c = carry_save(party, &s)?;
    let (s_top, c_below, c_top) = (select_planes(&s, 1..2), select_planes(&c, 0..1), select_planes(&c, 1..2));
    let both = mul::<Boolean, u64>(party, &s_top, &c_below)?;
    let either = s_top.add(&c_below).add(&both);
    let wraps = stack(&[&c_top, &either]);

    let wraps = weigh(party, &wraps, x.shape(), [W::BITS - m; 2])?;
    let parts = shifted.map(|t| t.mapv(|s| s.shr(m)).into_shared());
    let constant = W::ONE.wrapping_sub(W::ONE.shl(W::BITS - 2 - m));
    Ok(parts.sub(&wraps).add_constant(party.role(), constant))
}

/// Cost of [`truncate`] for n numbers.
pub fn cost(n: usize, m: u32) -> Cost {
    Cost::planes(2, n) + Cost::planes(1, n) + weigh_cost::<u64>(n, u64::BITS - m)
}
