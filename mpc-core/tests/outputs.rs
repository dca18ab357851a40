//! What `docs/argument.md` says of roundings and of the components of what is handed out, counted on the 8-bit ring:
//! all values, and as many of their sharings as it takes.

use std::collections::HashMap;

use mpc_core::protocol::compare::{Width, coarse, msb};
use mpc_core::protocol::truncate::truncate;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::sharing::{ArithmeticShare, Share, reconstruct};
use mpc_core::testing::{revealed, three_parties, vector};
use mpc_core::{Party, Result, Role};

/// The components of sharings of one number each.
type Components = [Vec<u8>; 3];

/// What the three parties make of these sharings.
fn run<T: Send>(
    components: &Components,
    protocol: impl Fn(&mut Party, &ArithmeticShare<u8>) -> Result<T> + Sync,
) -> [T; 3] {
    let results = three_parties(7, |party| {
        let [own, next] = [party.role(), party.role().next()].map(|role| vector(&components[role.index()]));
        protocol(party, &Share::new(own, next))
    });
    results.map(|result| result.expect("an honest run succeeds"))
}

/// Sharings of all 256 values, each with all first and some second components.
fn all_values() -> Components {
    let all = || (0..=255u8).flat_map(|x| (0..=255u8).flat_map(move |a| [0, 77, 190].map(|b| (x, a, b))));
    [
        all().map(|(_, a, _)| a).collect(),
        all().map(|(_, _, b)| b).collect(),
        all().map(|(x, a, b)| x.wrapping_sub(a).wrapping_sub(b)).collect(),
    ]
}

/// All sharings of `x`.
fn all_sharings(x: u8) -> Components {
    let all = || (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b)));
    [
        all().map(|(a, _)| a).collect(),
        all().map(|(_, b)| b).collect(),
        all().map(|(a, b)| x.wrapping_sub(a).wrapping_sub(b)).collect(),
    ]
}

fn sharings(components: &Components) -> impl Iterator<Item = [u8; 3]> {
    let [a, b, c] = components;
    a.iter().zip(b).zip(c).map(|((&a, &b), &c)| [a, b, c])
}

/// floor of the sum of the lowest bits over 2^bits.
fn carry_of(components: [u8; 3], bits: u32) -> u8 {
    (components.iter().map(|&c| u32::from(c) % (1 << bits)).sum::<u32>() >> bits) as u8
}

fn sum(components: [u8; 3]) -> u8 {
    components.iter().fold(0, |sum, &c| sum.wrapping_add(c))
}

/// Lemma 6.
fn truncated([a, b, c]: [u8; 3], m: u32) -> u8 {
    let offset = 72 >> m;
    let s = [a.wrapping_add((offset << m) + (1 << (m - 1)) - 1), b, c];
    let (n, total) = (sum(s), s.iter().map(|&part| u32::from(part)).sum::<u32>());
    let first_two = (s[0] >> 3) + (s[1] >> 3);
    let wraps = (first_two >> 5) + (first_two >> 4 & 1 | s[2] >> 7);
    let h = wraps.wrapping_sub((total >> 8) as u8);
    (n >> m).wrapping_sub(offset).wrapping_add(1).wrapping_sub(carry_of(s, m)).wrapping_sub(h << (8 - m))
}

#[test]
fn a_truncation_is_the_stated_function_of_the_components_for_every_value() {
    let components = all_values();
    for m in 1..=5 {
        let y = reconstruct(&run(&components, |party, x| truncate(party, x, m))).expect("consistent shares");
        for (components, &y) in sharings(&components).zip(&y) {
            assert_eq!(y, truncated(components, m), "m = {m}, {components:?}");
        }
    }
}

#[test]
fn a_comparison_is_the_stated_function_of_the_components_for_every_value() {
    let components = all_values();
    // Lemma 7: what is left of a number, modulo 2^8.
    let left = |x: [u8; 3], t: u32| (sum(x) >> t).wrapping_sub(carry_of(x, t));
    for (bits, drop) in [(4, 1), (5, 2), (6, 1), (6, 2), (6, 3)] {
        let width = Width { bits, drop };
        let signs = run(&components, |party, x| {
            let (kept, k) = coarse(x, width);
            assert_eq!(k, bits - drop + 1);
            // Of each number, and of its difference to the one that stands in its place in the opposite order.
            let turned = kept.map(|t| {
                let mut words: Vec<u8> = t.iter().copied().collect();
                words.reverse();
                vector(&words)
            });
            Ok([msb(party, &kept, k)?, msb(party, &kept.sub(&turned), k + 1)?])
        });
        let [sign, less] = [0, 1].map(|i| {
            let shares = signs.each_ref().map(|signs| signs[i].clone());
            reconstruct(&shares).expect("consistent shares")
        });
        let k = bits - drop + 1;
        let all: Vec<[u8; 3]> = sharings(&components).collect();
        for (i, (&a, &b)) in all.iter().zip(all.iter().rev()).enumerate() {
            let bit = |plane: &Tensor<u64>| (plane[[0, i / 64]] >> (i % 64) & 1) as u8;
            assert_eq!(bit(&sign), left(a, drop) >> (k - 1) & 1, "{bits} bits without {drop}, {a:?}");
            let difference = left(a, drop).wrapping_sub(left(b, drop));
            assert_eq!(bit(&less), difference >> k & 1, "{bits} bits without {drop}, {a:?} and {b:?}");
        }
    }
}

