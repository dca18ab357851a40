//! 1/x, 1/sqrt(x) and sqrt(x) of a positive number.
//!
//! Pi holds (x_i, x_{i+1}) of an integer X, which stands for X / 2^f; 2^low <= X < 2^high is public.
//!
//! 1. ... Which of the powers of two 2^low, .., 2^(high-1) X has reached ([`reached`]). Where 2^j is the last one, let
//!    s = 2^(29-j) and r = 2^(e (j+1-f)) for the exponent e: functions of steps, so local.
//! 2. Y = X s, which lies in [2^29, 2^30) without any rounding: X / 2^f = y 2^(j+1-f) with y = Y / 2^30 in [1/2, 1).
//! 3. ... y^e by a [`polynomial`](fn@polynomial) in 4 y - 3, which is off by less than 2^-20.
//! 4. The product with r, and 2 rounds to truncate it.
//!
//! Below 2^low s is zero, so that Y is; 2^29 is put in its place, and r is that of 2^low, or zero for the root. So
//! smaller numbers, and negative ones, count as 2^low, and their root is zero. Private because its parts are and
//! nothing is opened. Source: Catrina, Saxena, FC'10, section 3.4 (normalisation); Aly, Smart, ACNS'19 (roots).

use super::compare::Width;
use super::cost::Cost;
use super::polynomial::{self, ARGUMENT_BITS, Coefficients, RESULT_BITS, fit, polynomial};
use super::product::mul;
use super::thresholds::{self, reached};
use super::truncate::{self, truncate};
use crate::error::Result;
use crate::party::Party;
use crate::sharing::ArithmeticShare;

use serde::{Deserialize, Serialize};

/// Which power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exponent {
    /// 1/x.
    Reciprocal,
    /// 1/sqrt(x).
    InverseSqrt,
    /// sqrt(x).
    Sqrt,
}

/// What is known of the ring integer X: 2^low <= X < 2^high, or that it counts as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octaves {
    /// Where the lowest octave begins.
    pub low: u32,
    /// Where the highest octave ends: at most [`Octaves::MAX_HIGH`].
    pub high: u32,
}

impl Octaves {
    /// The largest `high`.
    pub const MAX_HIGH: u32 = ARGUMENT_BITS;

    fn count(self) -> usize {
        (self.high - self.low) as usize
    }

    fn width(self) -> Width {
        Width::exact(self.high + 1)
    }
}

impl Exponent {
    /// The power of a real number, and of zero for a root.
    pub fn of(self, x: f64) -> f64 {
        match self {
            Exponent::Reciprocal => 1.0 / x,
            Exponent::InverseSqrt => 1.0 / x.sqrt(),
            Exponent::Sqrt => x.sqrt(),
        }
    }

    /// Twice the exponent of the power of two^`octave`.
    fn halves(self, octave: i32) -> i32 {
        match self {
            Exponent::Reciprocal => -2 * octave,
            Exponent::InverseSqrt => -octave,
            Exponent::Sqrt => octave,
        }
    }

    fn coefficients(self) -> Coefficients {
        fit(|t| self.of((t + 3.0) / 4.0))
    }
}

/// What r is for each octave, and its fractional bits.
struct Factors {
    values: Vec<u64>,
    frac_bits: u32,
}

impl Factors {
    fn new(exponent: Exponent, octaves: Octaves, frac_bits: u32) -> Self {
        let halves = |j: u32| exponent.halves(j as i32 + 1 - frac_bits as i32);
        let largest = (halves(octaves.low).max(halves(octaves.high - 1)) + 1).div_euclid(2);
        // The product with a power up to 2 stays within 2^60.
        let frac_bits = (SUM_BITS as i32 - 1 - RESULT_BITS as i32 - largest).clamp(0, MAX_FACTOR_BITS);
        let value = |j: u32| {
            let (whole, half) = (halves(j).div_euclid(2), halves(j).rem_euclid(2));
            let root = if half == 1 { std::f64::consts::SQRT_2 } else { 1.0 };
            (root * 2f64.powi(whole + frac_bits)).round() as u64
        };
        let below = if exponent == Exponent::Sqrt { 0 } else { value(octaves.low) };
        let values = std::iter::once(below).chain((octaves.low..octaves.high).map(value)).collect();
        Self { values, frac_bits: frac_bits as u32 }
    }
}

