//! Functions that are [`Piecewise`] cubics.
//!
//! | function | between | beyond | intervals | error |
//! |---|---|---|---|---|
//! | exp(min(x, high)), high up to 4 | -11 and high | 0 and exp(high) | 9 to 17 | 4e-5 for high = 0, 5e-4 for 4 |
//! | 1 / (1 + exp(-x)) | -10 and 10 | 0 and 1 | 9 | 1.6e-4 |
//! | tanh x | -5 and 5 | -1 and 1 | 9 | 3e-4 |
//! | erf x | -2.875 and 2.875 | -1 and 1 | 9 | 9e-5 |
//!
//! Errors without the rounding of the result. The tables are made of sums, products and quotients of float64 alone, so
//! that all parties have the same ones: the exponential functions of the system's libraries differ in the last place.

use super::{Approximation, Curve, Function};
use crate::error::Result;
use crate::model::graph::{Facts, ValueId};
use crate::model::passes::Quantizer;
use crate::protocol::piecewise::{ARGUMENT_BITS, Argument, MAX_BITS, Piecewise};

/// A piecewise cubic function that takes any number.
pub(super) trait Table {
    /// The function, as it is registered.
    const FUNCTION: Function;

    /// Short name for messages.
    const NAME: &'static str;

    /// The function of a real number.
    fn of(x: f64) -> f64;

    /// The cubics.
    fn table() -> Piecewise;
}

/// How far a table may be off.
const ERROR: f64 = 4e-4;

impl<T: Table> Curve for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn of(&self, x: f64) -> f64 {
        T::of(x)
    }

    fn error(&self, _: f64) -> [f64; 2] {
        [ERROR, 0.0]
    }

    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, x: ValueId) -> Result<(ValueId, Function)> {
        Ok((argument(quantizer, name, x)?, T::FUNCTION))
    }

    fn approximation(&self, argument: &Facts) -> Result<Approximation, String> {
        approximation(T::table(), argument)
    }

    fn table(&self) -> Option<Piecewise> {
        Some(T::table())
    }
}

/// The value with no more fractional bits than a table takes.
pub(super) fn argument(quantizer: &mut Quantizer<'_>, name: &str, x: ValueId) -> Result<ValueId> {
    quantizer.lowered(name, x, quantizer.activation_bits().min(ARGUMENT_BITS))
}

/// `table` applied to a value with these facts.
pub(super) fn approximation(table: Piecewise, argument: &Facts) -> Result<Approximation, String> {
    let (bits, frac_bits) = (argument.bound.bits, argument.frac_bits);
    let raised = ARGUMENT_BITS.checked_sub(frac_bits).map(|raise| bits.saturating_add(raise));
    match raised {
        Some(bits) if bits <= MAX_BITS => Ok(Approximation::Piecewise(table, Argument { bits, frac_bits })),
        _ => Err(format!(
            "takes at most {MAX_BITS} bits, {ARGUMENT_BITS} of them fractional, not {bits} and {frac_bits}"
        )),
    }
}

/// Ends on both sides of zero, from the positive ones, descending.
pub(super) fn both_signs(ends: [f64; 5]) -> Vec<f64> {
    ends.iter().map(|end| -end).chain(ends.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Exp;
    use super::*;

    /// All parties must compute with the same integers, whatever machine they run on.
    #[test]
    fn tables_are_the_same_everywhere() {
        let exp = |high| Function::Exp(Exp { high });
        let digests = [exp(0.0), exp(2.5), Function::Sigmoid, Function::Tanh, Function::Erf].map(|function| {
            let digest = function.table().expect("a table").digest();
            digest[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        assert_eq!(digests, ["8a19f1b3c0bd", "92322daa4b5f", "2313fb4b5f82", "b4f045517bdc", "b1170bd9975d"]);
    }
}
