//! Openings: what leaves the sharing.
//!
//! 1. The holders of each component send it to the party that lacks it: one of them or both, as the security mode says
//!    ([`Copies`](crate::link::open::Copies)).
//!
//! An unmasked opening needs a [`Verified`] token: the compiler proves that the check of the session's products ran. A masked
//! one reveals x + r, uniform because r comes from [`random`] and is used once.

use crate::error::Result;
use crate::party::Party;
use crate::ring::{Domain, Tensor, Word};
use crate::security::Verified;
use crate::sharing::{Share, tensor};

/// A uniformly random sharing that no message was spent on: components F(k_0), F(k_1), F(k_2). 0 rounds, 0 elements.
pub fn random<D: Domain, W: Word>(party: &mut Party, shape: &[usize]) -> Share<D, W> {
    let n = shape.iter().product();
    let mut op = party.link().prss().next_op();
    Share::new(tensor(shape, op.own(n)), tensor(shape, op.next(n)))
}

/// Reveals x to all three parties. 1 round, 1 element (active: 2).
pub fn open<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>, _: &Verified) -> Result<Tensor<W>> {
    party.exchange(x)
}

/// Reveals x + r to all three parties and keeps r shared: returns (x + r, r). 1 round, 1 element
/// (active: 2).
pub fn open_masked<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>) -> Result<(Tensor<W>, Share<D, W>)> {
    party.before_masked_opening()?;
    let mask = random(party, x.shape());
    let opened = party.exchange(&x.add(&mask))?;
    Ok((opened, mask))
}
