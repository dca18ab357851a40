//! The end of a session: its values leave only after its products are checked.
//!
//! A [`Party`] computes. [`Party::verify`] consumes it and makes a [`VerifiedParty`], which opens and releases what the
//! session [has computed](Computed), and computes no more. Only this module makes one.
//!
//! ```
//! use mpc_core::Result;
//! use mpc_core::party::{Computed, Party, VerifiedParty};
//! use mpc_core::protocol::open::open;
//! use mpc_core::protocol::product::mul;
//! use mpc_core::sharing::ArithmeticShare;
//!
//! fn square(mut party: Party, x: &ArithmeticShare, computed: Computed<ArithmeticShare>) -> Result<()> {
//!     mul(&mut party, x, x)?;
//!     let y = x.clone();
//!     party.join(|left| mul(left, x, x), move |right| mul(right, &y, &y))?;
//!     let mut verified: VerifiedParty = party.verify()?;
//!     open(&mut verified, computed)?;
//!     Ok(())
//! }
//! ```
//!
//! With one line changed, this does not compile. A consumed party multiplies no more:
//!
//! ```compile_fail,E0382
//! # use mpc_core::Result;
//! # use mpc_core::party::{Computed, Party, VerifiedParty};
//! # use mpc_core::protocol::open::open;
//! # use mpc_core::protocol::product::mul;
//! # use mpc_core::sharing::ArithmeticShare;
//! fn square(mut party: Party, x: &ArithmeticShare, computed: Computed<ArithmeticShare>) -> Result<()> {
//!     let mut verified: VerifiedParty = party.verify()?;
//!     mul(&mut party, x, x)?;
//!     open(&mut verified, computed)?;
//!     Ok(())
//! }
//! ```
//!
//! Nor does the verified one:
//!
//! ```compile_fail,E0308
//! # use mpc_core::Result;
//! # use mpc_core::party::{Computed, Party, VerifiedParty};
//! # use mpc_core::protocol::open::open;
//! # use mpc_core::protocol::product::mul;
//! # use mpc_core::sharing::ArithmeticShare;
//! fn square(party: Party, x: &ArithmeticShare, computed: Computed<ArithmeticShare>) -> Result<()> {
//!     let mut verified: VerifiedParty = party.verify()?;
//!     mul(&mut verified, x, x)?;
//!     open(&mut verified, computed)?;
//!     Ok(())
//! }
//! ```
//!
//! A verified party gives no link to reshare over, and takes no claim:
//!
//! ```compile_fail,E0599
//! # use mpc_core::Result;
//! # use mpc_core::party::{Party, VerifiedParty};
//! fn link(party: Party) -> Result<()> {
//!     let mut verified: VerifiedParty = party.verify()?;
//!     verified.link().flush()
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use mpc_core::party::VerifiedParty;
//! # use mpc_core::security::Claim;
//! fn record(mut verified: VerifiedParty, claim: Claim) {
//!     verified.record(|| claim);
//! }
//! ```
//!
//! A verified party does not turn back into a party:
//!
//! ```compile_fail,E0277
//! # use mpc_core::party::{Party, VerifiedParty};
//! fn back(verified: VerifiedParty) -> Party {
//!     verified.into()
//! }
//! ```
//!
//! A party that has not verified opens nothing:
//!
//! ```compile_fail,E0308
//! # use mpc_core::Result;
//! # use mpc_core::party::{Computed, Party};
//! # use mpc_core::protocol::open::open;
//! # use mpc_core::sharing::ArithmeticShare;
//! fn early(mut party: Party, computed: Computed<ArithmeticShare>) -> Result<()> {
//!     open(&mut party, computed)?;
//!     Ok(())
//! }
//! ```
//!
//! A branch does not verify on its own:
//!
//! ```compile_fail,E0507
//! # use mpc_core::Result;
//! # use mpc_core::party::Party;
//! # use mpc_core::protocol::product::mul;
//! # use mpc_core::sharing::ArithmeticShare;
//! fn branch(party: &mut Party, x: &ArithmeticShare) -> Result<()> {
//!     party.join(|left| mul(left, x, x), |right| right.verify().map(drop))?;
//!     Ok(())
//! }
//! ```
//!
//! A share not computed in this session is not opened, and a value leaves once:
//!
//! ```compile_fail,E0308
//! # use mpc_core::Result;
//! # use mpc_core::party::{Party, VerifiedParty};
//! # use mpc_core::protocol::open::open;
//! # use mpc_core::sharing::ArithmeticShare;
//! fn foreign(mut verified: VerifiedParty, weight: ArithmeticShare) -> Result<()> {
//!     open(&mut verified, weight)?;
//!     Ok(())
//! }
//! ```
//!
//! ```compile_fail,E0382
//! # use mpc_core::Result;
//! # use mpc_core::inference::head::Output;
//! # use mpc_core::party::{Computed, VerifiedParty};
//! fn twice(verified: &VerifiedParty, output: Computed<Output>) -> Result<()> {
//!     verified.release(output)?;
//!     verified.release(output)?;
//!     Ok(())
//! }
//! ```

