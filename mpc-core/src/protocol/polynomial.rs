//! A polynomial of degree 8 with public coefficients, for |t| <= 1.
//!
//! Pi holds (t_i, t_{i+1}), 30 fractional bits.
//!
//! 1. t^2.
//! 2. and 3. t and t^2 are cut to 20 fractional bits ([`truncate`](fn@truncate)).
//! 4. t^3 = t^2 t and t^4 = t^2 t^2.
//! 5. and 6. Both are cut to 20 fractional bits.
//! 7. t^4 (c_4 + .. + c_8 t^4): the rest of the sum is local.
//! 8. and 9. The sum is cut from 60 to 28 fractional bits.
//!
//! A power is off by at most 2^-18.6 (1.5 units of each truncation before it), so the result by 2^-18.6 times the sum
//! of
//! |c_2| to |c_8|, and by 2^-21 for each of c_4 to c_8, which are rounded to 20 fractional bits. Private because its
//! parts are and nothing is opened. Source: Paterson, Stockmeyer, SIAM J. Comput. 2 (1973); Catrina, Saxena, FC'10, for
//! fixed point.

use super::cost::Cost;
use super::product::mul;
use super::relu::concat;
use super::rows;
use super::truncate::{self, truncate};
use crate::error::Result;
use crate::party::Party;
use crate::sharing::ArithmeticShare;

/// Fractional bits of the argument.
pub const ARGUMENT_BITS: u32 = 30;

/// Fractional bits of the result.
pub const RESULT_BITS: u32 = 28;

/// Fractional bits of the powers of the argument.
const POWER_BITS: u32 = 20;

/// Fractional bits of the sum before it is cut.
const SUM_BITS: u32 = 60;

/// The coefficients, constant first.
pub type Coefficients = [f64; 9];

/// The sum of c_k t^k, elementwise. 9 rounds; 69 bytes and 9 bits.
///
/// # Panics
/// Never, but the result is wrong where |t| > 1 or the magnitudes of the c_k add up to 4.
pub fn polynomial(party: &mut Party, t: &ArithmeticShare, c: &Coefficients) -> Result<ArithmeticShare> {
    let square = mul(party, t, t)?;
    let both = concat(&[&t.scale(1 << ARGUMENT_BITS), &square]);
    let low = rows::parts(&truncate(party, &both, 2 * ARGUMENT_BITS - POWER_BITS)?, t.shape());
    let [t1, t2] = &low[..] else { unreachable!("two parts") };
    let both = mul(party, &concat(&[t2, t2]), &concat(&[t1, t2]))?;
    let high = rows::parts(&truncate(party, &both, POWER_BITS)?, t.shape());
    let [t3, t4] = &high[..] else { unreachable!("two parts") };

    let role = party.role();
    let sum = |terms: [(&ArithmeticShare, f64, u32); 3], constant: u64| {
        let [first, second, third] = terms.map(|(power, c, frac_bits)| power.scale(encode(c, frac_bits)));
        first.add(&second).add(&third).add_constant(role, constant)
    };
    let cofactor_bits = SUM_BITS - POWER_BITS;
    let low = sum(
        [(t, c[1], SUM_BITS - ARGUMENT_BITS), (t2, c[2], cofactor_bits), (t3, c[3], cofactor_bits)],
        encode(c[0], SUM_BITS),
    );
    let high =
        sum([(t1, c[5], POWER_BITS), (t2, c[6], POWER_BITS), (t3, c[7], POWER_BITS)], encode(c[4], cofactor_bits))
            .add(&t4.scale(encode(c[8], POWER_BITS)));
    let sum = low.add(&mul(party, t4, &high)?);
    truncate(party, &sum, SUM_BITS - RESULT_BITS)
}

/// Cost of [`polynomial`] for n arguments.
pub fn cost(n: usize) -> Cost {
    Cost::round(3 * n, u64::BITS)
        + truncate::cost(2 * n, 2 * ARGUMENT_BITS - POWER_BITS)
        + Cost::round(6 * n, u64::BITS)
        + truncate::cost(2 * n, POWER_BITS)
        + Cost::round(3 * n, u64::BITS)
        + truncate::cost(n, SUM_BITS - RESULT_BITS)
}

/// round(c 2^frac_bits) as a ring element.
pub(super) fn encode(c: f64, frac_bits: u32) -> u64 {
    (c * (1u64 << frac_bits) as f64).round() as i64 as u64
}

/// Coefficients, constant first, of the polynomial with the values of f at `nodes`: divided differences (Newton). Made
/// of sums, products and quotients of float64 alone, which are the same on every machine.
pub(super) fn interpolate<const N: usize>(nodes: [f64; N], f: impl Fn(f64) -> f64) -> [f64; N] {
    let mut differences = nodes.map(f);
    for order in 1..N {
        for i in (order..N).rev() {
            differences[i] = (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - order]);
        }
    }
    // Horner's rule on polynomials: multiply by (t - node), add the difference.
    let mut coefficients = [0.0; N];
    for (difference, node) in differences.into_iter().zip(nodes).rev() {
        for k in (1..N).rev() {
            coefficients[k] = coefficients[k - 1] - node * coefficients[k];
        }
        coefficients[0] = difference - node * coefficients[0];
    }
    coefficients
}

/// The magnitudes of the zeros of the Chebyshev polynomial of degree 9: cos(10 degrees), cos(30), cos(50), cos(70).
const CHEBYSHEV_9: [f64; 4] = [0.984807753012208, 0.8660254037844386, 0.6427876096865394, 0.3420201433256687];

/// Coefficients that come close to f on [-1, 1]: the interpolant at Chebyshev's nodes.
pub(super) fn fit(f: impl Fn(f64) -> f64) -> Coefficients {
    let [a, b, c, d] = CHEBYSHEV_9;
    interpolate([-a, -b, -c, -d, 0.0, d, c, b, a], f)
}
