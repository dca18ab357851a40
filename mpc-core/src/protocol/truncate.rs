//! Division by 2^m, rounded, without wrap failures.
//!
//! Pi holds (x_i, x_{i+1}), |x| < 3 * 2^60 as a signed number. Let N = x + 2^(m-1) - 1 + o, o = 9 * 2^59 but for its
//! lowest m bits, which are zero, and s_i its components. N is from 3 * 2^59 - 2 to 2^63 - 1. The sum of the s_i over
//! the integers is N plus w 2^64 for a w in {0, 1, 2}, so
//!
//!   x / 2^m  ~  sum(s_i >> m) - w 2^(64-m) - o / 2^m + 1,   where the sum is that of N / 2^m, off its floor by 0, 1 or 2.
//!
//! The five top bits a_i of each component give w. Let c_5 be the carry out of a_0 + a_1, t the top bit of their sum
//! modulo 32, and u that of a_2. What is below these bits adds up to 3 * 2^59 - 3 at most, so a_0 + a_1 mod 32 and a_2
//! add up to a number from 0 to 15, or to one and a wrap of 32: its top bit is zero, so there is a wrap exactly if t or
//! u is 1. Hence w = c_5 + (t or u) = c_5 + t + u - t u.
//!
//! 1. P0 knows a_0 and a_1, and reshares c_1 to c_5, the carries of their sum, as bits; and, as numbers modulo 2^m, the
//!    product of the two components of c_5 and that of t, which makes both numbers (as in
//!    [`to_arithmetic`](super::convert::to_arithmetic)).
//! 2. t u, a trivial sharing times a full one, modulo 2^m: w is needed times 2^(64-m) only.
//!
//! Of the carries it is claimed that c_{j+1} ^ c_j = (a_0j ^ c_j) (a_1j ^ c_j), c_0 = 0. Two rounds; 5 bits and 4 words
//! of m bits (8, 16, 32 or 64) of all parties together. The result is within 1.5 of x / 2^m in units of its last place,
//! always. Which of the three roundings comes out is a function of the components s_i, and so belongs to the ideal
//! functionality on sharings; what comes out for x beyond the bound is one too (`docs/argument.md`, Lemma 6). Nothing
//! is opened, and only reshares talk. Source: `docs/protocols.md`; the wrap count replaces the dealer of ABY3, section
//! 5.1.2. Local truncation of shares is not used: it is wrong with probability |x| / 2^64.

use super::bits::{component_planes, select_planes, stack, unpack};
use super::convert::{component_words, last_component, word_bits, xor_of_first_two};
use super::cost::Cost;
use super::product::{component, send_trivial_times};
use crate::error::Result;
use crate::link::reshare::{Contributors, send};
use crate::party::Party;
use crate::ring::{Arithmetic, Boolean, Word};
use crate::role::Role;
use crate::security::{Claim, Claimable, Operands};
use crate::sharing::{ArithmeticShare, BitShare, slice, tensor};

/// Top bits of the components.
const TOP: usize = 5;

/// x / 2^m, rounded, for |x| < 3 * 2^(w-4): m fractional bits fewer. See the module for rounds, bytes and error.
///
/// # Panics
/// If m is zero or exceeds w - 3.
pub fn truncate<W: Word>(party: &mut Party, x: &ArithmeticShare<W>, m: u32) -> Result<ArithmeticShare<W>> {
    assert!((1..=W::BITS - 3).contains(&m), "cannot truncate {}-bit words by {m} bits", W::BITS);
    let offset = W::from_u64(9).shl(W::BITS - TOP as u32).shr(m);
    let constant = offset.shl(m).wrapping_add(W::ONE.shl(m - 1)).wrapping_sub(W::ONE);
    let shifted = x.add_constant(party.role(), constant);
    let wraps = match word_bits::<W>(W::BITS - m) {
        8 => wraps::<u8, W>(party, &shifted, m)?,
        16 => wraps::<u16, W>(party, &shifted, m)?,
        32 => wraps::<u32, W>(party, &shifted, m)?,
        _ => wraps::<u64, W>(party, &shifted, m)?,
    };
    let parts = shifted.map(|t| t.mapv(|s| s.shr(m)).into_shared());
    Ok(parts.sub(&wraps).add_constant(party.role(), W::ONE.wrapping_sub(offset)))
}

