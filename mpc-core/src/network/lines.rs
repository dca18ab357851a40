//! The lines between the parties, which the three measure together and at the same time.
//!
//! A measurement consists of:
//!
//! 1. Rounds of a few bytes around the ring, as in a protocol: the latency, including the time to wake a thread.
//! 2. Rounds of many bytes: the rate.
//! 3. The same local work at all three at once: how fast each computes while the others do, which matters on a shared
//!    machine.
//!
//! All three take the same steps, about 100 rounds and 2.5 MiB each.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::Network;
use crate::error::Result;
use crate::kernel::Kernel;
use crate::ring::{Arithmetic, Boolean};
use crate::session::{Conditions, Measured};

/// Measures over a fresh session, in the rounds and bytes that the module documentation states.
///
/// # Errors
/// Those of the network.
pub fn measure(network: &mut dyn Network) -> Result<Measured> {
    const SMALL: usize = 64;
    const LARGE: usize = 512 << 10;
    const WORK: u32 = 32;
    rounds(network, 64, SMALL)?;
    let latency = rounds(network, 33, SMALL)?;
    rounds(network, 2, LARGE)?;
    let large = rounds(network, 3, LARGE)?;
    rounds(network, 1, SMALL)?;
    let kernel = Kernel::detect();
    reference_work(kernel);
    let start = Instant::now();
    // Longer than the time slices in which processes share a processor.
    (0..WORK).for_each(|_| reference_work(kernel));
    let work = start.elapsed() / WORK;
    rounds(network, 1, SMALL)?;
    network.flush()?;
    let sending = large.saturating_sub(latency).max(Duration::from_nanos(1));
    let conditions = Conditions {
        latency_us: latency.as_micros().clamp(1, u128::from(u32::MAX)) as u32,
        rate_mbit: (LARGE as f64 * 8e-6 / sending.as_secs_f64()).clamp(1.0, 1e6) as u32,
    };
    Ok(Measured { conditions, work_us: work.as_micros().clamp(1, u128::from(u32::MAX)) as u32 })
}

/// Runs `count` rounds with messages of `bytes` bytes; returns the median time of a round.
fn rounds(network: &mut dyn Network, count: u32, bytes: usize) -> Result<Duration> {
    let (next, prev) = (network.role().next(), network.role().prev());
    let (message, mut received) = (vec![0; bytes], vec![0; bytes]);
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        network.send(prev, &message)?;
        network.recv(next, &mut received)?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// A mix of what parties compute: a matrix product, elementwise products and ands. About a millisecond.
pub fn reference_work(kernel: Kernel) {
    const SIDE: usize = 192;
    let numbers: Vec<u64> = (0..SIDE as u64 * SIDE as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let mut product = vec![0; numbers.len()];
    kernel.gemm([SIDE, SIDE, SIDE], &numbers, &numbers, &mut product);
    for _ in 0..4 {
        black_box(kernel.cross_product::<Arithmetic, u64>([&numbers, &product], [&product, &numbers]));
        black_box(kernel.cross_product::<Boolean, u64>([&numbers, &product], [&product, &numbers]));
    }
}
