//! What stands between a product and its opening.
//!
//! Every product is offered as a [`Claim`]; nothing unmasked is opened but by a [`VerifiedParty`](crate::party::VerifiedParty), whose
//! products were checked by [`Security::verify`]. Passive security keeps no claims. An active one records them and checks them in
//! batches; the protocols do not know which of the two they run under.
//!
//! A session's security is named by its [`Mode`]. Which rings a check works in, and that it leaves nothing out, only tests can choose
//! otherwise (feature `testing`).

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

/// What a session does about cheating in this mode. `context` is what the three parties have agreed on before: their transcripts
/// start with it.
pub(crate) fn of(mode: Mode, context: &Id) -> Box<dyn Security> {
    match mode {
        Mode::Passive => Box::new(Passive),
        Mode::Active => Box::new(Active::<Standard>::new(context)),
        Mode::Strict => Box::new(Active::<Strict>::new(context)),
    }
}

/// Collision-resistant digests of the components x_i and x_{i+1} of what a party was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Of x_i.
    pub own: Id,
    /// Of x_{i+1}.
    pub next: Id,
}

impl Digests {
    /// Of the words of several sharings, one after the other, each behind its shape.
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
    /// Whether [`Security::record`] wants to hear about products at all.
    fn wants_claims(&self) -> bool;

    /// In how many copies a value is opened.
    fn copies(&self) -> Copies {
        Copies::One
    }

    /// Takes note of a product. Called only where [`Security::wants_claims`].
    fn record(&mut self, claim: Claim);

    /// An empty record for a branch of the same session.
    fn branch(&self) -> Box<dyn Security>;

    /// Hands over what was recorded and not yet checked, in order; a branch does so when it joins.
    fn take(&mut self) -> Vec<Claim>;

    /// Compares the components of what came from outside (the model, an input) between their two holders, in every mode. Must come
    /// before the first product. 1 round, 64 bytes for each thing.
    ///
    /// # Errors
    /// [`Error::Cheating`](crate::Error::Cheating) with the step of what two holders hold different components of.
    fn agree(&mut self, link: &mut Link, given: &[(Step, Digests)]) -> Result<()> {
        agree::agree(link, given)
    }

    /// Checks what was recorded if it is much. A mode without checks does nothing.
    ///
    /// # Errors
    /// As [`Security::verify`].
    fn checkpoint(&mut self, _: &mut Link) -> Result<()> {
        Ok(())
    }

    /// Checks everything recorded and forgets it. [`Party::verify`](crate::party::Party::verify) calls it at the end of a session.
    ///
    /// # Errors
    /// [`Error::Cheating`](crate::Error::Cheating) where a claim is false.
    fn verify(&mut self, link: &mut Link) -> Result<()>;
}
