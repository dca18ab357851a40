//! The error function, of which GELU is made: x / 2 (1 + erf(x / sqrt 2)).

use std::f64::consts::FRAC_2_SQRT_PI;

use super::Function;
use super::exp::natural_exp;
use super::table::{Table, both_signs};
use crate::protocol::piecewise::Piecewise;

/// erf x = 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
pub(super) struct Erf;

/// Where the intervals end, but for the signs.
const ENDS: [f64; 5] = [2.875, 2.0, 1.375, 0.78125, 0.34375];

/// Where erf is 1 to the last place of float64.
const HIGHEST: f64 = 6.0;

/// Enough terms for [`HIGHEST`].
const TERMS: u32 = 160;

impl Table for Erf {
    const FUNCTION: Function = Function::Erf;

    const NAME: &'static str = "Erf";

    fn of(x: f64) -> f64 {
        erf(x)
    }

    fn table() -> Piecewise {
        Piecewise::new(erf, &both_signs(ENDS), [-1.0, 1.0], 0)
    }
}

/// 2 / sqrt(pi) exp(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 5) + ..), a series of positive terms for positive x.
fn erf(x: f64) -> f64 {
    if x.abs() >= HIGHEST {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..TERMS {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * natural_exp(-x * x) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Simpson's rule, with the exponential function of the system.
    #[test]
    fn the_series_is_the_integral() {
        let density = |t: f64| FRAC_2_SQRT_PI * (-t * t).exp();
        let (step, mut integral) = (1.0 / 64.0, 0.0);
        for i in 0..7 * 64 {
            let x = f64::from(i) * step;
            assert!((erf(x) - integral).abs() < 1e-9, "erf({x}) = {}, not {integral}", erf(x));
            assert_eq!(erf(-x), -erf(x));
            integral += step / 6.0 * (density(x) + 4.0 * density(x + step / 2.0) + density(x + step));
        }
    }
}
