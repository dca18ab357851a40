//! The sign of a shared number.
//!
//! Pi holds (x_i, x_{i+1}) with |x| < 2^(k-1) as a signed number. Everything happens modulo 2^k, to which the components
//! reduce locally and exactly.
//!
//! 1. Carry-save. Each component is known to two parties, so its bits are a Boolean sharing for free. s = x0 ^ x1 ^ x2 is local;
//!    c = maj(x0, x1, x2) = (x0 ^ x1) & (x1 ^ x2) ^ x1 is one and per bit, k - 1 of them. Now x = s + 2c.
//! 2. Generate and propagate of that addition, bit by bit: g = s & 2c, p = s ^ 2c; k - 2 ands.
//! 3. ... A tree that joins neighbours, (G, P) = (G_hi ^ P_hi & G_lo, P_hi & P_lo), until one G is left: the carry into bit k - 1.
//!    The lowest block of each level needs no P. ceil(log2(k - 2)) rounds.
//!
//! The sign is s_{k-1} ^ c_{k-2} ^ G. Rounds: 2 + ceil(log2(k - 2)); bits: about 4k - log2(k). Private because only reshares talk.
//! Sources: Araki et al., CCS'16; Mohassel, Rindal, CCS'18, section 5.3 (bit extraction).

use super::bits::{component_planes, select_planes, stack};
use super::product::{component, mul};
use crate::error::Result;
use crate::link::reshare::reshare;
use crate::party::Party;
use crate::ring::{Domain, Word};
use crate::role::Role;
use crate::security::{Claim, Operands};
use crate::sharing::{ArithmeticShare, BitShare, combine, slice};

/// One plane of n bits: 1 where x is negative, given |x| < 2^(k-1). See the module for rounds and bytes.
///
/// # Panics
/// If k is zero or exceeds the word.
pub fn msb<W: Word>(party: &mut Party, x: &ArithmeticShare<W>, k: u32) -> Result<BitShare> {
    assert!((1..=W::BITS).contains(&k), "a comparison has 1 to {} bits, not {k}", W::BITS);
    let k = k as usize;
    let s = component_planes(party.kernel(), x, 0, k);
    let top = select_planes(&s, k - 1..k);
    if k == 1 {
        return Ok(top);
    }
    let c = carry_save(party, &select_planes(&s, 0..k - 1))?;
    let sign = top.add(&select_planes(&c, k - 2..k - 1));
    if k == 2 {
        return Ok(sign);
    }
    Ok(sign.add(&carry(party, &select_planes(&s, 1..k - 1), &select_planes(&c, 0..k - 2))?))
}

/// maj(s_0, s_1, s_2) of the components of a Boolean sharing, bitwise. 1 round, 1 bit each.
pub(super) fn carry_save(party: &mut Party, s: &BitShare) -> Result<BitShare> {
    // maj = s0 s1 ^ s1 s2 ^ s2 s0, and Pi knows both factors of s_i s_{i+1}.
    let z = combine(s.own(), s.next(), crate::ring::Boolean::mul);
    let c = reshare(party.link(), s.shape(), slice(&z).to_vec())?;
    let role = party.role();
    party.record(|| {
        let [s0, s1, s2] = Role::ALL.map(|slot| component(role, slot, s));
        Claim::And(Operands { x: s0.add(&s1), y: s1.add(&s2), z: c.add(&s1) })
    });
    Ok(c)
}

/// The carry out of the top plane of a + b, without a carry in.
fn carry(party: &mut Party, a: &BitShare, b: &BitShare) -> Result<BitShare> {
    let mut generate = mul(party, a, b)?;
    let planes = generate.shape()[0];
    // Row j of `propagate` belongs to block j + 1; the lowest block never needs one.
    let mut propagate = select_planes(&a.add(b), 1..planes);
    while generate.shape()[0] > 1 {
        let blocks = generate.shape()[0];
        let pairs = blocks / 2;
        let high = select_planes(&propagate, (0..pairs).map(|j| 2 * j));
        let low = stack(&[
            &select_planes(&generate, (0..pairs).map(|j| 2 * j)),
            &select_planes(&propagate, (1..pairs).map(|j| 2 * j - 1)),
        ]);
        let joined = mul(party, &stack(&[&high, &select_planes(&high, 1..pairs)]), &low)?;
        let carried = select_planes(&generate, (0..pairs).map(|j| 2 * j + 1)).add(&select_planes(&joined, 0..pairs));
        let passed = select_planes(&joined, pairs..2 * pairs - 1);
        (generate, propagate) = if blocks % 2 == 1 {
            let rest = select_planes(&generate, blocks - 1..blocks);
            let rest_propagate = select_planes(&propagate, blocks - 2..blocks - 1);
            (stack(&[&carried, &rest]), stack(&[&passed, &rest_propagate]))
        } else {
            (carried, passed)
        };
    }
    Ok(generate)
}
