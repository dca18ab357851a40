//! Sessions between the three processes, and the clock that times them.

use std::time::{Duration, Instant};

use anyhow::Result;
use mpc_core::network::Network;
use mpc_core::network::mesh::Mesh;
use mpc_core::network::quic::QuicNetwork;
use mpc_core::session::Id;
use rustix::time::{ClockId, clock_gettime};

use crate::job::Run;

/// The longest wait for a peer, above all for its local work.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A session that the other parties enter under the same number.
pub(crate) fn session(mesh: &Mesh, number: u32) -> Result<QuicNetwork> {
    Ok(mesh.session(id(number), DEADLINE)?)
}

/// The name of session `number`.
pub(crate) fn id(number: u32) -> Id {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&number.to_le_bytes());
    id
}

/// Waits until both peers are here.
pub(crate) fn barrier(network: &mut dyn Network) -> Result<()> {
    let peers = [network.role().next(), network.role().prev()];
    for peer in peers {
        network.send(peer, &[0])?;
    }
    for peer in peers {
        network.recv(peer, &mut [0])?;
    }
    Ok(network.flush()?)
}

/// Wall time and the processor time of all threads of this process.
pub(crate) struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu(), wall: Instant::now() }
    }

    pub(crate) fn stop(self) -> Run {
        Run { wall: self.wall.elapsed().as_secs_f64(), cpu: cpu() - self.cpu }
    }
}

/// Processor time of all threads of this process, in seconds.
pub(crate) fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
