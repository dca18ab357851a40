//! Openings: values that leave the sharing.
//!
//! 1. The holders of each component send it to the party that lacks it: one of them or both, as the security mode says
//!    ([`Copies`](crate::link::open::Copies)).
//!
//! An unmasked opening needs a [`VerifiedParty`], and a value that its session has computed: the session's products
//! were checked, and no later product contains what was opened. A masked opening reveals x + r, uniform because r comes
//! from [`random`] and is used once.

use crate::error::Result;
use crate::link::open;
use crate::party::{Computed, Party, VerifiedParty};
use crate::ring::{Domain, Tensor, Word};
use crate::sharing::{Share, tensor};

/// A uniformly random sharing without a message: components F(k_0), F(k_1), F(k_2). 0 rounds, 0 elements.
pub fn random<D: Domain, W: Word>(party: &mut Party, shape: &[usize]) -> Share<D, W> {
    let n = shape.iter().product();
    let mut op = party.link().prss().next_op();
    Share::new(tensor(shape, op.own(n)), tensor(shape, op.next(n)))
}

/// Reveals x + r to all three parties, where r comes from [`random`] and masks nothing else. 1 round, 1 element
/// (active: 2).
///
/// # Errors
/// [`Error::Cheating`](crate::Error::Cheating) where the copies of a component differ; errors of the network.
pub fn open_masked<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>, r: &Share<D, W>) -> Result<Tensor<W>> {
    let copies = party.copies();
    open::open(party.link(), &x.add(r), copies)
}

/// Reveals x to all three parties. 1 round, 1 element (active: 2).
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where another session has computed x;
/// [`Error::Cheating`](crate::Error::Cheating) where the copies of a component differ. The session has ended for all.
pub fn open<D: Domain, W: Word>(party: &mut VerifiedParty, x: Computed<Share<D, W>>) -> Result<Tensor<W>> {
    party.open(x)
}