/// Cost of [`truncate`] for n numbers.
pub fn cost(n: usize, m: u32) -> Cost {
    let bits = word_bits::<u64>(u64::BITS - m);
    let carries = Cost::round(TOP * n.div_ceil(64), u64::BITS);
    carries.beside(Cost::round(2 * n, bits)) + Cost::round(2 * n, bits)
}

/// w 2^(64-m) for the wraps w of these components, by way of words N.
fn wraps<N: Claimable, W: Word>(party: &mut Party, s: &ArithmeticShare<W>, m: u32) -> Result<ArithmeticShare<W>> {
    let (role, kernel, n) = (party.role(), party.kernel(), s.len());
    let top = component_planes(kernel, s, W::BITS as usize - TOP, W::BITS as usize);
    let (carries, pairs) = party.link().round(|round| {
        let known = (role == Role::P0).then(|| carries(&top));
        let carries = send::<Boolean, u64>(round, top.shape(), known, Contributors::only(Role::P0))?;
        let products = (role == Role::P0).then(|| {
            let carries = carries.known().expect("all of it comes from this party");
            let words = unpack::<N>(kernel, &carry_and_top(role, &top, &carries), n);
            slice(words.own()).iter().zip(slice(words.next())).map(|(&x, &y)| x.wrapping_mul(y)).collect()
        });
        let pairs = send::<Arithmetic, N>(round, &[2, n], products, Contributors::only(Role::P0))?;
        Ok((carries, pairs))
    })?;
    let words = component_words::<N>(party, &carry_and_top(role, &top, &carries), n);
    let [a, b] = [Role::P0, Role::P1].map(|slot| component(role, slot, &top));
    party.record(|| {
        let none = BitShare::zeros(&[1, top.shape()[1]]);
        let below = stack(&[&none, &select_planes(&carries, 0..TOP - 1)]);
        Claim::And(Operands { x: a.add(&below), y: b.add(&below), z: carries.add(&below) })
    });
    party.record(|| {
        let [x, y] = [Role::P0, Role::P1].map(|slot| component(role, slot, &words));
        N::claim(Operands { x, y, z: pairs.clone() })
    });

    let numbers = xor_of_first_two(role, &words, &pairs);
    let [carry, t] = [0, 1].map(|row| numbers.map(|x| tensor(&[n], slice(x)[row * n..][..n].to_vec())));
    let u = component_words::<N>(party, &select_planes(&top, TOP - 1..TOP), n).reshape(&[n]);
    let both = party.round(|round| send_trivial_times(round, Role::P2, last_component(role, &u), &t))?;
    let wraps = carry.add(&t).add(&component(role, Role::P2, &u)).sub(&both);
    Ok(wraps.map(|t| tensor(s.shape(), slice(t).iter().map(|w| W::from_u64(w.to_u64()).shl(W::BITS - m)).collect())))
}

/// The carries out of each bit of a_0 + a_1, at P0.
fn carries(top: &BitShare) -> Vec<u64> {
    let words = top.shape()[1].max(1);
    let (mut carry, mut carries) = (vec![0; words], Vec::new());
    for (a, b) in slice(top.own()).chunks_exact(words).zip(slice(top.next()).chunks_exact(words)) {
        carry.iter_mut().zip(a.iter().zip(b)).for_each(|(c, (a, b))| *c = (a ^ *c) & (b ^ *c) ^ *c);
        carries.extend_from_slice(&carry);
    }
    carries
}

/// The carry out of a_0 + a_1, and the top bit of the sum.
fn carry_and_top(role: Role, top: &BitShare, carries: &BitShare) -> BitShare {
    let sum = component(role, Role::P0, top).add(&component(role, Role::P1, top));
    let sum = select_planes(&sum, TOP - 1..TOP).add(&select_planes(carries, TOP - 2..TOP - 1));
    stack(&[&select_planes(carries, TOP - 1..TOP), &sum])
}
