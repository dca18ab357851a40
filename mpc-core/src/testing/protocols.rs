//! Protocols that only tests run: they compose those of the product, and open masked values in the middle of a session.

use crate::error::Result;
use crate::link::open::open;
use crate::party::Party;
use crate::protocol::convert::inject;
use crate::ring::{Domain, Tensor, Word};
use crate::security::Claimable;
use crate::sharing::{ArithmeticShare, BitShare, Share, tensor};

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

/// A uniformly random sharing without a message: components F(k_0), F(k_1), F(k_2). 0 rounds, 0 elements.
pub fn random<D: Domain, W: Word>(party: &mut Party, shape: &[usize]) -> Share<D, W> {
    let n = shape.iter().product();
    let mut op = party.link().prss().next_op();
    Share::new(tensor(shape, op.own(n)), tensor(shape, op.next(n)))
}

/// Reveals x + r to all three parties and keeps r shared: returns (x + r, r). x + r is uniform, because r comes from [`random`] and
/// is used once. 1 round, 1 element (active: 2).
///
/// # Errors
/// [`Error::Cheating`](crate::Error::Cheating) where the copies of a component differ; errors of the network.
pub fn open_masked<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>) -> Result<(Tensor<W>, Share<D, W>)> {
    let mask = random(party, x.shape());
    let copies = party.copies();
    let opened = open(party.link(), &x.add(&mask), copies)?;
    Ok((opened, mask))
}
