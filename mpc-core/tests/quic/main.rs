//! Three meshes on loopback, in one process: sessions, failures, trust.
#![cfg(feature = "quic")]

mod trust;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mpc_core::error::Step;
use mpc_core::network::Network;
use mpc_core::network::endpoint::{self, peer_fingerprint};
use mpc_core::network::identity::{Fingerprint, Identity};
use mpc_core::network::quic::QuicNetwork;
use mpc_core::network::reach;
use mpc_core::network::stream;
use mpc_core::network::tls;
use mpc_core::session::Branch;
use mpc_core::testing::loopback::{DEADLINE, Loopback, Server};
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use mpc_core::wire::message::{MAX_CONTROL, Purpose};
use mpc_core::{Error, Result, Role};
use proptest::prelude::*;
use quinn::crypto::rustls::QuicClientConfig;

/// An endpoint gives its port back in its own time.
fn rebind(address: SocketAddr) -> UdpSocket {
    std::iter::repeat_with(|| UdpSocket::bind(address)).find_map(|socket| socket.ok()).expect("endless")
}

/// Runs a closure as the three parties, each on a thread of its own in the same session.
fn session<T: Send>(
    three: &Loopback,
    id: u8,
    program: impl Fn(&mut QuicNetwork) -> Result<T> + Sync,
) -> [Result<T>; 3] {
    session_within(three, id, DEADLINE, program)
}

/// As [`session`]; no wait in it is longer than `deadline`.
fn session_within<T: Send>(
    three: &Loopback,
    id: u8,
    deadline: Duration,
    program: impl Fn(&mut QuicNetwork) -> Result<T> + Sync,
) -> [Result<T>; 3] {
    std::thread::scope(|scope| {
        let running = Role::ALL.map(|role| {
            let (mesh, program) = (&three.parties[role.index()].mesh, &program);
            scope.spawn(move || program(&mut mesh.session([id; 32], deadline)?))
        });
        running.map(|thread| thread.join().expect("no panic"))
    })
}

/// Sessions work again after a restart: at once, or when the one who still held the old connection has noticed.
fn works_again(three: &Loopback) {
    let works = (100..130).any(|id| {
        three.connected();
        let got = session_within(three, id, Duration::from_secs(2), |network| pass(network, b"after"));
        got == [(); 3].map(|()| Ok(b"after".to_vec()))
    });
    assert!(works, "no session in thirty attempts");
}

/// One round around the ring: what the previous party sent, as long as the own message.
fn pass(network: &mut dyn Network, message: &[u8]) -> Result<Vec<u8>> {
    let role = network.role();
    network.send(role.next(), message)?;
    let mut got = vec![0; message.len()];
    network.recv(role.prev(), &mut got)?;
    network.flush()?;
    Ok(got)
}

fn message(role: Role, length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| (i as u8).wrapping_mul(31) ^ (i >> 8) as u8 ^ seed ^ ((role.index() as u8) << 6)).collect()
}

#[test]
fn messages_arrive_whole_and_in_order() {
    let three = Loopback::start();
    let cases = (prop::collection::vec(0usize..40_000, 1..40), any::<u8>());
    proptest!(ProptestConfig::with_cases(8), |((lengths, id) in cases)| {
        let got = session(&three, id, |network| {
            for (step, length) in lengths.iter().enumerate() {
                let role = network.role();
                let got = pass(network, &message(role, *length, step as u8))?;
                assert_eq!(got, message(role.prev(), *length, step as u8));
            }
            Ok(())
        });
        prop_assert_eq!(got, [Ok(()), Ok(()), Ok(())]);
    });
}

#[test]
fn everybody_sends_8_mib_to_both_before_reading() {
    const LENGTH: usize = 8 << 20;
    let three = Loopback::start();
    let got = session(&three, 1, |network| {
        let role = network.role();
        for peer in [role.next(), role.prev()] {
            network.send(peer, &message(role, LENGTH, 0))?;
            network.send(peer, &message(role, LENGTH, 1))?;
        }
        for peer in [role.prev(), role.next()] {
            for seed in 0..2 {
                let mut got = vec![0; LENGTH];
                network.recv(peer, &mut got)?;
                assert!(got == message(peer, LENGTH, seed));
            }
        }
        network.flush()
    });
    assert_eq!(got, [Ok(()), Ok(()), Ok(())]);
}

