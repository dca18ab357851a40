//! Bringing shared vectors to length 1.
//!
//! Pi holds (x_i, x_{i+1}) of rows of d integers, |x| < 2^b with 2b + log2 d <= 60. What units they have does not
//! matter.
//!
//! 1. The squares, added up locally for each row: n < 2^60.
//! 2. ... Which of 4, 4^2, .., 4^29 it has reached ([`reached`]). Where 4^j is the last one, 2^(29-j) and 4^(29-j) are
//!    functions of steps, so local.
//! 3. x' = x 2^(29-j), of length 2^29 to 2^30, and n' = n 4^(29-j) in [2^58, 2^60), without any rounding, in one round.
//! 4. ... y = n' / 2^60 in [1/4, 1), and t = (8 y - 5) / 3 in [-1, 1): two truncations, four rounds.
//! 5. ... r = 1 / sqrt(y), a [`polynomial`](fn@polynomial) in t.
//! 6. The product x' r, and 2 rounds to truncate it.
//!
//! An element of the result is within 2^-14 of the real one; a row of zeros stays within a unit of it. Private because
//! its parts are and nothing is opened. Source: Catrina, Saxena, FC'10, section 3.4 (normalisation), with one scale for
//! a row.

use super::compare::Width;
use super::polynomial::{ARGUMENT_BITS, Coefficients, RESULT_BITS, fit, polynomial};
use super::product::mul;
use super::relu::concat;
use super::thresholds::reached;
use super::truncate::truncate;
use crate::error::Result;
use crate::party::Party;
use crate::ring::{Tensor, fixed::FRAC_BITS};
use crate::sharing::{ArithmeticShare, slice, tensor};

/// Bits of a sum of squares.
const SQUARES: u32 = 60;

/// Fractional bits of y.
const FRACTION: u32 = 28;

/// Fractional bits of 8 / 3.
const SLOPE_BITS: u32 = 20;

/// Largest b for rows of d elements.
pub fn max_bits(d: usize) -> u32 {
    (SQUARES - d.next_power_of_two().ilog2()) / 2
}

/// Each row of `x`, `[rows, d]`, divided by its length: 16 fractional bits, whatever those of `x`. |x| < 2^bits. 26
/// rounds with those of a comparison of 62 bits; 35 bytes an element, and about 1 kB a row.
///
/// # Panics
/// If `x` is no matrix, or `bits` exceeds [`max_bits`].
pub fn unit(party: &mut Party, x: &ArithmeticShare, bits: u32) -> Result<ArithmeticShare> {
    let &[n, d] = x.shape() else { panic!("vectors are rows") };
    assert!(bits <= max_bits(d), "vectors of {d} elements of at most {} bits, not {bits}", max_bits(d));
    let role = party.role();
    let squares = mul(party, x, x)?.map(|t| sums(t, d));
    let steps = SQUARES / 2 - 1;
    let powers: Vec<i64> = (1..=steps).map(|j| 1 << (2 * j)).collect();
    let reached = reached(party, &squares, &powers, Width::exact(SQUARES + 1))?;
    let scales = |base: u32| (0..=steps).map(|j| 1 << (base * (steps - j))).collect::<Vec<u64>>();
    let (lengths, areas) = (reached.choose(role, &scales(1)), reached.choose(role, &scales(2)));

    let scaled = mul(party, &concat(&[x, &squares]), &concat(&[&lengths.map(|t| repeat(t, d)), &areas]))?;
    let long = scaled.map(|t| tensor(&[n, d], slice(t)[..n * d].to_vec()));
    let y = truncate(party, &scaled.map(|t| tensor(&[n], slice(t)[n * d..].to_vec())), SQUARES - FRACTION)?;

    let at = |value: f64, frac_bits: u32| (value * f64::from(frac_bits).exp2()).round() as i64 as u64;
    let bits = FRACTION + SLOPE_BITS;
    let t = y.scale(at(8.0 / 3.0, SLOPE_BITS)).add_constant(role, at(-5.0 / 3.0, bits));
    let t = truncate(party, &t, bits - ARGUMENT_BITS)?;
    let root = polynomial(party, &t, &coefficients())?;
    let product = mul(party, &long, &root.map(|t| repeat(t, d)).reshape(&[n, d]))?;
    truncate(party, &product, SQUARES / 2 + RESULT_BITS - FRAC_BITS)
}

/// The coefficients of 1 / sqrt(y) in t = (8 y - 5) / 3.
fn coefficients() -> Coefficients {
    fit(|t| 1.0 / ((3.0 * t + 5.0) / 8.0).sqrt())
}

/// The sum of each row of d elements.
fn sums(t: &Tensor<u64>, d: usize) -> Tensor<u64> {
    let sum = |row: &[u64]| row.iter().fold(0u64, |sum, &x| sum.wrapping_add(x));
    tensor(&[t.len() / d], slice(t).chunks_exact(d).map(sum).collect())
}

/// Each element d times.
fn repeat(t: &Tensor<u64>, d: usize) -> Tensor<u64> {
    tensor(&[t.len() * d], slice(t).iter().flat_map(|&x| std::iter::repeat_n(x, d)).collect())
}
