//! The checks between a product and its opening.
//!
//! Every product is offered as a [`Claim`]. Only a [`VerifiedParty`](crate::party::VerifiedParty), whose products
//! [`Security::verify`] has checked, opens a value without a mask. Passive security keeps no claims. Active security
//! records them and checks them in batches. Protocols do not know which of the two they run under.
//!
//! A [`Mode`] names the security of a session. Only tests (feature `testing`) can choose other rings for a check or
//! leave out a part of it.

// Public for tests, see below.
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub))]
mod active;
mod agree;
pub(crate) mod claim;
mod passive;

#[cfg(feature = "testing")]
pub use active::{Active, Checks, Parameters, Standard, Strict};
#[cfg(not(feature = "testing"))]
use active::{Active, Standard, Strict};
pub use claim::{Claim, Claimable, Operands};
pub use passive::Passive;

use crate::error::{Result, Step};
use crate::link::Link;
use crate::link::open::Copies;
use crate::ring::{Domain, Word};
use crate::session::{Id, Mode};
use crate::sharing::{Share, slice};
use sha2::{Digest, Sha256};

/// What a session does about cheating in this mode. `context` is what the three parties have agreed on before: their
/// transcripts start with it.
pub(crate) fn of(mode: Mode, context: &Id) -> Box<dyn Security> {
    match mode {
        Mode::Passive => Box::new(Passive),
        Mode::Active => Box::new(Active::<Standard>::new(context)),
        Mode::Strict => Box::new(Active::<Strict>::new(context)),
    }
}

/// Collision-resistant digests of the two components that a party was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// The digest of x_i.
    pub own: Id,
    /// The digest of x_{i+1}.
    pub next: Id,
}

impl Digests {
    /// The digests of several sharings: the words of one after the other, each sharing prefixed with its shape.
    pub fn of<'a, D: Domain + 'a, W: Word>(shares: impl IntoIterator<Item = &'a Share<D, W>>) -> Self {
        let mut hashes = [Sha256::new(), Sha256::new()];
        for share in shares {
            for (hash, component) in hashes.iter_mut().zip([share.own(), share.next()]) {
                hash.update((share.shape().len() as u64).to_le_bytes());
                share.shape().iter().for_each(|&side| hash.update((side as u64).to_le_bytes()));
                hash.update(bytemuck::cast_slice(slice(component)));
            }
        }
        let [own, next] = hashes.map(|hash| hash.finalize().into());
        Self { own, next }
    }
}

/// What a session does about cheating.
pub trait Security: Send {
    /// Whether [`Security::record`] takes claims.
    fn wants_claims(&self) -> bool;

    /// In how many copies a value is opened.
    fn copies(&self) -> Copies {
        Copies::One
    }

    /// Records a product. Called only where [`Security::wants_claims`].
    fn record(&mut self, claim: Claim);

    /// An empty record for a branch of the same session.
    fn branch(&self) -> Box<dyn Security>;

    /// Hands over what was recorded and not yet checked, in order; a branch does so when it joins.
    fn take(&mut self) -> Vec<Claim>;

    /// Compares the components of what came from outside (the model, an input) between their two holders, in every
    /// mode, before the first product. 1 round, 64 bytes for each thing.
    ///
    /// # Errors
    /// [`Error::Cheating`](crate::Error::Cheating) with the step whose components differ between their holders.
    fn agree(&mut self, link: &mut Link, given: &[(Step, Digests)]) -> Result<()> {
        agree::agree(link, given)
    }

    /// Checks what was recorded once enough has gathered. A mode without checks does nothing.
    ///
    /// # Errors
    /// As [`Security::verify`].
    fn checkpoint(&mut self, _: &mut Link) -> Result<()> {
        Ok(())
    }

    /// Checks everything recorded and forgets it. [`Party::verify`](crate::party::Party::verify) calls it at the end of
    /// a session.
    ///
    /// # Errors
    /// [`Error::Cheating`](crate::Error::Cheating) where a claim is false.
    fn verify(&mut self, link: &mut Link) -> Result<()>;
}
