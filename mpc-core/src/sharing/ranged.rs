//! Shares of numbers that cannot leave a public range, whatever their dealer does.
//!
//! Over Z_2^64 a dealer can share every element, so a declared range is only a promise. A number |x| <= 2^k is
//! therefore dealt in components of k + 2 bits, r_i in [0, 2^k) and w_i in {0, 1, 2, 3}, with
//!
//!   x = 1 + r_0 + r_1 + r_2 - 2^k (w_0 ^ w_1 ^ w_2)   over the integers.
//!
//! - **An honest dealer** draws components 0 and 1, and r_2 completes the sum modulo 2^k. The sum of the r_i lies
//!   between 0 and 3 * 2^k - 3, so (1 + sum(r_i) - x) / 2^k is one of 0, 1, 2, 3 for every |x| <= 2^k, and w_2 makes it
//!   w. Any two components are uniform, whatever x is: r_2 is masked by r_0 and r_1, w_2 by w_0 and w_1.
//! - **Any dealer**: whatever the components are, 1 - 3 * 2^k <= x <= 3 * 2^k - 2.
//!
//! [`lift`](crate::protocol::lift) makes shares over Z_2^64 of them. Source: `docs/adr/0018`.

use super::{ArithmeticShare, Component, Dealt, Seed, Share, expand, slice, tensor};
use crate::error::{Error, Result};
use crate::ring::Tensor;
use crate::role::Role;

/// A range |x| <= 2^k of integers that can be dealt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRange {
    bits: u32,
}

impl InputRange {
    /// Bits of w.
    const WRAP_BITS: u32 = 2;

    /// Least and largest k: a component has at least one bit of the number, and at most 62 with the bits of w.
    const MIN_BITS: u32 = 1;
    const MAX_BITS: u32 = 60;

    /// The least range that holds the real numbers within +-`magnitude`, encoded with `frac_bits` fractional bits.
    pub fn holding(magnitude: f64, frac_bits: u32) -> Self {
        let largest = (magnitude * f64::from(frac_bits).exp2()).round();
        let bits = (0..Self::MAX_BITS).find(|&bits| largest <= f64::from(bits).exp2()).unwrap_or(Self::MAX_BITS);
        Self { bits: bits.max(Self::MIN_BITS) }
    }

    /// The range whose [reach](InputRange::reach) is below 2^`bits` and not below 2^(`bits` - 1), if there is one.
    pub fn within(bits: u32) -> Option<Self> {
        let bits = bits.checked_sub(Self::WRAP_BITS)?;
        (Self::MIN_BITS..=Self::MAX_BITS).contains(&bits).then_some(Self { bits })
    }

    /// k: an honest dealer shares integers within +-2^k.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// 3 * 2^k: whatever a dealer shares lies strictly within plus and minus this integer.
    pub fn reach(self) -> f64 {
        3.0 * f64::from(self.bits).exp2()
    }

    /// Bits of a component.
    pub fn component_bits(self) -> u32 {
        self.bits + Self::WRAP_BITS
    }

    /// Bytes of a component on the wire.
    pub fn bytes(self) -> usize {
        self.component_bits().div_ceil(8) as usize
    }

    /// r of a component.
    pub(crate) fn residue(self, component: u64) -> u64 {
        component & ((1 << self.bits) - 1)
    }

    /// The component that completes two others to x; `None` where x is out of range.
    fn complete(self, x: i64, [a, b]: [u64; 2]) -> Option<u64> {
        if x.unsigned_abs() > 1 << self.bits {
            return None;
        }
        let (below, wraps) = (x - 1, |component: u64| component >> self.bits);
        let others = self.residue(a) + self.residue(b);
        let residue = self.residue((below as u64).wrapping_sub(others));
        let wrap = ((others + residue) as i64 - below) >> self.bits;
        Some(residue | (wrap as u64 ^ wraps(a) ^ wraps(b)) << self.bits)
    }

    /// The component without the bits above its own, which do not count.
    fn component(self, words: &Tensor<u64>) -> Tensor<u64> {
        let mask = (1 << self.component_bits()) - 1;
        words.mapv(|word| word & mask).into_shared()
    }
}

/// One party's part of a tensor of numbers within a range.
#[derive(Debug, Clone)]
pub struct RangedShare {
    /// r_i + 2^k w_i for each element.
    words: ArithmeticShare,
    range: InputRange,
}

impl RangedShare {
    /// Joins two components; the lowest k + 2 bits of each element count.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn new(own: &Tensor<u64>, next: &Tensor<u64>, range: InputRange) -> Self {
        Self { words: Share::new(range.component(own), range.component(next)), range }
    }

    /// The share that a party received.
    ///
    /// # Panics
    /// If an explicit component has another shape.
    pub fn from_dealt(dealt: &Dealt<u64>, shape: &[usize], range: InputRange) -> Self {
        Self::new(&dealt.own.expand(shape), &dealt.next.expand(shape), range)
    }

    /// Components r_i + 2^k w_i, a word each. Not an additive sharing of anything.
    pub fn words(&self) -> &ArithmeticShare {
        &self.words
    }

    /// The range that the share was dealt for.
    pub fn range(&self) -> InputRange {
        self.range
    }

    /// Shape of the shared tensor.
    pub fn shape(&self) -> &[usize] {
        self.words.shape()
    }
}