#[test]
fn branches_have_streams_of_their_own() {
    let three = Loopback::start();
    let got = session(&three, 1, |network| {
        let role = network.role();
        // The parties use the two branches in different orders, which one stream for both would not survive.
        let slots = if role == Role::P1 { [1, 0] } else { [0, 1] };
        let mut branches = Vec::new();
        for slot in slots {
            let mut branch = network.branch(Branch::ROOT.child(slot))?;
            branch.send(role.next(), &[slot as u8; 5])?;
            branches.push((slot, branch));
        }
        for (slot, branch) in &mut branches {
            let mut got = [9; 5];
            branch.recv(role.prev(), &mut got)?;
            assert_eq!(got, [*slot as u8; 5]);
            branch.flush()?;
        }
        pass(network, b"root")
    });
    assert_eq!(got.map(|got| got.unwrap()), [b"root", b"root", b"root"]);
}

#[test]
fn another_length_is_malformed_and_ends_the_session_everywhere() {
    let three = Loopback::start();
    let got = session(&three, 1, |network| {
        let length = if network.role() == Role::P1 { 11 } else { 10 };
        network.send(network.role().next(), &vec![0; length])?;
        let mut got = [0; 10];
        network.recv(network.role().prev(), &mut got)?;
        network.recv(network.role().prev(), &mut got)
    });
    let malformed = Error::Malformed { peer: Role::P1, expected: "10 bytes".into(), got: "11 bytes".into() };
    assert_eq!(got[2], Err(malformed));
    for other in &got[..2] {
        assert!(matches!(other, Err(Error::Transport { .. })), "{other:?}");
    }
}

#[test]
fn an_aborted_session_ends_everywhere_and_its_name_is_free_again() {
    let three = Loopback::start();
    let started = Instant::now();
    let got = session(&three, 1, |network| {
        if network.role() == Role::P0 {
            let cancel = network.cancel();
            std::thread::spawn(move || cancel.abort("the client left"));
        }
        network.recv(network.role().next(), &mut [0])
    });
    assert_eq!(got[0], Err(Error::Aborted("the client left".into())));
    for other in &got[1..] {
        assert!(matches!(other, Err(Error::Transport { .. })), "{other:?}");
    }
    assert!(started.elapsed() < DEADLINE, "nobody ran into the deadline");
}

#[test]
fn cheating_found_in_one_branch_reaches_everybody_by_its_step() {
    let three = Loopback::start();
    for (id, step) in (0..).zip(Step::ALL) {
        let got = session(&three, id, |network| {
            let mut branch = network.branch(Branch::ROOT.child(0))?;
            if network.role() == Role::P1 {
                branch.abort(&Error::Cheating { step });
            }
            // The others wait for each other, in another branch than the one in which it was found.
            network.recv(if network.role() == Role::P0 { Role::P2 } else { Role::P0 }, &mut [0])
        });
        assert_eq!(got, [(); 3].map(|()| Err(Error::Cheating { step })));
    }
}

#[test]
fn a_running_session_is_not_entered_twice() {
    let three = Loopback::start();
    let mesh = &three.parties[0].mesh;
    let first = mesh.session([1; 32], DEADLINE).unwrap();
    assert!(matches!(mesh.session([1; 32], DEADLINE), Err(Error::Invalid { .. })));
    drop(first);
    assert!(mesh.session([1; 32], DEADLINE).is_ok(), "the name is free again");
}

#[test]
fn a_silent_peer_is_a_timeout_that_names_it() {
    let three = Loopback::start();
    let short = Duration::from_millis(20);
    let mut network = three.parties[0].mesh.session([1; 32], short).unwrap();
    let got = network.recv(Role::P2, &mut [0]);
    assert_eq!(got, Err(Error::Timeout { peer: Role::P2, step: "receive", waited: short }));
}

