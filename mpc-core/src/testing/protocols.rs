//! Protocols that only tests run: they compose those of the product.

use crate::error::Result;
use crate::party::Party;
use crate::protocol::convert::inject;
use crate::protocol::open;
pub use crate::protocol::open::random;
use crate::ring::{Domain, Tensor, Word};
use crate::security::Claimable;
use crate::sharing::{ArithmeticShare, BitShare, Share};

/// `bit ? a : b`, elementwise. 2 rounds, 2 elements.
///
/// # Errors
/// Those of the network.
pub fn select<W: Claimable>(
    party: &mut Party,
    bit: &BitShare,
    a: &ArithmeticShare<W>,
    b: &ArithmeticShare<W>,
) -> Result<ArithmeticShare<W>> {
    Ok(inject(party, bit, &a.sub(b))?.add(b))
}

/// Reveals x + r to all three parties and keeps r shared: returns (x + r, r). x + r is uniform, because r comes from
/// [`random`] and is used once. 1 round, 1 element (active: 2).
///
/// # Errors
/// [`Error::Cheating`](crate::Error::Cheating) where the copies of a component differ; errors of the network.
pub fn open_masked<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>) -> Result<(Tensor<W>, Share<D, W>)> {
    let mask = random(party, x.shape());
    Ok((open::open_masked(party, x, &mask)?, mask))
}