/// Bits of the product before it is truncated.
const SUM_BITS: u32 = 60;

/// Most fractional bits of a factor, so that what is truncated fits.
const MAX_FACTOR_BITS: i32 = 31;

/// x^e with `result_bits` fractional bits (at most 24), for x with `frac_bits` of them. Rounds: those of a comparison
/// of high + 2 bits and 14; bytes: 96 and 10 bits, and for each octave a comparison, 8 and 1 bit. Error: 2^-18.5 of the
/// result, and 1.5 units of its last place.
///
/// # Panics
/// If the octaves are none or end above [`Octaves::MAX_HIGH`].
pub fn power(
    party: &mut Party,
    x: &ArithmeticShare,
    exponent: Exponent,
    octaves: Octaves,
    frac_bits: u32,
    result_bits: u32,
) -> Result<ArithmeticShare> {
    let Octaves { low, high } = octaves;
    assert!(low < high && high <= Octaves::MAX_HIGH, "numbers of up to {} bits", Octaves::MAX_HIGH);
    let powers: Vec<i64> = (low..high).map(|j| 1 << j).collect();
    let reached = reached(party, x, &powers, octaves.width())?;

    let role = party.role();
    let least = 1u64 << (ARGUMENT_BITS - 1);
    let scales: Vec<u64> = std::iter::once(0).chain((low..high).map(|j| least >> j)).collect();
    let instead: Vec<u64> = std::iter::once(least).chain(std::iter::repeat_n(0, octaves.count())).collect();
    let y = mul(party, x, &reached.choose(role, &scales))?.add(&reached.choose(role, &instead));

    let t = y.scale(4).add_constant(role, (3u64 << ARGUMENT_BITS).wrapping_neg());
    let power = polynomial(party, &t, &exponent.coefficients())?;
    let factors = Factors::new(exponent, octaves, frac_bits);
    let product = mul(party, &power, &reached.choose(role, &factors.values))?;
    truncate(party, &product, RESULT_BITS + factors.frac_bits - result_bits)
}

/// Cost of [`power`] of n numbers.
pub fn cost(n: usize, exponent: Exponent, octaves: Octaves, frac_bits: u32, result_bits: u32) -> Cost {
    let dropped = RESULT_BITS + Factors::new(exponent, octaves, frac_bits).frac_bits - result_bits;
    let product = Cost::round(3 * n, u64::BITS);
    let reached = thresholds::cost(n, octaves.count(), octaves.width());
    reached + product + polynomial::cost(n) + product + truncate::cost(n, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All parties must compute with the same integers, whatever machine they run on.
    #[test]
    fn coefficients_are_the_same_everywhere() {
        let encoded = |exponent: Exponent| exponent.coefficients().map(|c| polynomial::encode(c, 40) as i64);
        let reciprocal = [
            1466015503701,
            -488668434803,
            162889478268,
            -54341822939,
            18113940980,
            -5874791669,
            1958263890,
            -870339507,
            290113169,
        ];
        let inverse_sqrt = [
            1269606668547,
            -211600578668,
            52900108801,
            -14701571169,
            4288138968,
            -1260911229,
            384987796,
            -153187172,
            48016849,
        ];
        let sqrt =
            [952205001410, 158700811113, -13225063066, 2204475798, -459288566, 106094212, -26486960, 8366048, -2284156];
        assert_eq!(encoded(Exponent::Reciprocal), reciprocal);
        assert_eq!(encoded(Exponent::InverseSqrt), inverse_sqrt);
        assert_eq!(encoded(Exponent::Sqrt), sqrt);
    }
}
