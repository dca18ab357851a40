//! 1/x, 1/sqrt(x) and sqrt(x).

use serde::{Deserialize, Serialize};

use super::{Approximation, Curve, Function};
use crate::error::{Error, Result};
use crate::model::graph::{Facts, ValueId};
use crate::model::onnx::{Importer, OnnxNode};
use crate::model::op::FloatOp;
use crate::model::passes::Quantizer;
use crate::protocol::piecewise::Piecewise;
use crate::protocol::power::{Exponent, Octaves};

/// A power of max(x, 2^low); the root of a number below 2^low is zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// The power.
    pub exponent: Exponent,
    /// Exponent of the least number that counts as itself.
    pub low: i32,
}

/// Relative error, doubled.
const ERROR: f64 = 8e-6;

/// Most fractional bits of an argument.
const MAX_ARGUMENT_BITS: u32 = 24;

impl Power {
    fn least(self) -> f64 {
        f64::from(self.low).exp2()
    }
}

impl Curve for Power {
    fn name(&self) -> &'static str {
        match self.exponent {
            Exponent::Reciprocal => "Reciprocal",
            Exponent::InverseSqrt => "InverseSqrt",
            Exponent::Sqrt => "Sqrt",
        }
    }

    fn of(&self, x: f64) -> f64 {
        match self.exponent {
            Exponent::Sqrt if x < self.least() => 0.0,
            exponent => exponent.of(x.max(self.least())),
        }
    }

    fn error(&self, largest: f64) -> [f64; 2] {
        [ERROR * largest, 0.0]
    }

    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, x: ValueId) -> Result<(ValueId, Function)> {
        let &Self { exponent, low } = self;
        let lowest = quantizer.range(x).all().low;
        if exponent == Exponent::Reciprocal && lowest < -self.least() {
            let reason = format!(
                "divides by what may be as low as {lowest:.3}, as far as is known; only numbers from 2^{low} on can be \
                 divided by: clip before"
            );
            return Err(Error::model(name, self.name(), reason));
        }
        let facts = quantizer.facts(x);
        // A bit more than needed, because the truncation rounds.
        let excess = match facts.bound.bits {
            bits if bits > Octaves::MAX_HIGH => bits + 1 - Octaves::MAX_HIGH,
            _ => 0,
        };
        let kept = facts.frac_bits.saturating_sub(excess).min(MAX_ARGUMENT_BITS);
        let x = quantizer.lowered(name, x, kept)?;
        let proved = if lowest > self.least() { lowest.log2().floor() as i32 } else { low };
        let low = proved.max(-(quantizer.facts(x).frac_bits as i32));
        Ok((x, Function::Power(Power { exponent, low })))
    }

    fn approximation(&self, argument: &Facts) -> Result<Approximation, String> {
        let &Self { exponent, low } = self;
        let (bits, frac_bits) = (argument.bound.bits, argument.frac_bits);
        let least = low.checked_add(frac_bits as i32).and_then(|low| u32::try_from(low).ok());
        let fits = |&low: &u32| frac_bits <= MAX_ARGUMENT_BITS && low < Octaves::MAX_HIGH;
        let low = least.filter(fits).ok_or_else(|| format!("begins at 2^{low} of {frac_bits} fractional bits"))?;
        let high = bits.max(low + 1);
        if high > Octaves::MAX_HIGH {
            return Err(format!("takes at most {} bits, not {bits}", Octaves::MAX_HIGH));
        }
        Ok(Approximation::Power(exponent, Octaves { low, high }))
    }

    fn table(&self) -> Option<Piecewise> {
        None
    }
}

impl Importer {
    /// Pow: x^p for the few p that need no logarithm.
    pub(in crate::model) fn pow(&mut self, node: &OnnxNode<'_>) -> Result<ValueId> {
        node.only_attributes(&[])?;
        let x = self.batch(node, 0)?;
        let exponent = self.required(node, 1)?;
        let exponent = if exponent.len() == 1 { exponent.sum() } else { f64::NAN };
        match exponent {
            1.0 => Ok(x),
            2.0 => self.push(node, FloatOp::Mul, &[x, x]),
            0.5 => self.function(node, Function::SQRT, x),
            -0.5 => self.function(node, Function::INVERSE_SQRT, x),
            -1.0 => self.function(node, Function::RECIPROCAL, x),
            _ => Err(node.error("is supported for the public exponents 2, 1, 0.5, -0.5 and -1 only")),
        }
    }
}
