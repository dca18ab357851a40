//! Openings: values that leave the sharing.
//!
//! 1. The holders of each component send it to the party that lacks it: one of them or both, as the security mode says
//!    ([`Copies`](crate::link::open::Copies)).
//!
//! An opening needs a [`VerifiedParty`], and a value that its session has computed: the session's products were checked,
//! and no later product contains what was opened.

use crate::error::Result;
use crate::party::{Computed, VerifiedParty};
use crate::ring::{Domain, Tensor, Word};
use crate::sharing::Share;

/// Reveals x to all three parties. 1 round, 1 element (active: 2).
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where another session has computed x;
/// [`Error::Cheating`](crate::Error::Cheating) where the copies of a component differ. The session has ended for all.
pub fn open<D: Domain, W: Word>(party: &mut VerifiedParty, x: Computed<Share<D, W>>) -> Result<Tensor<W>> {
    party.open(x)
}
