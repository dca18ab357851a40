//! Whatever a party adds to what it sends, a claim is false: "every product is a claim, and if all claims hold, the
//! result is right".
//!
//! For every party, every message that it sends and every value that it can add to it, on every sharing that a table's
//! row names: the honest parties hold a false claim about just that case, and without an error they hold none and the
//! right result.

use std::sync::{Arc, Mutex};

use mpc_core::Role;
use mpc_core::link::open::Copies;
use mpc_core::protocol::compare::Width;
use mpc_core::protocol::winner::Levels;
use mpc_core::testing::Hook;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::careless;
use crate::claims::mark_false;
use crate::protocols::{self, Input, Protocol, tuples};
use crate::session::{Columns, Counter, HonestCopies, LANES, Place, reshared, run};
use crate::{assert_row, grouped};
use Errors::{AllMessages, OneMessage};
use Sharings::{All, Each};

/// Cases in one run.
const CASES: usize = 1 << 15;

/// On which sharings a protocol is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharings {
    /// All of all secrets.
    All,
    /// So many of each secret, chosen at random.
    Each(usize),
}

/// What a party adds in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// To one of its messages.
    OneMessage,
    /// To all of them, in every combination.
    AllMessages,
}

/// What was gone through.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    sharings: usize,
    /// Of all three parties.
    messages: usize,
    cases: usize,
    /// Cases in which the result was not the right one.
    wrong: usize,
    /// Cases about which no claim was false.
    unseen: usize,
}

/// Goes through all cases. The honest parties look away from claim `ignored`.
fn go(protocol: &Protocol, sharings: Sharings, errors: Errors, ignored: Option<usize>) -> Count {
    let sharings = enumerate(protocol, sharings);
    let mut count = Count { sharings: sharings.len(), messages: 0, cases: 0, wrong: 0, unseen: 0 };
    for cheater in Role::ALL {
        let messages = messages(protocol, &sharings, cheater);
        count.messages += messages.len();
        let deviations = match errors {
            Errors::OneMessage => messages.iter().flat_map(|rows| one_message(rows)).collect(),
            Errors::AllMessages => vec![Deviation::of(messages.concat())],
        };
        // Nothing is added first.
        for deviation in std::iter::once(Deviation::of(Vec::new())).chain(deviations) {
            let honest = deviation.rows.is_empty();
            let errors = if honest { 0..1 } else { 1..deviation.combinations };
            let deviation = Arc::new(deviation);
            let mut cases =
                (0..sharings.len()).flat_map(|sharing| errors.clone().map(move |error| (sharing, error))).peekable();
            while cases.peek().is_some() {
                let cases: Vec<(usize, u64)> = cases.by_ref().take(CASES).collect();
                let outcomes = outcomes(protocol, cheater, &deviation, &sharings, &cases, ignored);
                for (&(sharing, error), [right, caught]) in cases.iter().zip(outcomes) {
                    let case = || format!("{}: {cheater} adds {error} on {:?}", protocol.name, sharings[sharing]);
                    assert!(!honest || right && !caught, "{}, or there is a false claim", case());
                    assert!(honest || caught || ignored.is_some(), "{}, and no claim is false", case());
                    count.unseen += usize::from(!honest && !caught);
                    count.wrong += usize::from(!right);
                }
                count.cases += if honest { 0 } else { cases.len() };
            }
        }
    }
    count
}

/// All components of every input.
type Sharing = Vec<[u64; 3]>;

fn enumerate(protocol: &Protocol, sharings: Sharings) -> Vec<Sharing> {
    match sharings {
        All => {
            let of_input = |input: &Input| -> Vec<[u64; 3]> {
                let components = input.components();
                let pairs = (0..components).flat_map(|a| (0..components).map(move |b| [a, b]));
                pairs.flat_map(|pair| input.secrets.iter().map(move |&secret| input.sharing(secret, pair))).collect()
            };
            tuples(&protocol.inputs.iter().map(of_input).collect::<Vec<_>>())
        }
        Each(times) => {
            let mut rng = ChaCha12Rng::seed_from_u64(7);
            let mut random = |secrets: &Vec<u64>| -> Sharing {
                let mut pair = |input: &Input| [(); 2].map(|()| rng.next_u64() % input.components());
                let inputs = protocol.inputs.iter().zip(secrets);
                inputs.map(|(input, &secret)| input.sharing(secret, pair(input))).collect()
            };
            protocol.secrets().iter().flat_map(|secrets| std::iter::repeat_n(secrets, times)).map(&mut random).collect()
        }
    }
}

