//! The code of the check against its mathematics: one false claim over Z_2^b through [`Active`], with every challenge,
//! every error in the table and every error in the mask's products.
//!
//! As (2^(16-b) x) y = 2^(16-b) z modulo 2^16, errors are multiples of 2^(16-b): the code computes in Z_2^16[X] / f,
//! and on them as in Z_2^b[X] / f.

use std::sync::{Arc, Mutex};

use mpc_core::Error;
use mpc_core::error::Step;
use mpc_core::kernel::extension::{Field, Galois};
use mpc_core::link::Link;
use mpc_core::network::Network;
use mpc_core::prss::Prss;
use mpc_core::ring::Tensor;
use mpc_core::role::Role;
use mpc_core::security::{Active, Checks, Claim, Claimable, Operands, Parameters, Security};
use mpc_core::sharing::{ArithmeticShare, Share};
use mpc_core::testing::chosen::{self, Chosen};
use mpc_core::testing::small::Small;
use mpc_core::testing::{Hook, Message, Tap, mesh};
use ndarray::IxDyn;
use zeroize::Zeroizing;

use super::check::game;
use super::ring::Ring;
use super::{assert_row, grouped};

/// Four challenges, and only the check of products.
struct Tiny;

impl Parameters for Tiny {
    type Bits = Field;
    type Short = Chosen<Galois<u16, 2>>;
    type Narrow = Galois<u32, 2>;
    type Wide = Galois<u64, 4>;
    const CHECKS: Checks = Checks { coins: false, openings: false, transcript: false, ..Checks::ALL };
}

/// What a cheater does, as elements of the tiny ring.
#[derive(Debug, Clone, Copy)]
struct Deviation {
    /// In the product.
    product: usize,
    /// In the table at infinity.
    table: usize,
    /// In the products of the mask.
    mask: [usize; 2],
}

/// As bits of challenges: the column's weight, the table's point, the joining weight, the mask's.
type Challenges = [u64; 4];

