//! The hyperbolic tangent.

use super::Function;
use super::exp::natural_exp;
use super::table::{Table, both_signs};
use crate::protocol::piecewise::Piecewise;

/// tanh x = 1 - 2 / (1 + exp(2x)).
pub(super) struct Tanh;

/// The magnitudes of the ends of the intervals.
const ENDS: [f64; 5] = [5.0, 3.0, 1.75, 0.9375, 0.3125];

impl Table for Tanh {
    const FUNCTION: Function = Function::Tanh;

    const NAME: &'static str = "Tanh";

    fn of(x: f64) -> f64 {
        x.tanh()
    }

    fn table() -> Piecewise {
        Piecewise::new(|x| 1.0 - 2.0 / (1.0 + natural_exp(2.0 * x)), &both_signs(ENDS), [-1.0, 1.0], 0)
    }
}