/// The part of a message that has one entry for each case.
#[derive(Debug, Clone, Copy)]
struct Row {
    place: Place,
    /// Which part of the message.
    index: usize,
    entry: Entry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Bit,
    /// A byte, modulo 2^bits.
    Byte {
        bits: u32,
    },
    /// 64 bits.
    Word,
}

impl Entry {
    /// How many values are added, zero included.
    fn values(self) -> u64 {
        match self {
            Entry::Bit => 2,
            Entry::Byte { bits } => 1 << bits,
            Entry::Word => 15,
        }
    }

    /// The value with this number: of 64 bits, the lowest or the highest three.
    fn value(self, number: u64) -> u64 {
        match self {
            Entry::Word if number > 7 => (number - 7) << 61,
            _ => number,
        }
    }
}

/// What `cheater` reshares, message by message, in rows. Openings are another matter ([`openings`](super::openings)).
fn messages(protocol: &Protocol, sharings: &[Sharing], cheater: Role) -> Vec<Vec<Row>> {
    const ENOUGH: usize = 64 * LANES;
    let inputs = columns(sharings, (0..ENOUGH).map(|case| case % sharings.len()));
    let rows = |(place, bytes): (Place, Vec<u8>)| {
        let bits = 8 * bytes.len() / ENOUGH;
        // No protocol here sends eight planes or eight bytes a case.
        let (entry, rows) = match (bits % 64, bits % 8) {
            (0, _) => (Entry::Word, bits / 64),
            (_, 0) => (
                Entry::Byte { bits: u8::BITS - bytes.iter().fold(0, |all, byte| all | byte).leading_zeros() },
                bits / 8,
            ),
            _ => (Entry::Bit, bits),
        };
        (0..rows).map(|index| Row { place, index, entry }).collect()
    };
    reshared(&protocol.program, &inputs, cheater).into_iter().map(rows).collect()
}

/// Rows that something is added to, in all combinations.
struct Deviation {
    /// Each with the number of combinations of those before it.
    rows: Vec<(Row, u64)>,
    combinations: u64,
}

impl Deviation {
    fn of(rows: Vec<Row>) -> Self {
        let mut combinations = 1;
        let rows = rows.into_iter().map(|row| {
            let before = combinations;
            combinations *= row.entry.values();
            (row, before)
        });
        Self { rows: rows.collect(), combinations }
    }

    /// Adds its error to each case of a message.
    fn add(&self, place: Place, cases: &[(usize, u64)], bytes: &mut [u8]) {
        let n = cases.len().next_multiple_of(LANES);
        for &(Row { index, entry, .. }, before) in self.rows.iter().filter(|(row, _)| row.place == place) {
            let errors = cases.iter().map(|(_, error)| entry.value(error / before % entry.values())).enumerate();
            match entry {
                Entry::Bit => errors.for_each(|(i, error)| bytes[(index * n + i) / 8] ^= (error as u8) << (i % 8)),
                Entry::Byte { .. } => errors.for_each(|(i, error)| {
                    let byte = &mut bytes[index * n + i];
                    *byte = byte.wrapping_add(error as u8);
                }),
                Entry::Word => errors.for_each(|(i, error)| {
                    let word = &mut bytes[(index * n + i) * 8..][..8];
                    let sum = u64::from_le_bytes((&*word).try_into().expect("eight bytes")).wrapping_add(error);
                    word.copy_from_slice(&sum.to_le_bytes());
                }),
            }
        }
    }
}

/// All rows of a message together, or one by one where together they have too many values.
fn one_message(rows: &[Row]) -> Vec<Deviation> {
    const MOST: u64 = 1 << 12;
    let together = Deviation::of(rows.to_vec());
    if together.combinations <= MOST {
        return vec![together];
    }
    rows.iter().map(|row| Deviation::of(vec![*row])).collect()
}

