//! A round: messages that are all sent before any of them is waited for.
//!
//! [`Link::round`] is the only way to send, and it counts: every message belongs to a round, and the messages of one
//! call share one. The sending closure returns what is [`Pending`], and the same call receives that.

use super::Link;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::prss::Prss;
use crate::ring::Word;
use crate::role::Role;

/// The sending half of a round.
pub struct Round<'a>(&'a mut Link);

/// What remains to be received in a round by an `R`: a [`Link`] or a [`Party`](crate::party::Party).
///
/// Tuples, vectors and options are received in order; a closure is called with the receiver.
#[must_use = "the peers have sent what this waits for"]
pub trait Pending<R> {
    /// The received value.
    type Value;

    /// Waits for the value.
    ///
    /// # Errors
    /// Those of the network; [`Error::Cheating`](crate::Error::Cheating) where copies that should be equal differ.
    fn receive(self, receiver: &mut R) -> Result<Self::Value>;
}

impl Link {
    /// One round: sends what `send` sends, then receives what it returns.
    ///
    /// # Errors
    /// Those of `send` and of what is received.
    pub fn round<P: Pending<Link>>(&mut self, send: impl FnOnce(&mut Round<'_>) -> Result<P>) -> Result<P::Value> {
        self.send_round(send)?.receive(self)
    }

    /// The sending half of a round, counted.
    pub(crate) fn send_round<P>(&mut self, send: impl FnOnce(&mut Round<'_>) -> Result<P>) -> Result<P> {
        self.meter.rounds += 1;
        send(&mut Round(self))
    }
}

impl Round<'_> {
    /// Which party this is.
    pub fn role(&self) -> Role {
        self.0.role()
    }

    /// The kernels to compute with.
    pub fn kernel(&self) -> Kernel {
        self.0.kernel()
    }

    /// The key streams.
    pub fn prss(&mut self) -> &mut Prss {
        self.0.prss()
    }

    /// Queues words for a peer, little endian.
    ///
    /// # Errors
    /// Those of the network.
    pub fn send<W: Word>(&mut self, to: Role, words: &[W]) -> Result<()> {
        let bytes = bytemuck::cast_slice(words);
        self.0.meter.bytes_sent += bytes.len() as u64;
        self.0.network.send(to, bytes)
    }
}

/// Exactly `n` words from `from`.
pub fn words<W: Word>(from: Role, n: usize) -> impl Pending<Link, Value = Vec<W>> {
    move |link: &mut Link| link.recv(from, n)
}

impl<R, T, F: FnOnce(&mut R) -> Result<T>> Pending<R> for F {
    type Value = T;

    fn receive(self, receiver: &mut R) -> Result<T> {
        self(receiver)
    }
}

/// Nothing to receive.
impl<R> Pending<R> for () {
    type Value = ();

    fn receive(self, _: &mut R) -> Result<()> {
        Ok(())
    }
}

impl<R, P: Pending<R>> Pending<R> for Option<P> {
    type Value = Option<P::Value>;

    fn receive(self, receiver: &mut R) -> Result<Self::Value> {
        self.map(|pending| pending.receive(receiver)).transpose()
    }
}

impl<R, P: Pending<R>> Pending<R> for Vec<P> {
    type Value = Vec<P::Value>;

    fn receive(self, receiver: &mut R) -> Result<Self::Value> {
        self.into_iter().map(|pending| pending.receive(receiver)).collect()
    }
}

impl<R, P: Pending<R>, Q: Pending<R>> Pending<R> for (P, Q) {
    type Value = (P::Value, Q::Value);

    fn receive(self, receiver: &mut R) -> Result<Self::Value> {
        Ok((self.0.receive(receiver)?, self.1.receive(receiver)?))
    }
}

impl<R, P: Pending<R>, Q: Pending<R>, S: Pending<R>> Pending<R> for (P, Q, S) {
    type Value = (P::Value, Q::Value, S::Value);

    fn receive(self, receiver: &mut R) -> Result<Self::Value> {
        Ok((self.0.receive(receiver)?, self.1.receive(receiver)?, self.2.receive(receiver)?))
    }
}

impl<R, P: Pending<R>, Q: Pending<R>, S: Pending<R>, T: Pending<R>> Pending<R> for (P, Q, S, T) {
    type Value = (P::Value, Q::Value, S::Value, T::Value);

    fn receive(self, receiver: &mut R) -> Result<Self::Value> {
        let first = (self.0.receive(receiver)?, self.1.receive(receiver)?);
        Ok((first.0, first.1, self.2.receive(receiver)?, self.3.receive(receiver)?))
    }
}
