//! Openings on a link: values that all three parties reconstruct.
//!
//! Pi holds (x_i, x_{i+1}) and lacks x_{i-1}, which P_{i-1} and P_{i+1} hold.
//!
//! One copy ([`Copies::One`], against parties that follow the protocol):
//! 1. Pi sends x_i to P_{i+1}.
//!
//! Both copies ([`Copies::Both`], against a party that deviates):
//! 1. Pi sends x_i to P_{i+1} and x_{i+1} to P_{i-1}, receives its missing component twice, and compares the copies
//!    before it uses the value or sends anything else.
//!
//! One of the two copies comes from an honest party, so a cheater can end the session and nothing else. Comparing
//! later, or comparing hashes only, would let a wrong value steer the next opening. Source: `docs/protocols.md`,
//! "Openings".

use super::Link;
use super::round::{Pending, Round};
use crate::error::{Error, Result, Step};
use crate::ring::{Domain, Tensor, Word};
use crate::sharing::{Share, slice, tensor};

/// How many holders of a component send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// One: 1 element.
    One,
    /// Both, which the receiver compares: 2 elements.
    Both,
}

/// Reveals x to all three parties. 1 round.
///
/// # Errors
/// [`Error::Cheating`] where the copies of a component differ.
pub(crate) fn open<D: Domain, W: Word>(link: &mut Link, x: &Share<D, W>, copies: Copies) -> Result<Tensor<W>> {
    link.round(|round| send(round, x, copies))
}

/// [`open`] within a round.
pub(crate) fn send<D: Domain, W: Word>(
    round: &mut Round<'_>,
    x: &Share<D, W>,
    copies: Copies,
) -> Result<impl Pending<Link, Value = Tensor<W>> + use<D, W>> {
    let (role, x) = (round.role(), x.clone());
    round.send(role.next(), slice(x.own()))?;
    if copies == Copies::Both {
        round.send(role.prev(), slice(x.next()))?;
    }
    Ok(move |link: &mut Link| {
        let third = link.recv::<W>(role.prev(), x.len())?;
        if copies == Copies::Both && link.recv::<W>(role.next(), x.len())? != third {
            return Err(Error::Cheating { step: Step::Opening });
        }
        let known = x.own().iter().zip(x.next());
        let sum: Vec<W> = known.zip(third).map(|((&a, &b), c)| D::add(D::add(a, b), c)).collect();
        link.note(b"opened", bytemuck::cast_slice(&sum));
        Ok(tensor(x.shape(), sum))
    })
}
