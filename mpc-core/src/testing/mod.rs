//! Three parties in one process, seeded and replayable (feature `testing`).

mod tap;

use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Result;
use crate::link::Link;
use crate::network::{Network, memory};
use crate::party::Party;
use crate::prss::Prss;
use crate::ring::{Domain, Tensor, Word};
use crate::role::Role;
use crate::security::Passive;
use crate::sharing::{Share, share};
pub use tap::{Hook, Message, Tap};

/// Runs `program` as P0, P1 and P2 over an in-memory mesh, passively secure, with keys derived from `seed`.
///
/// # Panics
/// If a party panics.
pub fn three_parties<T: Send>(seed: u8, program: impl Fn(&mut Party) -> Result<T> + Sync) -> [Result<T>; 3] {
    let keys = [0, 1, 2].map(|i| [seed.wrapping_mul(3).wrapping_add(i); 32]);
    let networks = memory::mesh(Duration::from_secs(60)).map(|network| Box::new(network) as Box<dyn Network>);
    run_parties(networks, keys, program)
}

/// Runs `program` as P0, P1 and P2, passively secure, over the given networks, with key k_i for each i.
///
/// # Panics
/// If a party panics.
pub fn run_parties<T: Send>(
    networks: [Box<dyn Network>; 3],
    keys: [[u8; 32]; 3],
    program: impl Fn(&mut Party) -> Result<T> + Sync,
) -> [Result<T>; 3] {
    let key = |role: Role| Zeroizing::new(keys[role.index()]);
    std::thread::scope(|scope| {
        let running = networks.map(|network| {
            let role = network.role();
            let mut party = Party::new(Link::new(network, Prss::new(key(role), key(role.next()))), Passive);
            let program = &program;
            scope.spawn(move || program(&mut party))
        });
        running.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The three parties' shares of a secret.
///
/// # Panics
/// If the operating system has no randomness.
pub fn deal<D: Domain, W: Word>(secret: &Tensor<W>) -> [Share<D, W>; 3] {
    let dealt = share::<D, W>(secret).expect("randomness");
    dealt.map(|dealt| Share::new(dealt.own.expand(secret.shape()), dealt.next.expand(secret.shape())))
}
