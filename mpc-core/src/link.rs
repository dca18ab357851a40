//! One party's end of one branch of a session: role, network, keys, kernels and the bill.

use crate::error::Result;
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
}

impl Link {
    /// The root of a session.
    pub fn new(network: Box<dyn Network>, prss: Prss) -> Self {
        Self { network, prss, kernel: Kernel::detect(), branch: Branch::ROOT, meter: Meter::default() }
    }

    /// The link of child number `slot` of this branch.
    pub fn child(&mut self, slot: usize) -> Result<Link> {
        let branch = self.branch.child(slot);
        let (network, prss) = (self.network.branch(branch)?, self.prss.branch(branch));
        Ok(Link { network, prss, kernel: self.kernel, branch, meter: Meter::default() })
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

    /// Adds the bill of branches that ran at the same time: bytes add up, rounds count as the longest.
    pub fn absorb(&mut self, rounds: u64, bytes_sent: u64) {
        self.meter.rounds += rounds;
        self.meter.bytes_sent += bytes_sent;
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

    /// Hands everything queued to the transport.
    pub fn flush(&mut self) -> Result<()> {
        self.network.flush()
    }
}