use std::sync::Arc;

use super::Party;
use crate::error::{Error, Result};
use crate::link::open::open;
use crate::ring::{Domain, Tensor, Word};
use crate::role::Role;
use crate::session::Meter;
use crate::sharing::Share;

/// Distinguishes the sessions of this process.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionTag(Arc<()>);

impl SessionTag {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A value that a session has computed but not yet released. The evaluator makes it; only the [`VerifiedParty`] of the
/// same session opens or releases it, once, and no other code reads it.
#[derive(Debug)]
#[must_use]
pub struct Computed<T> {
    value: T,
    session: SessionTag,
}

impl<T> Computed<T> {
    /// The value before verification, for tests.
    #[cfg(feature = "testing")]
    pub fn unverified(self) -> T {
        self.value
    }
}

/// A party that has finished computing: it only opens and releases.
///
/// In the active modes it proves that
/// - every product that its party has recorded, in branches too, was checked, and all three parties had the same
///   transcript up to there, except with the probability of the mode's soundness error;
/// - no product was computed after that;
/// - what it opens or releases was computed earlier in its own session. A value of another session is an error.
///
/// In passive mode no product was checked, and it proves only the last two: the protocol has run to its end.
///
/// It does not prove that every protocol offers its products as claims (`tests/claims.rs` tests that), nor that no code
/// has sent a share over the [`Link`](crate::link::Link) by hand.
#[must_use]
pub struct VerifiedParty {
    party: Party,
}

impl Party {
    /// Ends the computation: checks every product of the session. Rounds and bytes: none in passive mode, those of
    /// [`Security::verify`](crate::security::Security::verify) else. An error ends the session for all.
    ///
    /// # Errors
    /// [`Error::Cheating`] where a product is wrong, or where the parties have not seen the same; errors of the
    /// network.
    pub fn verify(self) -> Result<VerifiedParty> {
        self.verify_or_remain().map_err(|failed| {
            let (error, mut party) = *failed;
            party.link.abort(&error);
            error
        })
    }

    /// As [`Party::verify`], but a party that fails remains and tells nobody: a cheater in a test may stay silent.
    pub(crate) fn verify_or_remain(mut self) -> Result<VerifiedParty, Box<(Error, Party)>> {
        match self.check() {
            Ok(()) => Ok(VerifiedParty { party: self }),
            Err(error) => Err(Box::new((error, self))),
        }
    }

    fn check(&mut self) -> Result<()> {
        if !self.link.is_root() {
            return Err(Error::invalid("party", "a branch was to be verified without the session that it belongs to"));
        }
        self.security.verify(&mut self.link)?;
        self.link.flush()
    }

    /// Marks a value as computed by this session, for its verified party to release.
    pub(crate) fn computed<T>(&self, value: T) -> Computed<T> {
        Computed { value, session: self.session.clone() }
    }
}

impl VerifiedParty {
    /// Which party this is.
    pub fn role(&self) -> Role {
        self.party.role()
    }

    /// The session's cost to this party, including the check.
    pub fn meter(&self) -> Meter {
        self.party.meter()
    }

    /// Whether the products of the session were checked: in the active modes.
    pub fn is_checked(&self) -> bool {
        self.party.security.wants_claims()
    }

    /// The value, if it belongs to this session.
    pub(crate) fn own<T>(&self, computed: Computed<T>) -> Result<T> {
        match computed.session.is(&self.party.session) {
            true => Ok(computed.value),
            false => Err(Error::invalid("value", "was computed in another session than the one that was verified")),
        }
    }

    /// See [`open`](crate::protocol::open::open).
    pub(crate) fn open<D: Domain, W: Word>(&mut self, x: Computed<Share<D, W>>) -> Result<Tensor<W>> {
        let opened = self.own(x).and_then(|x| {
            let opened = open(&mut self.party.link, &x, self.party.security.copies())?;
            self.party.link.flush().map(|()| opened)
        });
        opened.inspect_err(|error| self.party.link.abort(error))
    }
}