/// For each rounding e, how often each pair of first and second components of what `protocol` makes of all sharings of
/// x.
fn counted(
    x: u8,
    m: u32,
    protocol: impl Fn(&mut Party, &ArithmeticShare<u8>) -> Result<ArithmeticShare<u8>> + Sync,
    part: impl Fn(u8) -> u8,
) -> HashMap<u8, Vec<u32>> {
    let components = all_sharings(x);
    let results = run(&components, protocol);
    let (first, second) = (results[0].own(), results[1].own());
    let floor = (x.wrapping_add((1 << (m - 1)) - 1) as i8 >> m) as u8;
    let mut counts = HashMap::new();
    for ((components, &a), &b) in sharings(&components).zip(first).zip(second) {
        let rounding = truncated(components, m).wrapping_sub(floor);
        let cells = counts.entry(rounding).or_insert_with(|| vec![0; 1 << 16]);
        cells[usize::from(part(a)) << 8 | usize::from(part(b))] += 1;
    }
    counts
}

/// Whether all pairs that occur do so equally often, and there are so many of them.
fn is_flat(cells: &[u32], pairs: usize) -> bool {
    let mut seen = cells.iter().filter(|&&n| n > 0);
    let first = seen.next();
    seen.all(|n| Some(n) == first) && cells.iter().filter(|&&n| n > 0).count() == pairs
}

/// Within |x| < 48.
const VALUES: [i8; 7] = [-47, -17, -1, 0, 2, 35, 47];

/// Lemma 3. The lowest 8 - m bits of two components are those of the operand's components, and all equally likely for
/// each rounding; the others are masked by random words, and close to that.
#[test]
fn two_components_of_a_truncated_value_say_nothing_of_its_rounding() {
    for m in [1, 2, 3] {
        for x in VALUES.map(|x| x as u8) {
            let low = counted(x, m, |party, x| truncate(party, x, m), |c| c & (0xff >> m));
            // Three remainders add up to n, n + 2^m or n + 2^(m+1), as far as they can.
            let n = x.wrapping_add(64 + (1 << (m - 1)) - 1) % (1 << m);
            assert_eq!(low.len(), if n + 3 <= 1 << m { 3 } else { 2 }, "as many roundings as there are");
            let pairs = 1 << (2 * (8 - m));
            assert!(low.values().all(|cells| is_flat(cells, pairs)), "m = {m}, x = {}", x as i8);

            let high = counted(x, m, |party, x| truncate(party, x, m), |c| c >> (8 - m));
            for cells in high.values() {
                let n = f64::from(cells.iter().sum::<u32>());
                let expected = n / f64::from(1u32 << (2 * m));
                let worst = cells.iter().filter(|&&count| count > 0).map(|&count| (f64::from(count) - expected).abs());
                assert!(worst.fold(0.0, f64::max) < 6.0 * expected.sqrt(), "m = {m}, x = {}", x as i8);
            }
        }
    }
}

/// The third case of Lemma 4: a value to which its own truncation was added says which rounding it was.
#[test]
fn a_value_beside_its_own_truncation_tells_the_rounding() {
    let m = 2;
    let mixed = |party: &mut Party, x: &ArithmeticShare<u8>| Ok(truncate(party, x, m)?.scale(1 << m).add(x));
    for x in VALUES.map(|x| x as u8) {
        let low = counted(x, m, mixed, |c| c & 3);
        assert!(low.values().any(|cells| !is_flat(cells, 16)), "x = {}", x as i8);
    }
}

/// The second statement of Lemma 2: where one party alone contributes, one component is zero and another one random.
#[test]
fn a_reshare_of_one_party_leaves_a_component_empty() {
    use mpc_core::link::reshare::{Contributors, send};
    for contributor in Role::ALL {
        let shares = three_parties(3, |party| {
            let z = (party.role() == contributor).then(|| vec![5u64; 100]);
            party.link().round(|round| send::<Arithmetic, u64>(round, &[100], z, Contributors::only(contributor)))
        });
        assert!(revealed(shares.clone()).iter().all(|&z| z == 5));
        let shares = shares.map(Result::unwrap);
        assert!(shares[contributor.prev().index()].own().iter().all(|&c| c == 0));
        let random = shares[contributor.next().index()].own();
        assert!(random.iter().zip(random.iter().skip(1)).all(|(a, b)| a != b));
    }
}