fn columns(sharings: &[Sharing], cases: impl Iterator<Item = usize> + Clone) -> Vec<Columns<3>> {
    let column = |input: usize, slot: usize| cases.clone().map(|sharing| sharings[sharing][input][slot]).collect();
    (0..sharings[0].len()).map(|input| [0, 1, 2].map(|slot| column(input, slot))).collect()
}

/// For each case whether the result is right, and whether a claim about it is false, in the eyes of the honest parties.
fn outcomes(
    protocol: &Protocol,
    cheater: Role,
    deviation: &Arc<Deviation>,
    sharings: &[Sharing],
    cases: &[(usize, u64)],
    ignored: Option<usize>,
) -> Vec<[bool; 2]> {
    let n = cases.len().next_multiple_of(LANES);
    let inputs = columns(sharings, (0..n).map(|case| cases[case % cases.len()].0));
    // What it opens to the next party must be what the previous one does, or that ends the session.
    let copies = Arc::new(HonestCopies::default());
    let hook: Hook = {
        let (deviation, cases, counter) = (deviation.clone(), cases.to_vec(), Mutex::new(Counter::default()));
        let copies = copies.clone();
        Arc::new(move |message| {
            if message.from == cheater {
                let place = counter.lock().expect("no panic while locked").place(&message);
                if message.to == cheater.next() {
                    message.bytes.copy_from_slice(&copies.wait((place.0, place.2)));
                } else {
                    deviation.add(place, &cases, message.bytes);
                }
            }
        })
    };
    let results = run(
        &protocol.program,
        &inputs,
        None,
        &[(cheater, hook), (cheater.prev(), copies.recorder(cheater.prev()))],
        Copies::Both,
    );
    let [next, prev] = [cheater.next(), cheater.prev()].map(|role| &results[role.index()]);

    let mut caught = vec![0; n / LANES];
    assert_eq!(next.1.len(), prev.1.len(), "honest parties record the same claims");
    let claims = next.1.iter().zip(&prev.1).enumerate().filter(|(i, _)| ignored != Some(*i));
    claims.for_each(|(_, claims)| mark_false(claims, &mut caught));
    let [next, prev] = [&next.0, &prev.0];
    assert_eq!(next.components[1], prev.components[0], "the component that both honest parties hold");
    let outcome = |(case, &(sharing, _)): (usize, &(usize, u64))| {
        let components = [next.components[0][case], next.components[1][case], prev.components[1][case]];
        let right = next.value.of(components) == (protocol.expected)(&sharings[sharing]);
        [right, caught[case / LANES] >> (case % LANES) & 1 == 1]
    };
    cases.iter().enumerate().map(outcome).collect()
}

/// Goes through all cases, and holds the numbers against the table.
fn assert_caught(protocol: &Protocol, sharings: Sharings, errors: Errors) {
    let count = go(protocol, sharings, errors, None);
    let all = if sharings == All { "all " } else { "" };
    let added = if errors == OneMessage { "one message" } else { "all messages" };
    assert_row(&[
        &protocol.name,
        &protocol.ring.to_string(),
        &format!("{all}{}", grouped(count.sharings)),
        &count.messages.to_string(),
        added,
        &grouped(count.cases),
        &grouped(count.wrong),
    ]);
}

#[test]
fn products() {
    assert_caught(&protocols::and(), All, AllMessages);
    assert_caught(&protocols::product::<3>(), All, AllMessages);
    assert_caught(&protocols::product::<4>(), Each(64), AllMessages);
    assert_caught(&protocols::product::<5>(), Each(16), AllMessages);
    assert_caught(&protocols::product::<6>(), Each(4), AllMessages);
    assert_caught(&protocols::matrix_product(), All, AllMessages);
    assert_caught(&protocols::convolution(), Each(16), AllMessages);
}

#[test]
fn products_of_components() {
    for slot in Role::ALL {
        assert_caught(&protocols::component_times::<3>(slot), All, AllMessages);
        assert_caught(&protocols::component_pair::<3>(slot), All, AllMessages);
    }
}

#[test]
fn signs() {
    assert_caught(&protocols::sign::<3>(3), All, AllMessages);
    assert_caught(&protocols::sign::<4>(3), All, AllMessages);
    assert_caught(&protocols::sign::<4>(4), All, AllMessages);
    assert_caught(&protocols::sign::<5>(5), All, OneMessage);
    assert_caught(&protocols::sign::<5>(5), Each(64), AllMessages);
    assert_caught(&protocols::sign::<6>(6), Each(512), OneMessage);
}

