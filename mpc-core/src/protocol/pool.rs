//! The elementwise maximum of several sharings: max-pooling with its windows gathered.
//!
//! A tournament: each level compares half of the candidates with the other half, all windows of a layer at once, and keeps
//! max(a, b) = b + [a >= b] (a - b). ceil(log2 n) levels of a comparison (k + 1 bits) and an injection.

use super::bits::not;
use super::compare::msb;
use super::convert::inject;
use super::relu::concat;
use crate::error::Result;
use crate::party::Party;
use crate::ring::{Arithmetic, Word};
use crate::security::{Claim, Operands};
use crate::sharing::{ArithmeticShare, slice, tensor};

/// Elementwise maximum of `candidates`, all of one shape with |x| < 2^(k-1).
///
/// # Panics
/// If there is no candidate, shapes differ, or k + 1 exceeds the word.
pub fn max<W: Word>(party: &mut Party, candidates: &[ArithmeticShare<W>], k: u32) -> Result<ArithmeticShare<W>>
where
    Claim: From<Operands<Arithmetic, W>>,
{
    let shape = candidates[0].shape();
    let n = candidates[0].len();
    let mut left = candidates.to_vec();
    while left.len() > 1 {
        let odd = (left.len() % 2 == 1).then(|| left.pop()).flatten();
        let (first, second) = left.split_at(left.len() / 2);
        let a = concat(&first.iter().collect::<Vec<_>>());
        let b = concat(&second.iter().collect::<Vec<_>>());
        let difference = a.sub(&b);
        let less = msb(party, &difference, k + 1)?;
        let greater = inject(party, &not(party.role(), &less), &difference)?.add(&b);
        left = (0..first.len())
            .map(|i| greater.map(|t| tensor(shape, slice(t)[i * n..][..n].to_vec())))
            .chain(odd)
            .collect();
    }
    Ok(left.swap_remove(0))
}
