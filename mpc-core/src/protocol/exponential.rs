//! exp, the logistic function and tanh as [`Piecewise`] cubics.
//!
//! | function | between | beyond | intervals | error |
//! |---|---|---|---|---|
//! | exp(min(x, high)), high up to 4 | -11 and high | 0 and exp(high) | 9 to 17 | 4e-5 for high = 0, 5e-4 for 4 |
//! | 1 / (1 + exp(-x)) | -10 and 10 | 0 and 1 | 9 | 1.6e-4 |
//! | tanh x | -5 and 5 | -1 and 1 | 9 | 3e-4 |
//!
//! Errors without the rounding of the result. The tables are made of sums, products and quotients of float64 alone, so
//! that all parties have the same ones: the exponential functions of the system's libraries differ in the last place.

use super::piecewise::Piecewise;

/// Where exp is as good as zero.
const LOWEST: f64 = -11.0;

/// Where the intervals of the logistic function end, but for the signs.
const SIGMOID_ENDS: [f64; 5] = [10.0, 7.0, 4.375, 2.375, 0.875];

/// Where those of tanh end.
const TANH_ENDS: [f64; 5] = [5.0, 3.0, 1.75, 0.9375, 0.3125];

/// The largest `high`.
pub const MAX_HIGH: f64 = 4.0;

/// exp(min(x, `high`)); up to 2^-7 above `high`, rounded up to 8 fractional bits, it may still be exp(x).
///
/// # Panics
/// If `high` is not from 0 to [`MAX_HIGH`].
pub fn exp(high: f64) -> Piecewise {
    assert!((0.0..=MAX_HIGH).contains(&high), "exp up to {MAX_HIGH}");
    let top = natural_exp(high);
    let bits = (0..).find(|&bits| f64::from(1u32 << bits) >= top).expect("below 2^6");
    // The error of a cubic grows with the fourth power of its interval and with exp, and by the cube of the interval
    // where c_3 has few fractional bits.
    let narrower = natural_exp(-high / 8.0);
    let mut ends = vec![high];
    while let Some(&end) = ends.last().filter(|&&end| end > LOWEST) {
        let width = (0.5 * natural_exp((high - end) / 4.0)).min(2.5) * narrower;
        ends.push((end - width).max(LOWEST));
    }
    ends.reverse();
    Piecewise::new(natural_exp, &ends, [0.0, top], bits)
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid() -> Piecewise {
    Piecewise::new(|x| 1.0 / (1.0 + natural_exp(-x)), &both_signs(SIGMOID_ENDS), [0.0, 1.0], 0)
}

/// tanh x = 1 - 2 / (1 + exp(2x)).
pub fn tanh() -> Piecewise {
    Piecewise::new(|x| 1.0 - 2.0 / (1.0 + natural_exp(2.0 * x)), &both_signs(TANH_ENDS), [-1.0, 1.0], 0)
}

fn both_signs(ends: [f64; 5]) -> Vec<f64> {
    ends.iter().map(|end| -end).chain(ends.into_iter().rev()).collect()
}

/// e^x for |x| up to 20: Taylor's series of x / 1024, squared ten times.
fn natural_exp(x: f64) -> f64 {
    let x = x / 1024.0;
    let series = (1..=8).rev().fold(1.0, |sum, k| 1.0 + x / f64::from(k) * sum);
    (0..10).fold(series, |power, _| power * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_the_exponential() {
        for x in (-200..=200).map(|x| f64::from(x) / 10.0) {
            let (series, library) = (natural_exp(x), x.exp());
            assert!((series / library - 1.0).abs() < 1e-12, "exp({x}) = {series}, not {library}");
        }
    }
}