#[test]
fn truncations() {
    assert_caught(&protocols::truncation::<5>(1), All, OneMessage);
    assert_caught(&protocols::truncation::<5>(2), All, OneMessage);
    for m in 1..=3 {
        assert_caught(&protocols::truncation::<6>(m), Each(64), OneMessage);
    }
}

#[test]
fn roundings() {
    assert_caught(&protocols::rounding::<5>(1), All, OneMessage);
    assert_caught(&protocols::rounding::<6>(2), Each(8), OneMessage);
}

#[test]
fn conversions() {
    assert_caught(&protocols::bit_to_number::<3>(), All, AllMessages);
    assert_caught(&protocols::bit_to_number::<6>(), All, AllMessages);
    assert_caught(&protocols::injection::<3>(), All, AllMessages);
    assert_caught(&protocols::injection::<4>(), All, OneMessage);
    assert_caught(&protocols::injection::<4>(), Each(64), AllMessages);
    assert_caught(&protocols::injection::<6>(), Each(64), OneMessage);
    assert_caught(&protocols::later_injection::<3>(), All, AllMessages);
    assert_caught(&protocols::later_injection::<6>(), Each(64), OneMessage);
    assert_caught(&protocols::selection::<3>(), Each(64), AllMessages);
}

#[test]
fn activations() {
    assert_caught(&protocols::relu::<3>(Width::exact(3), 0), All, AllMessages);
    assert_caught(&protocols::relu::<4>(Width::exact(4), 0), All, OneMessage);
    assert_caught(&protocols::relu::<5>(Width::exact(3), 1), All, OneMessage);
    assert_caught(&protocols::relu::<5>(Width::exact(4), 2), All, OneMessage);
    assert_caught(&protocols::relu::<6>(Width { bits: 4, drop: 1 }, 0), Each(512), OneMessage);
    assert_caught(&protocols::clipped_relu::<5>(3, 1), Each(64), OneMessage);
}

#[test]
fn maxima() {
    assert_caught(&protocols::maximum::<3>(2, 2), All, OneMessage);
    assert_caught(&protocols::maximum::<3>(2, 2), Each(32), AllMessages);
    assert_caught(&protocols::maximum::<3>(2, 3), Each(16), OneMessage);
    assert_caught(&protocols::maximum_relu::<3>(2, 2, 0), Each(64), OneMessage);
    assert_caught(&protocols::maximum_relu::<5>(3, 2, 1), Each(16), OneMessage);
    assert_caught(&protocols::argmax::<3>(2, &Levels::all_pairs(2)), All, AllMessages);
    assert_caught(&protocols::argmax::<3>(2, &Levels::all_pairs(3)), Each(64), OneMessage);
    assert_caught(&protocols::argmax::<3>(2, &Levels::tournament(4)), Each(4), OneMessage);
}

/// The judge itself must see an error that no claim is about.
#[test]
#[should_panic(expected = "no claim is false")]
fn a_product_without_a_claim_is_found() {
    go(&careless::unclaimed_product(), Each(1), AllMessages, None);
}

/// Whichever claim a protocol did not make, something would go unseen.
#[test]
fn no_claim_can_be_spared() {
    let protocols = [
        protocols::sign::<4>(4),
        protocols::truncation::<5>(2),
        protocols::selection::<3>(),
        protocols::later_injection::<3>(),
        protocols::relu::<5>(Width::exact(3), 1),
        protocols::maximum::<3>(2, 3),
        protocols::argmax::<3>(2, &Levels::tournament(4)),
    ];
    for protocol in protocols {
        let inputs = columns(&enumerate(&protocol, Each(1)), std::iter::repeat_n(0, LANES));
        let claims = run(&protocol.program, &inputs, None, &[], Copies::Both)[0].1.len();
        assert!(claims > 2, "{}", protocol.name);
        for claim in 0..claims {
            let count = go(&protocol, Each(1), OneMessage, Some(claim));
            assert!(count.unseen > 0, "{} could do without claim {claim}", protocol.name);
        }
    }
}
