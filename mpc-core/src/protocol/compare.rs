//! The sign of a shared number.
//!
//! Pi holds (x_i, x_{i+1}) with |x| < 2^(k-1) as a signed number. Everything happens modulo 2^k, to which the
//! components reduce locally and exactly.
//!
//! 1. Carry-save. Each component is known to two parties, so its bits are a Boolean sharing for free. s = x0 ^ x1 ^ x2
//!    is local; c = maj(x0, x1, x2) = (x0 ^ x1) & (x1 ^ x2) ^ x1 is one and per bit, k - 1 of them. Now x = s + 2c.
//! 2. ... The carry G of that addition into bit k - 1 ([`carry`](fn@carry)): ceil(log2(k - 1)) rounds.
//!
//! The sign is s_{k-1} ^ c_{k-2} ^ G. Rounds: 1 + ceil(log2(k - 1)); bits: about 3k. Private because only
//! reshares talk. Sources: Araki et al., CCS'16; Mohassel, Rindal, CCS'18, section 5.3 (bit extraction).
//!
//! **Coarse comparisons.** Where an error of some units is allowed, the lowest bits need not be compared: the
//! components shifted by t add up to floor(x / 2^t) or to 1 or 2 less, locally ([`coarse`]). What is compared then is a
//! deterministic function of the sharing, the same wherever it is used, so that an order of several numbers stays an
//! order.

use super::bits::{component_planes, select_planes};
use super::carry::{self, carry};
use super::cost::Cost;
use super::product::component;
use crate::error::Result;
use crate::link::reshare::reshare;
use crate::party::Party;
use crate::ring::Word;
use crate::role::Role;
use crate::security::{Claim, Operands};
use crate::sharing::{ArithmeticShare, BitShare, slice};

/// The bits of a number that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width {
    /// |x| < 2^(bits-1).
    pub bits: u32,
    /// The number of lowest bits that are left out.
    pub drop: u32,
}

impl Width {
    /// All bits.
    pub fn exact(bits: u32) -> Self {
        Self { bits, drop: 0 }
    }

    /// The k of what is left ([`coarse`]).
    pub fn compared(self) -> u32 {
        if self.drop == 0 { self.bits } else { self.bits - self.drop + 1 }
    }
}

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

/// Cost of [`msb`] on n numbers.
pub fn cost(n: usize, k: u32) -> Cost {
    let bits = k as usize;
    let carried = if k > 2 { carry::cost(bits - 2, n) } else { Cost::default() };
    if k > 1 { Cost::planes(bits - 1, n) + carried } else { carried }
}

/// A sharing of floor(x / 2^drop), or of 1 or 2 less, and the k' such that it is below 2^(k'-1). Only its lowest w -
/// drop bits mean anything. The same x where nothing is dropped. Local.
///
/// # Panics
/// If something is dropped and `bits` exceeds w - 2, so that differences have room, or is not above `drop` + 2.
pub fn coarse<W: Word>(x: &ArithmeticShare<W>, width: Width) -> (ArithmeticShare<W>, u32) {
    let Width { bits, drop } = width;
    if drop == 0 {
        return (x.clone(), bits);
    }
    assert!(bits <= W::BITS - 2 && bits > drop + 2, "cannot drop {drop} of {bits} bits");
    (x.map(|t| t.mapv(|c| c.shr(drop)).into_shared()), width.compared())
}

/// maj(s_0, s_1, s_2) of the components of a Boolean sharing, bitwise. 1 round, 1 bit each.
pub(super) fn carry_save(party: &mut Party, s: &BitShare) -> Result<BitShare> {
    // maj = s0 s1 ^ s1 s2 ^ s2 s0, and Pi knows both factors of s_i s_{i+1}.
    let z = slice(s.own()).iter().zip(slice(s.next())).map(|(a, b)| a & b).collect();
    let c = reshare(party.link(), s.shape(), z)?;
    let role = party.role();
    party.record(|| {
        let [s0, s1, s2] = Role::ALL.map(|slot| component(role, slot, s));
        Claim::And(Operands { x: s0.add(&s1), y: s1.add(&s2), z: c.add(&s1) })
    });
    Ok(c)
}
