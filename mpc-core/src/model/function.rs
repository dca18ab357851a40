//! Functions of one number that no sum of products is: the parties approximate them.

use serde::{Deserialize, Serialize};

use super::graph::Facts;
use crate::protocol::exponential::{self, exp, sigmoid, tanh};
use crate::protocol::piecewise::{self, Argument, Piecewise};
use crate::protocol::power::{Exponent, Octaves};

/// A function that is applied to each element. Where it stops being what its name says is part of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Function {
    /// A power of max(x, 2^low); the root of a number below 2^low is zero.
    Power {
        /// Which.
        exponent: Exponent,
        /// Exponent of the least number that counts as itself.
        low: i32,
    },
    /// exp(min(x, high)).
    Exp {
        /// From 0 to [`exponential::MAX_HIGH`] in a graph; a network may say infinity, for what x can reach.
        high: f64,
    },
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// tanh x.
    Tanh,
}

/// Most fractional bits of a result.
const MAX_RESULT_BITS: u32 = 24;

/// How the parties compute a function of a value.
pub(crate) enum Approximation {
    /// A power.
    Power(Exponent, Octaves),
    /// A table.
    Piecewise(Piecewise, Argument),
}

impl Function {
    /// 1/x down to 2^-8.
    pub const RECIPROCAL: Self = Self::Power { exponent: Exponent::Reciprocal, low: -8 };

    /// 1/sqrt(x) down to 2^-16.
    pub const INVERSE_SQRT: Self = Self::Power { exponent: Exponent::InverseSqrt, low: -16 };

    /// sqrt(x), zero below 2^-16.
    pub const SQRT: Self = Self::Power { exponent: Exponent::Sqrt, low: -16 };

    /// Short name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Function::Power { exponent: Exponent::Reciprocal, .. } => "Reciprocal",
            Function::Power { exponent: Exponent::InverseSqrt, .. } => "InverseSqrt",
            Function::Power { exponent: Exponent::Sqrt, .. } => "Sqrt",
            Function::Exp { .. } => "Exp",
            Function::Sigmoid => "Sigmoid",
            Function::Tanh => "Tanh",
        }
    }

    /// The function of a real number.
    pub(crate) fn of(self, x: f64) -> f64 {
        match self {
            Function::Power { exponent: Exponent::Sqrt, low } if x < f64::from(low).exp2() => 0.0,
            Function::Power { exponent, low } => exponent.of(x.max(f64::from(low).exp2())),
            Function::Exp { high } => x.min(high).exp(),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Function::Tanh => x.tanh(),
        }
    }

    /// Bounds of what the parties compute for a number between `low` and `high`; `ulp` is the last place of the result.
    pub(super) fn range(self, [low, high]: [f64; 2], ulp: f64) -> [f64; 2] {
        // All of them are monotone.
        let (a, b) = (self.of(low), self.of(high));
        let largest = a.abs().max(b.abs());
        let [error, overshoot] = match self {
            Function::Power { .. } => [POWER_ERROR * largest, 0.0],
            Function::Exp { high } => [EXP_ERROR * (0.6 * high).exp(), EXP_OVERSHOOT * high.exp()],
            Function::Sigmoid | Function::Tanh => [TABLE_ERROR, 0.0],
        };
        let error = error + 2.0 * ulp;
        [a.min(b) - error, a.max(b) + error + overshoot]
    }

    /// How the parties compute it of a value of which `argument` is known.
    ///
    /// # Errors
    /// Why they cannot.
    pub(crate) fn approximation(self, argument: &Facts, result_bits: u32) -> Result<Approximation, String> {
        let (bits, frac_bits) = (argument.bound.bits, argument.frac_bits);
        if result_bits > MAX_RESULT_BITS {
            return Err(format!(
                "has a result of {result_bits} fractional bits; at most {MAX_RESULT_BITS} are possible"
            ));
        }
        let table = match self {
            Function::Power { exponent, low } => {
                let least = low.checked_add(frac_bits as i32).and_then(|low| u32::try_from(low).ok());
                let fits = |&low: &u32| frac_bits <= MAX_RESULT_BITS && low < Octaves::MAX_HIGH;
                let low =
                    least.filter(fits).ok_or_else(|| format!("begins at 2^{low} of {frac_bits} fractional bits"))?;
                let high = bits.max(low + 1);
                if high > Octaves::MAX_HIGH {
                    return Err(format!("takes at most {} bits, not {bits}", Octaves::MAX_HIGH));
                }
                return Ok(Approximation::Power(exponent, Octaves { low, high }));
            }
            Function::Exp { high } if !(0.0..=exponential::MAX_HIGH).contains(&high) => {
                return Err(format!("has the upper end {high}, not 0 to {}", exponential::MAX_HIGH));
            }
            Function::Exp { high } => exp(high),
            Function::Sigmoid => sigmoid(),
            Function::Tanh => tanh(),
        };
        let raised = piecewise::ARGUMENT_BITS.checked_sub(frac_bits).map(|raise| bits.saturating_add(raise));
        match raised {
            Some(bits) if bits <= piecewise::MAX_BITS => {
                Ok(Approximation::Piecewise(table, Argument { bits, frac_bits }))
            }
            _ => Err(format!(
                "takes at most {} bits, {} of them fractional, not {bits} and {frac_bits}",
                piecewise::MAX_BITS,
                piecewise::ARGUMENT_BITS
            )),
        }
    }
}

/// Relative error of a power, doubled.
const POWER_ERROR: f64 = 8e-6;

/// Error of exp(min(x, 0)); where the upper end is larger, more.
const EXP_ERROR: f64 = 5e-5;

/// exp(2^-7) - 1: a little above its upper end exp may still go on.
const EXP_OVERSHOOT: f64 = 0.00785;

/// Error of sigmoid and tanh.
const TABLE_ERROR: f64 = 4e-4;

impl Approximation {
    /// With how many public numbers each element is compared at once.
    pub(crate) fn thresholds(&self) -> usize {
        match self {
            Approximation::Power(_, octaves) => (octaves.high - octaves.low) as usize,
            Approximation::Piecewise(table, _) => table.ends(),
        }
    }
}
