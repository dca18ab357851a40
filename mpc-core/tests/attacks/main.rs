//! Attacks that a slightly careless version of active security falls to, each against such a version and against the
//! product, and what each of the product's checks is for.
//!
//! One party cheats, in every role; it does what it likes with what it knows. The careless versions live here, or leave
//! out one of the [`Checks`].

mod answers;
mod coins;
mod inputs;
mod openings;
mod products;
mod range;
mod templates;
mod transcripts;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use mpc_core::error::Step;
use mpc_core::inference::head::{Head, Output, Released, Templates, Told};
use mpc_core::inference::secure::{Weights, evaluate};
use mpc_core::kernel::extension::{Field, Galois};
use mpc_core::link::Link;
use mpc_core::link::coin::{self, Coin};
use mpc_core::link::reshare::reshare;
use mpc_core::link::round;
use mpc_core::network::{Network, memory};
use mpc_core::party::{Computed, VerifiedParty};
use mpc_core::protocol::open::open;
use mpc_core::protocol::{product::mul, truncate::truncate};
use mpc_core::ring::{Arithmetic, Boolean, Tensor};
use mpc_core::security::{Active, Checks, Claimable, Digests, Operands, Parameters, Passive, Security, Standard};
use mpc_core::session::{Branch, Conditions, Mode};
use mpc_core::sharing::{ArithmeticShare, RangedShare, Share, reconstruct};
use mpc_core::testing::fault::{
    Corrupt, Place, Recording, Script, Sent, Tampering, run_verified_with_cheater, run_with_cheater,
};
use mpc_core::testing::protocols::{open_masked, random};
use mpc_core::testing::{
    self, Hook, Tap, computed, deal, deal_ranged, identity, mesh, parties, party, run_parties, vector,
};
use mpc_core::{Error, Party, Result, Role};
use ndarray::IxDyn;
use rand_core::{Rng, SeedableRng};

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect()
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// This party's additive part of the elementwise product.
fn part(x: &ArithmeticShare, y: &ArithmeticShare) -> Vec<u64> {
    let operands = x.own().iter().zip(x.next()).zip(y.own().iter().zip(y.next()));
    operands.map(|((&x, &xn), (&y, &yn))| x.wrapping_mul(y.wrapping_add(yn)).wrapping_add(xn.wrapping_mul(y))).collect()
}

/// The elementwise product of which the cheater has made something else by adding `error` to the first element.
fn wrong_product(party: &mut Party, x: &ArithmeticShare, y: &ArithmeticShare, error: u64) -> Result<ArithmeticShare> {
    let mut part = part(x, y);
    part[0] = part[0].wrapping_add(error);
    let z: ArithmeticShare = reshare(party.link(), x.shape(), part)?;
    party.record(|| u64::claim(Operands::<Arithmetic, _> { x: x.clone(), y: y.clone(), z: z.clone() }));
    Ok(z)
}

/// What a cheater saw, and how the session ended.
struct Run<T> {
    /// What it would have sent without its script.
    sent: Vec<Sent>,
    /// What the others sent to it, and who.
    told: Vec<(Role, Vec<u8>)>,
    ends: [Result<T>; 3],
}

/// Runs `program`; the cheater sends what the script says.
fn run<T: Send>(
    cheater: Role,
    script: &Script,
    security: fn() -> Box<dyn Security>,
    program: impl Fn(&mut Party) -> Result<T> + Sync,
) -> Run<T> {
    watch(cheater, script, security, |parties| run_with_cheater(cheater, parties, program))
}

/// The same, and verifies; `finish` goes on with what came of it.
fn run_verified<T, U: Send>(
    cheater: Role,
    script: &Script,
    security: fn() -> Box<dyn Security>,
    program: impl Fn(&mut Party) -> Result<T> + Sync,
    finish: impl Fn(&mut VerifiedParty, T) -> Result<U> + Sync,
) -> Run<U> {
    watch(cheater, script, security, |parties| run_verified_with_cheater(cheater, parties, program, finish))
}

/// Watches a session.
fn watch<T>(
    cheater: Role,
    script: &Script,
    security: fn() -> Box<dyn Security>,
    session: impl FnOnce([Party; 3]) -> [Result<T>; 3],
) -> Run<T> {
    let (recording, told) = (Recording::default(), Arc::new(Mutex::new(Vec::new())));
    let parties = mesh().map(|network| {
        if network.role() == cheater {
            let corrupt = Corrupt::new(Box::new(network), script.clone(), recording.clone());
            return party(corrupt, 1, security());
        }
        let told = told.clone();
        let hook: Hook = Arc::new(move |message| {
            if message.to == cheater {
                told.lock().expect("no panic").push((message.from, message.bytes.to_vec()));
            }
        });
        party(Tap::new(network, hook), 1, security())
    });
    let ends = session(parties);
    let told = std::mem::take(&mut *told.lock().expect("no panic"));
    Run { sent: recording.take(), told, ends }
}

fn passive() -> Box<dyn Security> {
    Box::new(Passive)
}

fn active<P: Parameters>() -> Box<dyn Security> {
    Box::new(Active::<P>::new(&[0; 32]))
}

/// The product without one of its checks.
macro_rules! without {
    ($name:ident: $($check:ident),*) => {
        struct $name;

        impl Parameters for $name {
            type Bits = Field;
            type Short = Galois<u16, 48>;
            type Narrow = Galois<u32, 48>;
            type Wide = Galois<u64, 48>;
            const CHECKS: Checks = Checks { $($check: false,)* ..Checks::ALL };
        }
    };
}
use without;
