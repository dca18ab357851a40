//! Numbers dealt within a range, lifted to Z_2^64: against integers, for all components of small ranges and random ones
//! of all ranges.

use mpc_core::protocol::lift::lift;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::session::Meter;
use mpc_core::sharing::{InputRange, RangedShare, reconstruct};
use mpc_core::testing::{deal_components, deal_ranged, three_parties};
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

fn range(k: u32) -> InputRange {
    InputRange::within(k + 2).expect("a range that can be dealt")
}

/// What components stand for, by the definition: the only other place where it is written down.
fn integer(k: u32, components: [u64; 3]) -> i128 {
    let modulus = 1i128 << k;
    let sum: i128 = components.iter().map(|&c| i128::from(c) % modulus).sum();
    let wraps = components.iter().fold(0, |w, &c| w ^ (i128::from(c) / modulus % 4));
    1 + sum - modulus * wraps
}

/// What the three parties make of components that somebody has dealt.
fn lifted(shares: &[RangedShare; 3]) -> Vec<i64> {
    let results = three_parties(1, |party| {
        let lifted = lift(party, &shares[party.role().index()])?;
        Ok((lifted, party.meter()))
    });
    let results = results.map(|result| result.expect("an honest run"));
    let n = shares[0].words().len() as u64;
    assert!(results.iter().all(|(_, meter)| meter.rounds == 2), "two rounds");
    let sent: u64 = results.iter().map(|(_, Meter { bytes_sent, .. })| bytes_sent).sum();
    assert!(sent <= 3 * 16 * n, "16 bytes for each number and party, at most");
    reconstruct::<Arithmetic, u64>(&results.map(|(share, _)| share))
        .expect("equal copies")
        .mapv(|x| x as i64)
        .into_iter()
        .collect()
}

/// The parties' shares of these components.
fn dealt(k: u32, components: &[[u64; 3]]) -> [RangedShare; 3] {
    let component = |slot: usize| {
        let words = components.iter().map(|components| components[slot]).collect();
        Tensor::from_shape_vec(&[components.len()][..], words).expect("one dimension")
    };
    deal_components(&[0, 1, 2].map(component), range(k))
}

#[test]
fn all_components_of_small_ranges() {
    for k in 1..=3 {
        let all = 0..1u64 << (k + 2);
        let triples = all.clone().flat_map(|a| all.clone().map(move |b| [a, b]));
        let triples: Vec<[u64; 3]> = triples.flat_map(|[a, b]| all.clone().map(move |c| [a, b, c])).collect();
        for (&components, x) in triples.iter().zip(lifted(&dealt(k, &triples))) {
            assert_eq!(i128::from(x), integer(k, components), "k = {k}, components {components:?}");
            assert!(x.abs() < 3 << k);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn any_components_of_any_range(seed: u64) {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        for k in 1..=60 {
            // Bits above those of a component do not count.
            let extreme = [[0; 3], [u64::MAX; 3], [0, (1 << (k + 2)) - 1, 1 << k]];
            let components: Vec<[u64; 3]> =
                (0..70).map(|_| [(); 3].map(|()| rng.next_u64())).chain(extreme).collect();
            for (&components, x) in components.iter().zip(lifted(&dealt(k, &components))) {
                prop_assert_eq!(i128::from(x), integer(k, components), "k = {}, components {:x?}", k, components);
                prop_assert!(i128::from(x).abs() < 3 << k);
            }
        }
    }

    #[test]
    fn an_honest_dealer_is_understood(seed: u64) {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        for k in 1..=60 {
            let largest = 1i64 << k;
            let mut secrets = vec![0, 1, -1, largest, -largest, largest - 1, 1 - largest];
            secrets.extend((0..64).map(|_| (rng.next_u64() as i64 >> (63 - k)).clamp(-largest, largest)));
            let words = secrets.iter().map(|&x| x as u64).collect();
            let secret = Tensor::from_shape_vec(&[secrets.len()][..], words).expect("one dimension");
            prop_assert_eq!(lifted(&deal_ranged(&secret, range(k))), secrets, "k = {}", k);
        }
    }
}
