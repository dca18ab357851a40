//! Three real parties hold nothing in memory of a question that they have answered.
#![cfg(target_os = "linux")]

#[cfg(test)]
mod common;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a module of mpc-core, whose feature `testing` the servers under test must not have"
)]
#[path = "../../mpc-core/src/testing/traces.rs"]
mod traces;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use common::{Parties, TestModel, finish, run, run_within};
use mpc_core::Role;
use mpc_core::network::stream::send_dealt;
use mpc_core::ring::Tensor;
use mpc_core::sharing::{Component, Dealt, InputRange, RangedShare, share_ranged};
use traces::Marks;

const SAMPLES: usize = 200;
const SHAPE: [usize; 4] = [SAMPLES, 1, 2, 2];

/// The seeds that a party received, their expansions, and the component it received in full.
fn marks(dealt: &Dealt<u64>, range: InputRange) -> Marks {
    let bytes = |words: &Tensor<u64>| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let counted = RangedShare::from_dealt(dealt, &SHAPE, range);
    let mut all = [bytes(counted.words().own()), bytes(counted.words().next())].concat();
    for component in [&dealt.own, &dealt.next] {
        if let Component::Seed(seed) = component {
            all.extend_from_slice(&seed.0[..]);
        }
        all.extend(bytes(&component.expand(&SHAPE)));
    }
    Marks::of(&all)
}

/// Where a process holds the marks. The conversations go on meanwhile.
async fn found(process: u32, marks: &Arc<Marks>) -> Vec<(String, usize)> {
    let marks = marks.clone();
    let search = tokio::task::spawn_blocking(move || marks.find(process));
    search.await.expect("a search").expect("memory of a child")
}

#[test]
fn a_party_forgets_what_it_was_asked_about() {
    // Looking takes seconds, during which two wait for the third.
    let parties = Parties::start("wait_s = 120");
    let model = TestModel::first_three_pixels(1);
    run_within(Duration::from_secs(90), async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&parties.client).await;
        let pixels = (0..SAMPLES as u64 * 4).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 47).collect();
        let range = model.graph.input_range();
        let dealt = share_ranged(&Tensor::from_shape_vec(&SHAPE[..], pixels).unwrap(), range).unwrap();
        let marks = dealt.each_ref().map(|dealt| Arc::new(marks(dealt, range)));

        let mut conversations = client.begin(&model, SAMPLES).await.expect("all accept");
        for role in [Role::P0, Role::P1] {
            send_dealt(&mut conversations[role.index()].send, &dealt[role.index()], range.bytes()).await.unwrap();
        }
        // They wait for P2, which has no input yet.
        for role in [Role::P0, Role::P1] {
            while found(parties.id(role), &marks[role.index()]).await.is_empty() {}
        }
        send_dealt(&mut conversations[2].send, &dealt[2], range.bytes()).await.unwrap();
        finish(conversations, SAMPLES).await.expect("labels");
        // The threads of the session end when the answer has left.
        for role in Role::ALL {
            while let left = found(parties.id(role), &marks[role.index()]).await
                && !left.is_empty()
            {
                eprintln!("{role} still has {left:?}");
            }
        }
    });
}

#[test]
fn a_crash_would_write_no_memory_to_the_disk() {
    let parties = Parties::start("");
    run(async {
        parties.connect(&parties.client).await;
    });
    for role in Role::ALL {
        let limits = fs::read_to_string(format!("/proc/{}/limits", parties.id(role))).expect("limits of a child");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of core files");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    }
}