/// Splits integers of `range`, two's complement, for the three parties. Components 0 and 1 are seeds, component 2
/// travels in full, [`InputRange::bytes`] an element.
///
/// # Errors
/// [`Error::Invalid`] where a number is out of range, or the operating system has no randomness.
pub fn share_ranged(secret: &Tensor<u64>, range: InputRange) -> Result<[Dealt<u64>; 3]> {
    let seeds = [Seed::fresh()?, Seed::fresh()?];
    let [first, second] = seeds.each_ref().map(|seed| range.component(&expand(seed, secret.shape())));
    let known = slice(&first).iter().zip(slice(&second));
    let last = secret.iter().zip(known).map(|(&x, (&a, &b))| range.complete(x as i64, [a, b]));
    let last = last.collect::<Option<Vec<u64>>>();
    let out_of_range = || {
        let reason = format!("has a number beyond +-2^{}, the range of the network's inputs", range.bits);
        Error::invalid("input", reason)
    };
    let [s0, s1] = seeds.map(Component::Seed);
    let components = [s0, s1, Component::Explicit(tensor(secret.shape(), last.ok_or_else(out_of_range)?))];
    Ok(Role::ALL.map(|role| {
        let [own, next] = [role, role.next()].map(|role| components[role.index()].clone());
        Dealt { own, next }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that components stand for.
    fn value(range: InputRange, components: [u64; 3]) -> i64 {
        let sum: u64 = components.iter().map(|&c| range.residue(c)).sum();
        let wraps = components.iter().fold(0, |w, &c| w ^ c >> range.bits);
        1 + sum as i64 - ((wraps as i64) << range.bits)
    }

    #[test]
    fn every_number_of_a_range_has_one_component_for_any_two_others() {
        for bits in 1..=4 {
            let range = InputRange { bits };
            let (largest, components) = (1i64 << bits, 0..1u64 << range.component_bits());
            for (a, b) in components.clone().flat_map(|a| components.clone().map(move |b| (a, b))) {
                let mut found = Vec::new();
                for x in -largest..=largest {
                    let c = range.complete(x, [a, b]).expect("in range");
                    assert!(components.contains(&c));
                    assert_eq!(value(range, [a, b, c]), x);
                    found.push(c);
                }
                found.sort_unstable();
                assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "two numbers have the same components");
                assert_eq!(range.complete(largest + 1, [a, b]), None);
                assert_eq!(range.complete(-largest - 1, [a, b]), None);
            }
        }
    }

    #[test]
    fn no_components_leave_the_reach() {
        for bits in 1..=3 {
            let range = InputRange { bits };
            let all = 0..1u64 << range.component_bits();
            let values = all.clone().flat_map(|a| all.clone().map(move |b| [a, b]));
            let values = values.flat_map(|[a, b]| all.clone().map(move |c| value(range, [a, b, c])));
            let (low, high) = values.fold((0, 0), |(low, high), x| (x.min(low), x.max(high)));
            assert_eq!((low, high), (1 - (3 << bits), (3 << bits) - 2));
            assert!(low.abs().max(high) < range.reach() as i64);
        }
    }

    #[test]
    fn a_range_is_the_least_that_holds() {
        for (magnitude, frac_bits, bits) in
            [(8.0, 16, 19), (8.000001, 16, 19), (8.0001, 16, 20), (3.0, 16, 18), (255.0, 0, 8), (1e-9, 4, 1)]
        {
            let range = InputRange::holding(magnitude, frac_bits);
            assert_eq!(range.bits(), bits, "{magnitude} with {frac_bits} fractional bits");
            assert_eq!(InputRange::within(range.component_bits()), Some(range));
        }
        assert_eq!(InputRange::holding(8.0, 16).bytes(), 3);
        assert_eq!([0, 2, 63].map(InputRange::within), [None; 3]);
    }

    #[test]
    fn shares_are_put_together_again() {
        let range = InputRange { bits: 19 };
        let secret = tensor(&[5], [0i64, 1, -1, 1 << 19, -(1 << 19)].map(|x| x as u64).to_vec());
        let dealt = share_ranged(&secret, range).unwrap();
        let shares = dealt.map(|dealt| RangedShare::from_dealt(&dealt, secret.shape(), range));
        for (i, &x) in secret.iter().enumerate() {
            let components = shares.each_ref().map(|share| slice(share.words().own())[i]);
            assert_eq!(value(range, components), x as i64);
        }
        assert!(shares.iter().zip(shares.iter().cycle().skip(1)).all(|(a, b)| a.words().next() == b.words().own()));
        assert!(share_ranged(&tensor(&[1], vec![(1 << 19) + 1]), range).is_err());
    }
}