#[test]
fn a_dead_peer_ends_its_sessions_and_is_found_again_after_its_restart() {
    let mut three = Loopback::start();
    let address = three.parties[2].mesh.local_address().unwrap();
    let got = session(&three, 1, |network| {
        let role = network.role();
        pass(network, b"before")?;
        if role == Role::P2 {
            three.parties[2].io.handle().block_on(three.parties[2].mesh.close("going down"));
        }
        // The survivors wait for each other and hear of P2's death all the same.
        network.recv(if role == Role::P1 { Role::P0 } else { Role::P1 }, &mut [0])
    });
    for survivor in &got[..2] {
        let Err(Error::Transport { peer: Role::P2, reason, .. }) = survivor else { panic!("{survivor:?}") };
        let told = "it was told to end the session";
        assert!([told, "going down", "P0 has lost it", "P1 has lost it"].contains(&reason.as_str()), "{reason}");
    }
    three.parties.pop();
    let restarted = three.server(Role::P2, rebind(address));
    three.parties.push(restarted);
    works_again(&three);
}

#[test]
fn a_killed_peer_is_missed_as_soon_as_it_is_back() {
    let mut three = Loopback::start();
    let killed = three.parties.pop().unwrap();
    let address = killed.mesh.local_address().unwrap();
    let meshes = [0, 1].map(|i| three.parties[i].mesh.clone());
    std::thread::scope(|scope| {
        let waiting = meshes.map(|mesh| scope.spawn(move || mesh.session([1; 32], DEADLINE)?.recv(Role::P2, &mut [0])));
        // Without its I/O thread nobody says goodbye.
        drop(killed);
        let restarted = three.server(Role::P2, rebind(address));
        three.parties.push(restarted);
        let reasons = waiting.map(|thread| match thread.join().unwrap() {
            Err(Error::Transport { peer: Role::P2, reason, .. }) => reason,
            other => panic!("{other:?}"),
        });
        // Whoever notices first tells the other.
        assert!(reasons.iter().any(|reason| reason == "it has restarted"), "{reasons:?}");
    });
    works_again(&three);
}

#[test]
fn neighbours_export_the_same_keys_and_every_session_has_its_own() {
    let three = Loopback::start();
    let keys = |id| session(&three, id, |network| network.prss_keys()).map(|keys| keys.unwrap());
    let (first, second) = (keys(1), keys(2));
    for role in Role::ALL {
        assert_eq!(first[role.index()].1, first[role.next().index()].0, "{role} and the next share a key");
    }
    let mut all: Vec<_> = first.iter().chain(&second).map(|(own, _)| own.to_vec()).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6, "no two keys are equal");
}

#[test]
fn control_streams_carry_messages_and_the_name_of_the_peer() {
    let mut three = Loopback::start();
    let asker = three.parties[2].mesh.clone();
    let Server { inbox, io, .. } = &mut three.parties[0];
    io.handle().block_on(async {
        let (mut send, mut recv) = asker.control(Role::P0).await.unwrap();
        stream::send(&mut send, &"question".to_owned()).await.unwrap();
        let mut control = inbox.controls.recv().await.unwrap();
        assert_eq!(control.peer, Role::P2);
        assert_eq!(stream::receive::<String>(&mut control.recv, MAX_CONTROL).await.unwrap(), "question");
        stream::send(&mut control.send, &42u64).await.unwrap();
        assert_eq!(stream::receive::<u64>(&mut recv, MAX_CONTROL).await.unwrap(), 42);
        // A length of almost 2^32 is refused before memory is taken.
        control.send.write_all(&[0xff; 8]).await.unwrap();
        let refused = stream::receive::<u64>(&mut recv, MAX_CONTROL).await.unwrap_err().to_string();
        assert!(refused.contains("4294967295 bytes"), "{refused}");
    });
}
