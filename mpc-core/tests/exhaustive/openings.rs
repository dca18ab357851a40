//! Openings in two copies: whoever is told something wrong ends the session, whoever is not has the right value.

use std::sync::{Arc, Mutex};

use mpc_core::Error;
use mpc_core::Role;
use mpc_core::error::Step;
use mpc_core::network::Network;
use mpc_core::ring::{Arithmetic, Word};
use mpc_core::security::{Active, Standard};
use mpc_core::sharing::Share;
use mpc_core::testing::protocols::open_masked;
use mpc_core::testing::small::Small;
use mpc_core::testing::{Hook, Message, Tap, mesh, party, run_parties};

use super::session::tensor;
use super::{assert_row, grouped};

type Three = Small<3>;

/// All sharings modulo 8, and every pair of errors in the two messages of every party.
#[test]
fn an_opening_is_right_or_ends_the_session() {
    let cases: Vec<([u64; 3], [u8; 2])> = (0..512u64)
        .flat_map(|x| (0..64u8).map(move |errors| ([x % 8, x / 8 % 8, x / 64], [errors % 8, errors / 8])))
        .collect();
    let mut ended = 0;
    for cheater in Role::ALL {
        let (errors, sent) = (cases.clone(), Mutex::new([0; 3]));
        let cheating: Hook = Arc::new(move |message: Message<'_>| {
            if message.from == cheater {
                let case = &mut sent.lock().expect("no panic while locked")[message.to.index()];
                let error = errors[*case].1[usize::from(message.to == cheater.prev())];
                message.bytes[0] = message.bytes[0].wrapping_add(error);
                *case += 1;
            }
        });
        let parties = mesh().map(|network| {
            let hook: Hook = if network.role() == cheater { cheating.clone() } else { Arc::new(|_: Message<'_>| ()) };
            party(Tap::new(network, hook), 1, Box::new(Active::<Standard>::new(&[0; 32])))
        });
        let ends = run_parties(parties, |party| {
            let held = [party.role().index(), party.role().next().index()];
            let mut open = |(x, _): &([u64; 3], [u8; 2])| {
                let [own, next] = held.map(|slot| tensor::<Three>(&[1], [x[slot]].into_iter()));
                match open_masked(party, &Share::<Arithmetic, Three>::new(own, next)) {
                    Ok((opened, mask)) => Some((opened[[0]], [mask.own()[[0]], mask.next()[[0]]])),
                    Err(Error::Cheating { step: Step::Opening }) => None,
                    Err(other) => panic!("{other}"),
                }
            };
            Ok(cases.iter().map(&mut open).collect::<Vec<_>>())
        });
        let ends = ends.map(|end| end.expect("both copies of each opening are read"));
        for (case, (x, errors)) in cases.iter().enumerate() {
            let of = |role: Role| ends[role.index()][case];
            let (_, [mask, next]) = of(cheater).expect("nobody deceives the cheater");
            for (role, error) in [(cheater.next(), errors[0]), (cheater.prev(), errors[1])] {
                assert_eq!(of(role).is_none(), error != 0, "{cheater} adds {error} to what it tells {role} of {x:?}");
                let Some((opened, masks)) = of(role) else {
                    ended += 1;
                    continue;
                };
                // The component of the mask that the cheater lacks.
                let third = if role == cheater.next() { masks[1] } else { masks[0] };
                let secret = x.iter().fold(Three::ZERO, |sum, &part| sum.wrapping_add(Three::from_u64(part)));
                let sum = [mask, next, third].into_iter().fold(secret, Word::wrapping_add);
                assert_eq!(opened, sum, "{role} opens {x:?} with {errors:?}");
            }
        }
    }
    assert_row(&["masked opening", "3", "all 512", "6", "to all messages", &grouped(3 * cases.len()), &grouped(ended)]);
}
