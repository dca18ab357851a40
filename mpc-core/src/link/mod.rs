//! One party's end of one branch of a session: role, network, keys, kernels, meter and public transcript.
//!
//! The instructions that talk are built on it: [`reshare`], [`open`] and the [`coin`].

pub mod coin;
pub mod open;
pub mod reshare;
pub mod round;
pub(crate) mod worker;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, Step};
use crate::kernel::Kernel;
use crate::network::Network;
use crate::prss::Prss;
use crate::ring::Word;
use crate::role::Role;
use crate::session::{Branch, Meter};
use worker::Worker;

/// The state an instruction runs on; see [`Party`](crate::party::Party) for what protocols use.
pub struct Link {
    network: Box<dyn Network>,
    prss: Prss,
    kernel: Kernel,
    branch: Branch,
    meter: Meter,
    transcript: Sha256,
    idle: Vec<Lent>,
    children: usize,
}

/// The end of a branch, and the thread that it runs in.
pub(crate) type Lent = (Link, Worker);

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

    /// Lends the link and the thread of a branch to a piece that runs beside this one: an idle branch, or the next
    /// child.
    pub(crate) fn lend(&mut self) -> Result<Lent> {
        if let Some(idle) = self.idle.pop() {
            return Ok(idle);
        }
        let worker = Worker::start()?;
        let branch = self.branch.child(self.children);
        self.children += 1;
        Ok((Self::at(self.network.branch(branch)?, self.prss.branch(branch), self.kernel, branch), worker))
    }

    /// Takes back a branch whose piece has ended. Counts what it added since both meters stood at `before` (here,
    /// there): bytes add up, rounds count as the longer of the two, and the branch's transcript becomes part of this
    /// one.
    pub(crate) fn take_back(&mut self, (branch, worker): Lent, before: [Meter; 2]) {
        let (here, there) = (self.meter, branch.meter);
        let [rounds_here, rounds_there] = [here.rounds - before[0].rounds, there.rounds - before[1].rounds];
        self.meter.rounds += rounds_there.saturating_sub(rounds_here);
        self.meter.bytes_sent += there.bytes_sent - before[1].bytes_sent;
        let transcript = branch.transcript.clone().finalize();
        self.note(b"branch", &transcript);
        self.idle.push((branch, worker));
    }

    /// Whether this is the link of a session's root branch.
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

    #[cfg(feature = "testing")]
    /// Replaces the kernels that the machine runs best, for tests.
    pub fn set_kernel(&mut self, kernel: Kernel) {
        self.kernel = kernel;
    }

    /// The key streams.
    pub fn prss(&mut self) -> &mut Prss {
        &mut self.prss
    }

    /// The rounds and bytes so far.
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

    /// Compares the transcript with both peers: coins, opened values, notes and how many PRSS operations there were. 1
    /// round, 64 bytes.
    ///
    /// # Errors
    /// [`Error::Cheating`] with this step where a peer has another transcript.
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

    /// Waits for exactly `n` words from a peer.
    pub fn recv<W: Word>(&mut self, from: Role, n: usize) -> Result<Vec<W>> {
        let mut words = vec![W::ZERO; n];
        self.network.recv(from, bytemuck::cast_slice_mut(&mut words))?;
        Ok(words)
    }

    /// Ends the session because of an error found above the network, see [`Network::abort`].
    pub fn abort(&mut self, reason: &Error) {
        self.network.abort(reason);
    }

    /// Hands everything queued to the transport.
    pub fn flush(&mut self) -> Result<()> {
        self.network.flush()
    }
}
