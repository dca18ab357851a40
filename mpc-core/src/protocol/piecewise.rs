//! A function that is a cubic on each of several intervals, and constant beyond them.
//!
//! Pi holds (x_i, x_{i+1}), 16 fractional bits. The ends of the intervals, and for each interval its centre and the
//! coefficients c_0 to c_3 of the cubic in u = x - centre, are public; which interval x is in is not.
//!
//! 1. ... Which ends x has reached ([`reached`]). Centre and coefficients are step functions of x, so their sharings
//!    are local, and so is u.
//! 2. u^2, c_1 u and c_3 u.
//! 3. u^2 (c_2 + c_3 u).
//! 4. and 5. The sum c_0 + c_1 u + u^2 (c_2 + c_3 u) is truncated.
//!
//! Nothing is rounded on the way, so coefficients have fewer fractional bits for higher powers. Beyond the ends u may
//! be anything, even wrap around, since c_1, c_2 and c_3 are zero. Ends are compared without the 8 lowest bits: each
//! cubic serves up to 2^-7 beyond the upper end of its interval. Private because its parts are and nothing is opened.
//! Source: Mohassel, Zhang, S&P'17, section 5.3 (piecewise activations); Knott et al., NeurIPS'21, for what is
//! approximated.

use super::compare::Width;
use super::cost::Cost;
use super::polynomial::{encode, interpolate};
use super::product::mul;
use super::relu::concat;
use super::rows;
use super::thresholds::{self, reached};
use super::truncate::{self, truncate};
use crate::error::Result;
use crate::party::Party;
use crate::sharing::ArithmeticShare;

/// Fractional bits of the argument.
pub const ARGUMENT_BITS: u32 = 16;

/// Most bits of an argument.
pub const MAX_BITS: u32 = 60;

/// Fractional bits of the argument that are compared with the ends.
const END_BITS: u32 = 8;

/// Most bits of a sum before it is truncated.
const SUM_BITS: u32 = 61;

/// The public description of such a function: where the intervals end, and a value for each of them and for both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piecewise {
    ends: Vec<i64>,
    centres: Vec<u64>,
    coefficients: [Vec<u64>; 4],
    /// The fractional bits of c_0; c_k has 16 k fewer.
    frac_bits: u32,
}

/// cos(pi / 8) and cos(3 pi / 8): the magnitudes of the zeros of the Chebyshev polynomial of degree 4.
const CHEBYSHEV_4: [f64; 2] = [0.9238795325112867, 0.3826834323650898];

impl Piecewise {
    /// Comes close to f between the ends, ascending, by interpolation at Chebyshev's nodes; `below` and `above` beyond
    /// them. The ends are rounded up to 8 fractional bits; magnitudes of all values are at most 2^`bits`.
    pub(crate) fn new(f: impl Fn(f64) -> f64, ends: &[f64], [below, above]: [f64; 2], bits: u32) -> Self {
        let unit = f64::from(1u32 << ARGUMENT_BITS);
        let frac_bits = SUM_BITS - bits;
        let compared = f64::from(1u32 << END_BITS);
        let whole = |end: &f64| ((end * compared).ceil() as i64) << (ARGUMENT_BITS - END_BITS);
        let ends: Vec<i64> = ends.iter().map(whole).collect();
        let mut table = Self { ends, centres: Vec::new(), coefficients: Default::default(), frac_bits };
        table.push(0, [below, 0.0, 0.0, 0.0]);
        for piece in 1..table.ends.len() {
            let (from, to) = (table.ends[piece - 1], table.ends[piece]);
            let centre = (from + to) / 2;
            let half = (to - from) as f64 / 2.0 / unit;
            let [a, b] = CHEBYSHEV_4;
            let mut coefficients = interpolate([-a, -b, b, a], |t| f(centre as f64 / unit + half * t));
            let mut scale = 1.0;
            for c in &mut coefficients {
                *c /= scale;
                scale *= half;
            }
            // What c_3 loses by its few fractional bits is mostly made up for by c_1: t^3 is 3/4 t + T_3(t) / 4.
            let cubic_unit = (1u64 << (frac_bits - 3 * ARGUMENT_BITS)) as f64;
            let lost = coefficients[3] - (coefficients[3] * cubic_unit).round() / cubic_unit;
            coefficients[1] += 0.75 * lost * half * half;
            table.push(centre, coefficients);
        }
        table.push(0, [above, 0.0, 0.0, 0.0]);
        table
    }

