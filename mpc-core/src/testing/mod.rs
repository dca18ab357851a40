//! Three parties in one process, seeded and replayable (feature `testing`).

use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Result;
use crate::link::Link;
use crate::network::memory;
use crate::party::Party;
use crate::prss::Prss;
use crate::ring::{Domain, Tensor, Word};
use crate::role::Role;
use crate::security::Passive;
use crate::sharing::{Share, share};

/// Runs `program` as P0, P1 and P2 over an in-memory mesh, passively secure, with keys derived from `seed`.
///
/// # Panics
/// If a party panics.
pub fn three_parties<T: Send>(seed: u8, program: impl Fn(&mut Party) -> Result<T> + Sync) -> [Result<T>; 3] {
    let key = |role: Role| Zeroizing::new([seed.wrapping_mul(3).wrapping_add(role.index() as u8); 32]);
    let parties = memory::mesh(Duration::from_secs(60)).map(|network| {
        let role = crate::network::Network::role(&network);
        Party::new(Link::new(Box::new(network), Prss::new(key(role), key(role.next()))), Passive)
    });
    std::thread::scope(|scope| {
        let running = parties.map(|mut party| {
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
