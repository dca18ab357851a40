//! Which public thresholds a shared number has reached, and functions of it that change nowhere else.
//!
//! Pi holds (x_i, x_{i+1}); t_0 < t_1 < .. are public.
//!
//! 1. ... The signs of all x - t_j at once ([`msb`]), and as many random bits as numbers ([`Injection`]).
//! 2. With these, the complements b_j = (x >= t_j) become numbers, one round.
//!
//! A function with the value v_0 below t_0 and v_{j+1} from t_j on is v_0 + the sum of b_j (v_{j+1} - v_j), which is
//! local: any number of such functions for the price of one. Without the lowest bits of x ([`coarse`]) the bits are
//! those of one and the same number near x, so that they stay ordered. Private because its parts are and nothing is
//! opened. Source: Catrina, Saxena, FC'10 (comparisons with public numbers); Mohassel, Rindal, CCS'18, section 5.4.

use super::bits::not;
use super::compare::{self, Width, coarse, msb};
use super::convert::{Injection, conversion_cost};
use super::cost::Cost;
use crate::error::Result;
use crate::party::Party;
use crate::ring::Tensor;
use crate::role::Role;
use crate::sharing::{ArithmeticShare, slice, tensor};

/// For each threshold whether x has reached it.
pub struct Reached {
    /// Numbers 0 and 1, `[thresholds, elements of x]`.
    bits: ArithmeticShare,
    /// The shape of x.
    shape: Vec<usize>,
}

/// Compares every element of x with every threshold, both of magnitude below 2^(width.bits-1). With lowest bits left
/// out, thresholds are rounded down to multiples of 2^drop, and an x that is less than 2^(drop+1) above one may count
/// as below it. Rounds: those of a comparison and 1; bytes: for each threshold those of a comparison and 8, and 1 bit
/// (active: 2).
///
/// # Panics
/// As [`coarse`], if there are no thresholds or not in ascending order, or if the width is 64.
pub fn reached(party: &mut Party, x: &ArithmeticShare, thresholds: &[i64], width: Width) -> Result<Reached> {
    assert!(!thresholds.is_empty() && thresholds.is_sorted(), "thresholds in ascending order");
    assert!(thresholds.iter().all(|t| t.unsigned_abs() < 1 << (width.bits - 1)), "thresholds within the width");
    let (keys, k) = coarse(x, width);
    let role = party.role();
    let (n, m) = (x.len(), thresholds.len());
    let differences = |t: &Tensor<u64>, holds: bool| {
        let above = |t_j: i64| if holds { (t_j >> width.drop) as u64 } else { 0 };
        let all = thresholds.iter().flat_map(|&t_j| slice(t).iter().map(move |x| x.wrapping_sub(above(t_j))));
        tensor(&[m * n], all.collect())
    };
    // The thresholds are public: component 0.
    let differences = ArithmeticShare::new(
        differences(keys.own(), role == Role::P0),
        differences(keys.next(), role.next() == Role::P0),
    );
    let ones = move |party: &mut Party| Injection::of_ones(party, m * n);
    let (below, bits) = party.join(|party| msb(party, &differences, k + 1), ones)?;
    let bits = bits.by(party, &not(role, &below))?;
    Ok(Reached { bits: bits.reshape(&[m, n]), shape: x.shape().to_vec() })
}

/// Cost of [`reached`] for n numbers and m thresholds.
pub fn cost(n: usize, m: usize, width: Width) -> Cost {
    let [beside, after] = conversion_cost(m * n, u64::BITS);
    compare::cost(m * n, width.compared() + 1).beside(beside) + after
}

impl Reached {
    /// For each element `values[j]`, j thresholds being reached. Local.
    ///
    /// # Panics
    /// If there is not one value more than thresholds.
    pub fn choose(&self, role: Role, values: &[u64]) -> ArithmeticShare {
        let &[m, n] = self.bits.shape() else { unreachable!("a row for each threshold") };
        assert_eq!(values.len(), m + 1, "a value between each two thresholds and at both ends");
        let sum = self.bits.map(|t| {
            let mut sum = vec![0u64; n];
            for (row, step) in slice(t).chunks_exact(n.max(1)).zip(values.windows(2)) {
                let step = step[1].wrapping_sub(step[0]);
                sum.iter_mut().zip(row).for_each(|(sum, bit)| *sum = sum.wrapping_add(bit.wrapping_mul(step)));
            }
            tensor(&self.shape, sum)
        });
        sum.add_constant(role, values[0])
    }
}
