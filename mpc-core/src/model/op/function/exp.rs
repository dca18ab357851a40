//! The exponential function.

use serde::{Deserialize, Serialize};

use super::{Approximation, Curve, Function, table};
use crate::error::{Error, Result};
use crate::model::graph::{Facts, ValueId};
use crate::model::passes::Quantizer;
use crate::protocol::piecewise::Piecewise;

/// exp(min(x, `high`)); up to 2^-7 above `high`, rounded up to 8 fractional bits, it may still be exp(x).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exp {
    /// From 0 to [`Exp::MAX_HIGH`] in a ring graph; a float graph may say infinity, for what x can reach.
    pub high: f64,
}

/// Error of exp(min(x, 0)); where the upper end is larger, more.
const ERROR: f64 = 5e-5;

/// exp(2^-7) - 1: a little above its upper end exp may still go on.
const OVERSHOOT: f64 = 0.00785;

/// Where exp is as good as zero.
const LOWEST: f64 = -11.0;

impl Exp {
    /// The largest `high`.
    pub const MAX_HIGH: f64 = 4.0;
}

impl Curve for Exp {
    fn name(&self) -> &'static str {
        "Exp"
    }

    fn of(&self, x: f64) -> f64 {
        x.min(self.high).exp()
    }

    fn error(&self, _: f64) -> [f64; 2] {
        [ERROR * (0.6 * self.high).exp(), OVERSHOOT * self.high.exp()]
    }

    fn quantize(&self, quantizer: &mut Quantizer<'_>, name: &str, x: ValueId) -> Result<(ValueId, Function)> {
        // What is public is rounded up.
        let high = self.high.min(quantizer.range(x).all().high.max(0.0).ceil());
        if high > Self::MAX_HIGH {
            let reason = format!(
                "is computed up to {}, but its argument may be {high}: clip before, or calibrate with samples",
                Self::MAX_HIGH
            );
            return Err(Error::model(name, self.name(), reason));
        }
        Ok((table::argument(quantizer, name, x)?, Function::Exp(Exp { high })))
    }

    fn approximation(&self, argument: &Facts) -> Result<Approximation, String> {
        let refuse = || format!("has the upper end {}, not 0 to {}", self.high, Self::MAX_HIGH);
        table::approximation(self.table().ok_or_else(refuse)?, argument)
    }

    fn table(&self) -> Option<Piecewise> {
        let high = self.high;
        if !(0.0..=Self::MAX_HIGH).contains(&high) {
            return None;
        }
        let top = natural_exp(high);
        let bits = (0..).find(|&bits| f64::from(1u32 << bits) >= top).expect("below 2^6");
        // The error of a cubic grows with the fourth power of its interval and with exp, and by the cube of the
        // interval where c_3 has few fractional bits.
        let narrower = natural_exp(-high / 8.0);
        let mut ends = vec![high];
        while let Some(&end) = ends.last().filter(|&&end| end > LOWEST) {
            let width = (0.5 * natural_exp((high - end) / 4.0)).min(2.5) * narrower;
            ends.push((end - width).max(LOWEST));
        }
        ends.reverse();
        Some(Piecewise::new(natural_exp, &ends, [0.0, top], bits))
    }
}

/// e^x for |x| up to 36: Taylor's series of x / 1024, squared ten times.
pub(super) fn natural_exp(x: f64) -> f64 {
    let x = x / 1024.0;
    let series = (1..=8).rev().fold(1.0, |sum, k| 1.0 + x / f64::from(k) * sum);
    (0..10).fold(series, |power, _| power * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_the_exponential() {
        for x in (-360..=360).map(|x| f64::from(x) / 10.0) {
            let (series, library) = (natural_exp(x), x.exp());
            assert!((series / library - 1.0).abs() < 1e-12, "exp({x}) = {series}, not {library}");
        }
    }
}
