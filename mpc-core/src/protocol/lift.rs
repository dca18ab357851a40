//! From numbers of a public range to numbers over Z_2^64, so that no dealer can have brought in anything else.
//!
//! Pi holds (c_i, c_{i+1}), c_i = r_i + 2^k w_i, of x = 1 + r_0 + r_1 + r_2 - 2^k (w_0 ^ w_1 ^ w_2), see
//! [`InputRange`].
//!
//! 1. and 2. The number of the two bits of w = w_0 ^ w_1 ^ w_2, modulo 2^(64-k) ([`convert`](super::convert)): it is
//!    needed times 2^k.
//!
//! The rest is local: the r_i are an additive sharing of their sum. Two rounds, 4/3 words of 64 - k bits (8, 16, 32 or
//! 64) per party. Exact for all components, so |x| < 3 * 2^k without a check, in every mode; both holders of a
//! component must hold the same ([`Party::agree`]). Private because only reshares talk. Source: `docs/adr/0018`.

use super::bits::component_planes;
use super::convert::{weigh, weigh_cost};
use super::cost::Cost;
use crate::error::Result;
use crate::party::Party;
use crate::sharing::{ArithmeticShare, InputRange, RangedShare};

/// The numbers over Z_2^64. See the module for rounds and bytes.
pub fn lift(party: &mut Party, x: &RangedShare) -> Result<ArithmeticShare> {
    let (words, range) = (x.words(), x.range());
    let k = range.bits();
    let wraps = component_planes(party.kernel(), words, k as usize, range.component_bits() as usize);
    let wraps = weigh(party, &wraps, x.shape(), &[k, k + 1])?;
    let sum = words.map(|t| t.mapv(|c| range.residue(c)).into_shared());
    Ok(sum.sub(&wraps).add_constant(party.role(), 1))
}

/// Cost of [`lift`] for n numbers.
pub fn cost(n: usize, range: InputRange) -> Cost {
    weigh_cost::<u64>(n, &[range.bits(), range.bits() + 1])
}
