//! Openings: what leaves the sharing.
//!
//! 1. Pi sends x_i to P_{i+1}, which lacks it, and adds up the three components.
//!
//! An unmasked opening needs a [`Verified`] token: the compiler proves that the check of the session's products ran. A masked
//! one reveals x + r, uniform because r comes from [`random`] and is used once.

use crate::error::Result;
use crate::party::Party;
use crate::ring::{Domain, Tensor, Word};
use crate::security::Verified;
use crate::sharing::{Share, slice, tensor};

/// A uniformly random sharing that no message was spent on: components F(k_0), F(k_1), F(k_2). 0 rounds, 0 elements.
pub fn random<D: Domain, W: Word>(party: &mut Party, shape: &[usize]) -> Share<D, W> {
    let n = shape.iter().product();
    let mut op = party.link().prss().next_op();
    Share::new(tensor(shape, op.own(n)), tensor(shape, op.next(n)))
}

/// Reveals x to all three parties. 1 round, 1 element.
pub fn open<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>, _: &Verified) -> Result<Tensor<W>> {
    exchange(party, x)
}

/// Reveals x + r to all three parties and keeps r shared: returns (x + r, r). 1 round, 1 element.
pub fn open_masked<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>) -> Result<(Tensor<W>, Share<D, W>)> {
    let mask = random(party, x.shape());
    let opened = exchange(party, &x.add(&mask))?;
    Ok((opened, mask))
}

fn exchange<D: Domain, W: Word>(party: &mut Party, x: &Share<D, W>) -> Result<Tensor<W>> {
    let role = party.role();
    party.link().count_round();
    party.link().send(role.next(), slice(x.own()))?;
    let third = party.link().recv::<W>(role.prev(), x.len())?;
    let known = x.own().iter().zip(x.next());
    let sum = known.zip(third).map(|((&a, &b), c)| D::add(D::add(a, b), c)).collect();
    Ok(tensor(x.shape(), sum))
}