    fn push(&mut self, centre: i64, coefficients: [f64; 4]) {
        self.centres.push(centre as u64);
        for (k, c) in coefficients.into_iter().enumerate() {
            self.coefficients[k].push(encode(c, self.frac_bits - k as u32 * ARGUMENT_BITS));
        }
    }

    /// The function of each element of x, |x| < 2^`bits` with up to 16 fractional bits, with `result_bits` of them
    /// (at most 24). Rounds: those of a comparison and 5; bytes: 43 and 2 bits, and for each end a comparison, 8 and
    /// 1 bit.
    ///
    /// # Panics
    /// If x may have more than [`MAX_BITS`] bits, once it has 16 fractional ones.
    pub fn evaluate(
        &self,
        party: &mut Party,
        x: &ArithmeticShare,
        argument: Argument,
        result_bits: u32,
    ) -> Result<ArithmeticShare> {
        let x = x.scale(1 << (ARGUMENT_BITS - argument.frac_bits));
        let reached = reached(party, &x, &self.ends, self.width(argument))?;
        let role = party.role();
        let [c0, c1, c2, c3] = self.coefficients.each_ref().map(|c| reached.choose(role, c));
        let u = x.sub(&reached.choose(role, &self.centres));
        let products = mul(party, &concat(&[&u, &u, &u]), &concat(&[&u, &c1, &c3]))?;
        let products = rows::parts(&products, x.shape());
        let [square, linear, cubic] = &products[..] else { unreachable!("three parts") };
        let sum = mul(party, square, &c2.add(cubic))?.add(linear).add(&c0);
        truncate(party, &sum, self.frac_bits - result_bits)
    }

    /// Cost of [`evaluate`](Self::evaluate) for n numbers.
    pub fn cost(&self, n: usize, argument: Argument, result_bits: u32) -> Cost {
        thresholds::cost(n, self.ends.len(), self.width(argument))
            + Cost::round(9 * n, u64::BITS)
            + Cost::round(3 * n, u64::BITS)
            + truncate::cost(n, self.frac_bits - result_bits)
    }

    /// Names the integers of the table: all parties must have the same ones.
    #[cfg(test)]
    pub(crate) fn digest(&self) -> crate::session::Id {
        use sha2::{Digest, Sha256};

        let mut hash = Sha256::new();
        self.ends.iter().for_each(|end| hash.update(end.to_le_bytes()));
        let rows = std::iter::once(&self.centres).chain(&self.coefficients);
        rows.flatten().for_each(|c| hash.update(c.to_le_bytes()));
        hash.finalize().into()
    }

    /// How many thresholds x is compared with.
    pub fn ends(&self) -> usize {
        self.ends.len()
    }

    /// Enough for the argument and for the ends.
    fn width(&self, Argument { bits, frac_bits }: Argument) -> Width {
        let bits = bits + (ARGUMENT_BITS - frac_bits);
        assert!(bits <= MAX_BITS, "an argument of at most {MAX_BITS} bits");
        let largest = self.ends.iter().map(|end| u64::BITS - end.unsigned_abs().leading_zeros()).max().unwrap_or(0);
        Width { bits: bits.max(largest) + 1, drop: ARGUMENT_BITS - END_BITS }
    }
}

/// What is known of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// |ring integer| < 2^bits.
    pub bits: u32,
    /// Fractional bits, at most [`ARGUMENT_BITS`].
    pub frac_bits: u32,
}
