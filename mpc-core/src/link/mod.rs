//! One party's end of one branch of a session: role, network, keys, kernels, the bill, and the public transcript.
//!
//! The instructions that talk are built on it: [`reshare`], [`open`] and the [`coin`].

pub mod coin;
pub mod open;
pub mod reshare;
pub mod round;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, Step};
use crate::kernel::{Kernel, wipe_stack};
use crate::network::Network;
use crate::prss::Prss;
use crate::ring::Word;
use crate::role::Role;
use crate::session::{Branch, Meter};

/// Everything that an instruction needs; see [`Party`](crate::party::Party) for what protocols use.
pub struct Link {
    network: Box<dyn Network>,
    prss: Prss,
    kernel: Kernel,
    branch: Branch,
    meter: Meter,
    transcript: Sha256,
    idle: Vec<Link>,
    children: usize,
}

impl Link {
    /// The root of a session.
    pub fn new(network: Box<dyn Network>, prss: Prss) -> Self {
        let (kernel, branch) = (Kernel::detect(), Branch::ROOT);
        Self::at(network, prss, kernel, branch)
    }

    fn at(network: Box<dyn Network>, prss: Prss, kernel: Kernel, branch: Branch) -> Self {
        let (meter, transcript) = (Meter::default(), Sha256::new());
        Self { network, prss, kernel, branch, meter, transcript, idle: Vec::new(), children: 0 }
    }

    /// The link of a branch for a piece that runs beside this one: one that is idle, or the next child.
    pub(crate) fn lend(&mut self) -> Result<Link> {
        if let Some(child) = self.idle.pop() {
            return Ok(child);
        }
        let branch = self.branch.child(self.children);
        self.children += 1;
        Ok(Self::at(self.network.branch(branch)?, self.prss.branch(branch), self.kernel, branch))
    }

    /// Takes back a branch whose piece has ended, with what it has added since both meters stood at `before` (here, there):
    /// bytes add up, rounds count as the longer of the two, and its transcript becomes part of this one.
    pub(crate) fn take_back(&mut self, branch: Link, before: [Meter; 2]) {
        let (here, there) = (self.meter, branch.meter);
        let [rounds_here, rounds_there] = [here.rounds - before[0].rounds, there.rounds - before[1].rounds];
        self.meter.rounds += rounds_there.saturating_sub(rounds_here);
        self.meter.bytes_sent += there.bytes_sent - before[1].bytes_sent;
        let transcript = branch.transcript.clone().finalize();
        self.note(b"branch", &transcript);
        self.idle.push(branch);
    }

    /// Whether this is a session's own link, and not that of a branch.
    pub(crate) fn is_root(&self) -> bool {
        self.branch == Branch::ROOT
    }

    /// Which party this is.
    pub fn role(&self) -> Role {
        self.network.role()
    }

    /// The kernels to compute with.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Chooses other kernels than the best ones, for tests.
    pub fn set_kernel(&mut self, kernel: Kernel) {
        self.kernel = kernel;
    }

    /// The key streams.
    pub fn prss(&mut self) -> &mut Prss {
        &mut self.prss
    }

    /// What was spent so far.
    pub fn meter(&self) -> Meter {
        self.meter
    }

    /// Adds something public to the transcript: a coin, an opened value, what is about to be checked.
    pub fn note(&mut self, what: &[u8], bytes: &[u8]) {
        for part in [what, bytes] {
            self.transcript.update((part.len() as u64).to_le_bytes());
            self.transcript.update(part);
        }
    }

    /// Compares the transcript with both peers: coins, opened values, notes and how many PRSS operations there were. 1 round,
    /// 64 bytes.
    ///
    /// # Errors
    /// [`Error::Cheating`] with this step where a peer has another one.
    pub fn compare_transcripts(&mut self, step: Step) -> Result<()> {
        let position = self.prss.position();
        self.note(&[step as u8], &position.to_le_bytes());
        let ours: [u8; 32] = self.transcript.clone().finalize().into();
        let peers = [self.role().next(), self.role().prev()];
        self.round(|round| {
            peers.into_iter().try_for_each(|peer| round.send(peer, &ours))?;
            Ok(move |link: &mut Link| {
                for peer in peers {
                    if link.recv::<u8>(peer, ours.len())? != ours {
                        return Err(Error::Cheating { step });
                    }
                }
                Ok(())
            })
        })
    }

    /// Waits for exactly `n` words of a peer.
    pub fn recv<W: Word>(&mut self, from: Role, n: usize) -> Result<Vec<W>> {
        let mut words = vec![W::ZERO; n];
        self.network.recv(from, bytemuck::cast_slice_mut(&mut words))?;
        Ok(words)
    }

    /// Ends the session because of an error that the network does not know of, see [`Network::abort`].
    pub fn abort(&mut self, reason: &Error) {
        self.network.abort(reason);
    }

    /// Hands everything queued to the transport.
    pub fn flush(&mut self) -> Result<()> {
        self.network.flush()
    }
}

/// Runs two pieces of a session at the same time; each ends the session where it fails, so that the other does not wait in vain.
///
/// # Errors
/// The first piece's error, else the second's; but cheating that the second has found counts more than that the first lost a peer by it.
/// Which of two checks that fail is told says nothing of secrets: `docs/argument.md`, Lemma 10.
pub(crate) fn in_parallel<A, B: Send>(
    first: impl FnOnce() -> Result<A>,
    second: impl FnOnce() -> Result<B> + Send,
) -> Result<(A, B)> {
    let (a, b) = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let b = second();
            wipe_stack();
            b
        });
        let a = first();
        (a, running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    match (a, b) {
        (Err(first), Err(cheating @ Error::Cheating { .. })) if !matches!(first, Error::Cheating { .. }) => {
            Err(cheating)
        }
        (a, b) => Ok((a?, b?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_errors_the_first_is_told_unless_only_the_second_is_cheating() {
        let lost = || Error::Transport { peer: Role::P1, step: "receive", reason: "gone".into() };
        let found = |step| Error::Cheating { step };
        let told = |a: Result<()>, b: Result<()>| in_parallel(|| a, move || b).map(drop);
        assert_eq!(told(Ok(()), Ok(())), Ok(()));
        assert_eq!(told(Ok(()), Err(lost())), Err(lost()));
        assert_eq!(told(Err(lost()), Err(Error::Aborted("".into()))), Err(lost()));
        assert_eq!(told(Err(lost()), Err(found(Step::Coins))), Err(found(Step::Coins)));
        assert_eq!(told(Err(found(Step::Products)), Err(lost())), Err(found(Step::Products)));
        assert_eq!(told(Err(found(Step::Products)), Err(found(Step::Coins))), Err(found(Step::Products)));
    }
}
