//! The state a protocol runs on: a link and the security mode.

mod verified;

use crate::error::{Result, Step};
use crate::kernel::Kernel;
use crate::link::Link;
use crate::link::open::Copies;
use crate::link::round::{Pending, Round};
use crate::link::worker::both;
use crate::network::Network;
use crate::prss::Prss;
use crate::role::Role;
use crate::security::{self, Claim, Digests, Security};
use crate::session::{Id, Meter, Mode};
use verified::SessionTag;
pub use verified::{Computed, VerifiedParty};

/// Lets the allocator keep freed memory for the next round. A process that runs sessions calls this once, before the
/// first; on systems other than Linux with glibc it does nothing.
///
/// glibc hands large blocks back to the kernel as soon as they are free, and each of their pages then costs a fault in
/// the next round: up to 30 % of the processor time of a session. What counts as large follows the largest block that
/// was mapped and freed, up to 32 MiB (mallopt(3), `M_MMAP_THRESHOLD`), so this maps such a block once and frees it
/// untouched. From then on each arena keeps up to twice as much.
pub fn keep_freed_memory() {
    const LARGEST: usize = 32 << 20;
    const HEADER: usize = 64 << 10;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGEST - HEADER)));
}

/// One party in one branch of one session. Protocols are functions on a party that all three parties call alike. A
/// party ends with [`Party::verify`], and nothing leaves the session before.
pub struct Party {
    link: Link,
    security: Box<dyn Security>,
    session: SessionTag,
}

impl Party {
    /// Starts a session with the security of `mode`. `context` is what the three parties have agreed on before: the
    /// session, its model and its parameters.
    pub fn new(network: Box<dyn Network>, prss: Prss, mode: Mode, context: &Id) -> Self {
        Self::with_security(network, prss, security::of(mode, context))
    }

    /// Starts a session with any security: tests use some that are no mode.
    pub(crate) fn with_security(network: Box<dyn Network>, prss: Prss, security: Box<dyn Security>) -> Self {
        Self { link: Link::new(network, prss), security, session: SessionTag::default() }
    }

    /// Which party this is.
    pub fn role(&self) -> Role {
        self.link.role()
    }

    /// The kernels to compute with.
    pub fn kernel(&self) -> Kernel {
        self.link.kernel()
    }

    /// The link that the instructions talk through.
    pub fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// The session's cost to this party so far.
    pub fn meter(&self) -> Meter {
        self.link.meter()
    }

    /// One round: sends what `send` sends, then receives what it returns. Messages sent together share the round.
    ///
    /// # Errors
    /// Those of `send` and of what is received.
    pub fn round<P: Pending<Party>>(&mut self, send: impl FnOnce(&mut Round<'_>) -> Result<P>) -> Result<P::Value> {
        self.link.send_round(send)?.receive(self)
    }

    /// Offers a product to the security mode; the closure runs only where claims are wanted.
    pub fn record(&mut self, claim: impl FnOnce() -> Claim) {
        if self.security.wants_claims() {
            self.security.record(claim());
        }
    }

    /// The recorded claims that are not yet checked, for tests.
    #[cfg(feature = "testing")]
    pub fn take_claims(&mut self) -> Vec<Claim> {
        self.security.take()
    }

    /// Compares each component of values from outside between its two holders, in every mode. 1 round, 64 bytes for
    /// each value.
    ///
    /// # Errors
    /// [`Error::Cheating`](crate::Error::Cheating) with the step whose components differ; errors of the network.
    pub fn agree(&mut self, given: &[(Step, Digests)]) -> Result<()> {
        self.security.agree(&mut self.link, given)
    }

    /// Lets the security mode check the claims so far, so that its memory stays bounded. Called between layers.
    pub fn checkpoint(&mut self) -> Result<()> {
        self.security.checkpoint(&mut self.link)
    }

    /// How many holders of a component send it in an opening.
    pub(crate) fn copies(&self) -> Copies {
        self.security.copies()
    }

    /// Runs two independent pieces at the same time: rounds count as the longer of the two. The second gets a branch of
    /// its own (own streams, own PRSS keys, own thread), which is kept for the next join. Neither piece can verify: its
    /// products belong to the session, which is verified as a whole.
    ///
    /// # Errors
    /// The first piece's error, else the second's; but a detected cheat outranks the disconnect that it causes.
    pub fn join<A, B: Send + 'static>(
        &mut self,
        first: impl FnOnce(&mut Party) -> Result<A>,
        second: impl FnOnce(&mut Party) -> Result<B> + Send + 'static,
    ) -> Result<(A, B)> {
        let (link, worker) = self.link.lend()?;
        let before = [self.meter(), link.meter()];
        let mut child = Party { link, security: self.security.branch(), session: self.session.clone() };
        let second = worker.run(move || (child.piece(second), child));
        let first = self.piece(first);
        let (second, mut child) = second.wait();
        child.security.take().into_iter().for_each(|claim| self.security.record(claim));
        self.link.take_back((child.link, worker), before);
        both(first, second)
    }

    /// Runs a piece to its end. A piece that fails ends the session, so that the one beside it does not wait in vain.
    fn piece<T>(&mut self, piece: impl FnOnce(&mut Party) -> Result<T>) -> Result<T> {
        piece(self).and_then(|value| self.link.flush().map(|()| value)).inspect_err(|e| self.link.abort(e))
    }
}
