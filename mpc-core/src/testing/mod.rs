//! Three parties in one process, seeded and replayable (feature `testing`).

pub mod chosen;
pub mod fault;
mod fixtures;
#[cfg(feature = "quic")]
pub mod loopback;
pub mod protocols;
mod recorder;
pub mod small;
mod tap;
#[cfg(target_os = "linux")]
pub mod traces;

use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::Result;
use crate::network::Network;
use crate::network::memory::{self, MemoryNetwork};
use crate::party::{Computed, Party, VerifiedParty};
use crate::prss::Prss;
pub use crate::prss::tape;
use crate::role::Role;
use crate::security::{self, Security};
use crate::session::Mode;
pub use fixtures::{deal, deal_components, deal_ranged, geometry, identity, numbers, revealed, tensor, vector};
pub use recorder::Recorder;
pub use tap::{Hook, Message, Tap};

/// Runs `program` as P0, P1 and P2 over an in-memory mesh, passively secure, with keys derived from `seed`.
///
/// # Panics
/// If a party panics.
pub fn three_parties<T: Send>(seed: u8, program: impl Fn(&mut Party) -> Result<T> + Sync) -> [Result<T>; 3] {
    run_parties(parties(seed, Mode::Passive), program)
}

/// An in-memory mesh whose receivers give up after a minute.
pub fn mesh() -> [MemoryNetwork; 3] {
    memory::mesh(Duration::from_secs(60))
}

/// Three parties on an in-memory mesh, with the security of `mode` and keys derived from `seed`.
pub fn parties(seed: u8, mode: Mode) -> [Party; 3] {
    mesh().map(|network| party(network, seed, security::of(mode, &[0; 32])))
}

/// The party at the end of `network`, with keys derived from `seed`.
pub fn party(network: impl Network + 'static, seed: u8, security: Box<dyn Security>) -> Party {
    let key = |role: Role| Zeroizing::new([seed.wrapping_mul(3).wrapping_add(role.index() as u8); 32]);
    let prss = Prss::new(key(network.role()), key(network.role().next()));
    party_with(network, prss, security)
}

/// The party at the end of `network`, with these key streams.
pub fn party_with(network: impl Network + 'static, prss: Prss, security: Box<dyn Security>) -> Party {
    Party::with_security(Box::new(network), prss, security)
}

/// Marks `value` as computed by `party`'s session, as the evaluator marks its output.
pub fn computed<T>(party: &Party, value: T) -> Computed<T> {
    party.computed(value)
}

/// Runs `program` at all three parties at once, without verifying. An error of one ends the session of all.
///
/// # Panics
/// If a party panics.
pub fn run_parties<T: Send>(parties: [Party; 3], program: impl Fn(&mut Party) -> Result<T> + Sync) -> [Result<T>; 3] {
    at_once(parties, |mut party| program(&mut party).inspect_err(|error| party.link().abort(error)))
}

/// Runs `program` at all three parties at once, verifies, and hands its result to `finish`. An error of one ends the
/// session of all.
///
/// # Panics
/// If a party panics.
pub fn run_verified<T, U: Send>(
    parties: [Party; 3],
    program: impl Fn(&mut Party) -> Result<T> + Sync,
    finish: impl Fn(&mut VerifiedParty, T) -> Result<U> + Sync,
) -> [Result<U>; 3] {
    at_once(parties, |mut party| {
        let value = program(&mut party).inspect_err(|error| party.link().abort(error))?;
        finish(&mut party.verify()?, value)
    })
}

fn at_once<T: Send>(parties: [Party; 3], session: impl Fn(Party) -> T + Sync) -> [T; 3] {
    std::thread::scope(|scope| {
        let running = parties.map(|party| {
            let session = &session;
            scope.spawn(move || session(party))
        });
        running.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