/// Whether P_{c-1}, which holds the errors, takes the claim for right, case by case.
fn accepted<const B: u32>(ring: &Ring, cheater: Role, cases: &[(Deviation, Challenges)]) -> Vec<bool> {
    let words = |elements: &[usize]| -> Vec<u16> {
        let word = |x: usize, k: u32| (ring.coefficient(x, k) as u16) << (16 - B);
        elements.iter().flat_map(|&x| (0..ring.d).map(move |k| word(x, k))).collect()
    };
    // To the previous party go, for each case, the table and the mask's products.
    let errors: Vec<Vec<u16>> = cases.iter().flat_map(|(d, _)| [words(&[d.table]), words(&d.mask)]).collect();
    let sent = Mutex::new(0);
    let cheating: Hook = Arc::new(move |message: Message<'_>| {
        if message.from == cheater && message.to == cheater.prev() {
            let mut sent = sent.lock().expect("no panic while locked");
            let words = message.bytes.as_chunks_mut::<2>().0;
            assert_eq!(words.len(), errors[*sent].len(), "a table of one entry, or two products");
            for (word, error) in words.iter_mut().zip(&errors[*sent]) {
                *word = u16::from_le_bytes(*word).wrapping_add(*error).to_le_bytes();
            }
            *sent += 1;
        }
    });
    let verdicts = std::thread::scope(|scope| {
        let running = mesh().map(|network| {
            let role = network.role();
            let hook: Hook = if role == cheater { cheating.clone() } else { Arc::new(|_: Message<'_>| ()) };
            scope.spawn(move || {
                let [own, next] = [role, role.next()].map(|key| Zeroizing::new([key.index() as u8; 32]));
                let mut link = Link::new(Box::new(Tap::new(network, hook)), Prss::new(own, next));
                let mut security = Active::<Tiny>::new(&[0; 32]);
                let mut verdict = |(case, (deviation, challenges)): (usize, &(Deviation, Challenges))| {
                    chosen::choose(*challenges);
                    security.record(claim::<B>(role, cheater, case as u64, deviation.product as u64));
                    let verdict = security.verify(&mut link);
                    assert_eq!(chosen::left(), 0, "as many as are drawn");
                    match verdict {
                        Ok(_) => true,
                        Err(Error::Cheating { step: Step::Products }) => false,
                        Err(other) => panic!("{other}"),
                    }
                };
                cases.iter().enumerate().map(&mut verdict).collect::<Vec<_>>()
            })
        });
        running.map(|party| party.join().expect("no party panics"))
    });
    verdicts[cheater.prev().index()].clone()
}

/// The claim of `role`: components of x and y vary with the case, and P_{c-1} holds `error` in component c of their
/// product.
fn claim<const B: u32>(role: Role, cheater: Role, case: u64, error: u64) -> Claim {
    let [x, y] = [[case, case / 3, 5], [case / 7, 3, case / 2]];
    let [a, b] = [x, y].map(|components| components.iter().sum::<u64>());
    let z = [case / 5, 11, (a * b).wrapping_sub(case / 5 + 11)];
    let share = |components: [u64; 3], error: u64| -> ArithmeticShare<Small<B>> {
        let component = |slot: Role| {
            let error = if role == cheater.prev() && slot == cheater { error } else { 0 };
            let word = components[slot.index()].wrapping_add(error);
            Tensor::from_elem(IxDyn(&[1]), <Small<B> as mpc_core::ring::Word>::from_u64(word))
        };
        Share::new(component(role), component(role.next()))
    };
    Small::claim(Operands { x: share(x, 0), y: share(y, 0), z: share(z, error) })
}

/// What the mathematics says.
fn passes(ring: &Ring, deviation: Deviation, challenges: Challenges) -> bool {
    let [weight, point, joining, mask] = challenges.map(|bits| ring.challenges()[bits as usize]);
    let bound = ring.at([ring.mul(weight, deviation.product), 0, deviation.table], point);
    let joined = ring.mul(joining, bound);
    let [e1, e2] = deviation.mask;
    ring.add(joined, ring.mul(mask, ring.add(e1, ring.mul(mask, e2)))) == 0
}

/// Runs all cases with every cheater, holds the verdicts against the mathematics, and returns them.
fn agree<const B: u32>(name: &str, ring: &Ring, cases: &[(Deviation, Challenges)]) -> Vec<bool> {
    let expected: Vec<bool> =
        cases.iter().map(|&(deviation, challenges)| passes(ring, deviation, challenges)).collect();
    for cheater in Role::ALL {
        let accepted = accepted::<B>(ring, cheater, cases);
        let differs = (0..cases.len()).find(|&case| accepted[case] != expected[case]);
        assert!(differs.is_none(), "{name}: {cheater}, {:?}", differs.map(|case| cases[case]));
    }
    let accepted = expected.iter().filter(|accepted| **accepted).count();
    let size = format!("{} x {B}", ring.d);
    assert_row(&[name, &size, &grouped(3 * cases.len()), &grouped(3 * accepted)]);
    expected
}

/// All challenges for the table, and one for the mask.
fn all_challenges() -> impl Iterator<Item = [u64; 3]> {
    (0..64).map(|bits| [bits % 4, bits / 4 % 4, bits / 16])
}

/// The whole game with one bit: everything that a cheater can add, under every challenge.
#[test]
fn the_code_is_passed_as_often_as_the_best_cheater_can() {
    let ring = Ring::new(1, 2);
    let mut cases = Vec::new();
    // In the order in which things become known.
    for weight in 0..4 {
        for table in ring.elements() {
            for (point, joining) in (0..4).flat_map(|point| (0..4).map(move |joining| (point, joining))) {
                for mask in ring.elements().flat_map(|e1| ring.elements().map(move |e2| [e1, e2])) {
                    let deviation = Deviation { product: 1, table, mask };
                    cases.extend((1..4).map(|t| (deviation, [weight, point, joining, t])));
                }
            }
        }
    }
    let accepted = agree::<1>("all errors, all challenges", &ring, &cases);
    let best = |accepted: &[bool]| -> usize {
        let joined = |masks: &[bool]| masks.chunks(3).map(|t| t.iter().filter(|a| **a).count()).max().expect("masks");
        let table = |table: &[bool]| table.chunks(16 * 3).map(joined).sum::<usize>();
        accepted.chunks(16 * 16 * 3).map(table).max().expect("tables")
    };
    let value: usize = accepted.chunks(4 * 16 * 16 * 3).map(best).sum();
    assert_eq!(value, game(&ring, 1, 0), "the game's value by the code's own verdicts");
}

/// Three bits: every error in the product and the table, under every challenge but the mask's.
#[test]
fn the_code_binds_a_table_as_the_mathematics_says() {
    let ring = Ring::new(3, 2);
    let deviations =
        (1..8).flat_map(|product| ring.elements().map(move |table| Deviation { product, table, mask: [0; 2] }));
    let cases: Vec<_> = deviations
        .flat_map(|deviation| {
            all_challenges().map(move |[weight, point, joining]| (deviation, [weight, point, joining, 2]))
        })
        .collect();
    agree::<3>("errors in product and table", &ring, &cases);
}

/// Three bits: an error that a claim has after the table, and every error in one of the mask's products beside one in
/// the other.
#[test]
fn the_code_masks_as_the_mathematics_says() {
    let ring = Ring::new(3, 2);
    let pairs = || ring.elements().flat_map(|e1| ring.elements().map(move |e2| [e1, e2]));
    let cases: Vec<_> = [1, 4]
        .into_iter()
        .flat_map(|product| pairs().map(move |mask| Deviation { product, table: 0, mask }))
        .flat_map(|deviation| (1..4).map(move |t| (deviation, [1, 0, 1, t])))
        .collect();
    agree::<3>("errors in the mask", &ring, &cases);
}
