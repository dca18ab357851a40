//! One party's end of one branch of a session: role, network, keys, kernels, the bill, and the public transcript.
//!
//! The instructions that talk are built on it: [`reshare`], [`open`] and the [`coin`].

pub mod coin;
pub mod open;
pub mod reshare;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, Step};
use crate::kernel::Kernel;
use crate::network::{Branch, Meter, Network};
use crate::prss::Prss;
use crate::ring::Word;
use crate::role::Role;

/// Everything that an instruction needs; see [`Party`](crate::party::Party) for what protocols use.
pub struct Link {
    network: Box<dyn Network>,
    prss: Prss,
    kernel: Kernel,
    branch: Branch,
    meter: Meter,
    transcript: Sha256,
}

impl Link {
    /// The root of a session.
    pub fn new(network: Box<dyn Network>, prss: Prss) -> Self {
        let (kernel, branch) = (Kernel::detect(), Branch::ROOT);
        Self { network, prss, kernel, branch, meter: Meter::default(), transcript: Sha256::new() }
    }

    /// The link of child number `slot` of this branch.
    pub fn child(&mut self, slot: usize) -> Result<Link> {
        let branch = self.branch.child(slot);
        let (network, prss) = (self.network.branch(branch)?, self.prss.branch(branch));
        Ok(Link { network, prss, kernel: self.kernel, branch, meter: Meter::default(), transcript: Sha256::new() })
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

    /// Counts one round. An instruction calls this once, whether or not this party has something to send in it.
    pub fn count_round(&mut self) {
        self.meter.rounds += 1;
    }

    /// Takes over what a branch that ran at the same time has added since `before`: bytes add up, rounds count as the
    /// longer of the two, and its transcript becomes part of this one.
    pub(crate) fn absorb(&mut self, rounds_here: u64, branch: &mut Link, before: Meter) {
        let spent = branch.meter();
        self.meter.rounds += (spent.rounds - before.rounds).saturating_sub(rounds_here);
        self.meter.bytes_sent += spent.bytes_sent - before.bytes_sent;
        let transcript = branch.transcript.clone().finalize();
        self.note(b"branch", &transcript);
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
        self.count_round();
        for peer in peers {
            self.send(peer, &ours)?;
        }
        for peer in peers {
            if self.recv::<u8>(peer, ours.len())? != ours {
                return Err(Error::Cheating { step });
            }
        }
        Ok(())
    }

    /// Queues words for a peer, little endian.
    pub fn send<W: Word>(&mut self, to: Role, words: &[W]) -> Result<()> {
        let bytes = bytemuck::cast_slice(words);
        self.meter.bytes_sent += bytes.len() as u64;
        self.network.send(to, bytes)
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
