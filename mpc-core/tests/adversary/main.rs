//! One party cheats in one message of a session: the honest parties abort, or the client has the right answer.
//!
//! Every message that the corrupt party sends gets every kind of fault, injected above the transport, in every protocol
//! and for every corrupt party. `MPC_FAULTS=100000` goes on with new seeds until that many faults were counted,
//! `MPC_SEED=7` starts at another seed.

mod programs;
mod suite;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::{Network, memory};
use mpc_core::session::Mode;
use mpc_core::testing::fault::Fault;

use programs::{NETWORK, PROTOCOLS, Program};
use suite::{Case, Outcome, Suite, Tally};

fn in_memory(deadline: Duration) -> [Box<dyn Network>; 3] {
    memory::mesh(deadline).map(|network| Box::new(network) as Box<dyn Network>)
}

fn cases(programs: &[Program], seed: u64) -> Vec<Case> {
    let each = |program: &Program| Role::ALL.map(|cheater| Case { program: *program, cheater, seed });
    programs.iter().flat_map(each).collect()
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Rounds of all cases, until as many faults were counted as the environment asks for.
fn assert_never_wrong(suite: &Suite, programs: &[Program]) {
    let (faults, first) = (number("MPC_FAULTS").unwrap_or(1), number("MPC_SEED").unwrap_or(1));
    let mut tally = Tally::default();
    for seed in first.. {
        tally.absorb(suite.attack(cases(programs, seed)));
        if tally.counted() >= faults as usize {
            break;
        }
    }
    eprintln!("{tally}");
    let first = &tally.wrong[..tally.wrong.len().min(20)];
    assert!(first.is_empty(), "wrong answers, the first of them:\n{}", first.join("\n"));
    for fault in Fault::ALL {
        assert!(tally.of(fault) > 0, "{fault:?} occurs");
        let count = |outcome| tally.count(fault, outcome);
        match fault {
            Fault::Drop => {}
            Fault::Delay => assert_eq!(count(Outcome::Right), tally.of(fault), "a delay changes nothing"),
            _ => assert_eq!(count(Outcome::Aborted) + count(Outcome::Framing), 0, "{fault:?} is found by a check"),
        }
    }
}

/// The judge must see wrong answers where nothing prevents them.
#[test]
fn without_checks_every_program_gives_wrong_answers() {
    let suite = Suite { connect: &in_memory, mode: Mode::Passive, patience: Duration::from_millis(20), threads: 2 };
    for program in PROTOCOLS.iter().chain([&NETWORK]) {
        let tally = suite.attack(cases(&[*program], 1));
        assert!(!tally.wrong.is_empty(), "{}\n{tally}", program.name);
    }
}

#[test]
fn in_memory_no_fault_gives_a_wrong_answer() {
    let suite = Suite { connect: &in_memory, mode: Mode::Active, patience: Duration::from_millis(20), threads: 2 };
    assert_never_wrong(&suite, &[PROTOCOLS, &[NETWORK]].concat());
}

/// Sessions between three servers, over the same connections.
#[cfg(feature = "quic")]
#[test]
fn over_quic_no_fault_gives_a_wrong_answer() {
    let servers = mpc_core::testing::loopback::Loopback::start();
    let sessions = AtomicU64::new(0);
    let connect = |deadline| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&sessions.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        // A machine that stands still for long loses its connections, which come back.
        servers.connected();
        let networks = servers.enter(id, deadline).expect("all are connected");
        networks.map(|network| Box::new(network) as Box<dyn Network>)
    };
    let suite = Suite { connect: &connect, mode: Mode::Active, patience: Duration::from_millis(100), threads: 2 };
    let few = ["mul u64", "relu", "open_masked"];
    let programs = PROTOCOLS.iter().filter(|program| number("MPC_FAULTS").is_some() || few.contains(&program.name));
    assert_never_wrong(&suite, &programs.copied().collect::<Vec<_>>());
}
