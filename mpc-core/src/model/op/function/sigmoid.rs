//! The logistic function.

use super::Function;
use super::exp::natural_exp;
use super::table::{Table, both_signs};
use crate::protocol::piecewise::Piecewise;

/// 1 / (1 + exp(-x)).
pub(super) struct Sigmoid;

/// The magnitudes of the ends of the intervals.
const ENDS: [f64; 5] = [10.0, 7.0, 4.375, 2.375, 0.875];

impl Table for Sigmoid {
    const FUNCTION: Function = Function::Sigmoid;

    const NAME: &'static str = "Sigmoid";

    fn of(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    fn table() -> Piecewise {
        Piecewise::new(|x| 1.0 / (1.0 + natural_exp(-x)), &both_signs(ENDS), [0.0, 1.0], 0)
    }
}
