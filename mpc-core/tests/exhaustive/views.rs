//! What a party receives is independent of what is secret.
//!
//! Everything that a party knows is held fixed: two components of each secret, and what two keys draw. For every
//! secret, all that the third key can draw is gone through. Received is then every value once for each secret, or
//! equally often: what the party sees is uniform, whatever it knows and whatever the secret is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use mpc_core::Role;
use mpc_core::link::open::Copies;
use mpc_core::protocol::compare::Width;
use mpc_core::protocol::winner::Levels;
use mpc_core::session::Branch;
use mpc_core::testing::Hook;
use mpc_core::testing::tape::{Drawn, Tape};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::careless;
use crate::protocols::{self, Protocol};
use crate::session::{Columns, Counter, LANES, Place, run};
use crate::{assert_row, grouped};
use Known::{All, Chosen};

/// Of each operation of a branch, the bits of a word and how many are drawn.
type Draws = BTreeMap<(Branch, u64), (u32, usize)>;

/// Cases in one run, at least.
const CASES: usize = 1 << 15;

/// Of what a party knows, all, or so much chosen at random.
#[derive(Debug, Clone, Copy)]
enum Known {
    All,
    Chosen(usize),
}

impl Known {
    /// Numbers below `of`.
    fn choose(self, of: u64, rng: &mut ChaCha12Rng) -> Vec<u64> {
        match self {
            All => (0..of).collect(),
            Chosen(some) => (0..some).map(|_| rng.next_u64() % of).collect(),
        }
    }
}

/// What was gone through.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    secrets: usize,
    /// Components that a party holds.
    components: usize,
    /// What a party's own keys draw, by observer.
    own: [usize; 3],
    /// Bits that the third key draws, by observer.
    drawn: [u32; 3],
    cases: usize,
}

/// Goes through all cases. Of the 8-bit words that a truncation draws, the lowest `low` bits are gone through and
/// looked at.
fn go(protocol: &Protocol, components: Known, own: Known, low: u32) -> Count {
    let mut rng = ChaCha12Rng::seed_from_u64(11);
    let secrets = protocol.secrets();
    let held: u32 = protocol.inputs.iter().map(|input| 2 * input.components().ilog2()).sum();
    let components = components.choose(1 << held, &mut rng);
    let mut count =
        Count { secrets: secrets.len(), components: components.len(), own: [0; 3], drawn: [0; 3], cases: 0 };
    for observer in Role::ALL {
        let scene = Scene::new(protocol, observer, own, low, &mut rng);
        let third = 1usize << scene.third.bits();
        count.own[observer.index()] = scene.own_choices;
        count.drawn[observer.index()] = scene.third.bits();
        let known = components.iter().flat_map(|&held| (0..scene.own_choices).map(move |own| (held, own)));
        let blocks: Vec<Block> =
            known.flat_map(|known| (0..secrets.len()).map(move |secret| Block { known, secret })).collect();
        for blocks in blocks.chunks((CASES / third).max(1)) {
            let views = scene.views(&secrets, blocks, third);
            for (block, views) in blocks.iter().zip(views.chunks(third)) {
                let mut seen = vec![0; 1 << scene.seen];
                views.iter().for_each(|&view| seen[view as usize] += 1);
                let uniform = seen.iter().all(|&times| times << scene.seen == third);
                assert!(uniform, "{}: {observer} sees something about {:?}", protocol.name, secrets[block.secret]);
            }
            count.cases += blocks.len() * third;
        }
    }
    count
}

/// Everything but what the third key draws.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Components that the observer holds, and which choice of what its keys draw.
    known: (u64, usize),
    secret: usize,
}

/// The words of one key, in rows of one for each case.
#[derive(Debug, Default, Clone)]
struct Layout {
    /// First row of each operation.
    first: HashMap<(Branch, u64), usize>,
    /// Bits of an entry that vary, and position of the lowest.
    rows: Vec<(u32, u32)>,
}

impl Layout {
    fn bits(&self) -> u32 {
        self.rows.iter().map(|row| row.0).sum()
    }

    fn push(&mut self, rows: usize, bits: u32) {
        for _ in 0..rows {
            let at = self.bits();
            self.rows.push((bits, at));
        }
    }

    /// A tape of n cases, of which entry `entry(row, case)` is drawn.
    fn tape(&self, n: usize, entry: impl Fn(usize, usize) -> u64 + Send + Sync + 'static) -> Tape {
        let first = self.first.clone();
        Arc::new(move |drawn, bytes| {
            let first = first[&(drawn.branch, drawn.op)];
            if drawn.bits == 64 {
                let words = n / LANES;
                for (i, word) in bytes.chunks_exact_mut(8).enumerate() {
                    let (row, at) = ((drawn.from + i) / words, (drawn.from + i) % words);
                    let bit = |j: usize| (entry(first + row, at * LANES + j) & 1) << j;
                    word.copy_from_slice(&(0..LANES).fold(0, |word, j| word | bit(j)).to_le_bytes());
                }
            } else {
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = entry(first + (drawn.from + i) / n, (drawn.from + i) % n) as u8;
                }
            }
        })
    }
}

/// One observer of a protocol.
struct Scene<'a> {
    protocol: &'a Protocol,
    observer: Role,
    /// What the third key draws.
    third: Layout,
    /// What is drawn from the observer's keys, and the entries of each choice, by key and row.
    own: [Layout; 2],
    entries: [Arc<Vec<Vec<u64>>>; 2],
    own_choices: usize,
    /// What else there is in an 8-bit word of the third key than what varies.
    rest: Arc<Vec<u64>>,
    /// Bits of an entry of each received message that are looked at, and how many entries it has for a case.
    received: BTreeMap<Place, (u32, usize)>,
    /// Bits that are looked at in all.
    seen: u32,
}

impl<'a> Scene<'a> {
    fn new(protocol: &'a Protocol, observer: Role, own: Known, low: u32, rng: &mut ChaCha12Rng) -> Self {
        const ENOUGH: usize = 64 * LANES;
        // Any values: what is drawn where does not depend on them.
        let draws: [Arc<Mutex<Draws>>; 3] = Default::default();
        let tapes = [0, 1, 2].map(|key: usize| -> Tape {
            let draws = draws[key].clone();
            Arc::new(move |drawn, bytes| {
                let words = if drawn.bits == 64 { bytes.len() / 8 } else { bytes.len() };
                let mut draws = draws.lock().expect("no panic while locked");
                let (_, most) = draws.entry((drawn.branch, drawn.op)).or_insert((drawn.bits, 0));
                *most = (*most).max(drawn.from + words);
                any(key, drawn, bytes);
            })
        });
        let mut columns = || [0, 1, 2].map(|_| (0..ENOUGH).map(|_| rng.next_u64() & 1).collect());
        let inputs: Vec<Columns<3>> = protocol.inputs.iter().map(|_| columns()).collect();
        let messages = received(protocol, observer, &inputs, &tapes);

        let layout = |role: Role, low: u32| {
            let mut layout = Layout::default();
            for (&operation, &(bits, words)) in draws[role.index()].lock().expect("no panic while locked").iter() {
                layout.first.insert(operation, layout.rows.len());
                match bits {
                    64 => layout.push(words / (ENOUGH / LANES), 1),
                    8 => layout.push(words / ENOUGH, low),
                    _ => layout.push(words / ENOUGH, bits),
                }
            }
            layout
        };
        let third = layout(observer.prev(), low);
        let own_layouts = [layout(observer, 8), layout(observer.next(), 8)];
        let [first, second] = [own_layouts[0].bits(), own_layouts[1].bits()];
        let all = matches!(own, All);
        let own_choices = match own {
            All => 1 << (first + second),
            Chosen(some) => some,
        };
        let mut entry = |choice: usize, bits: u32, at: u32| {
            let word = if all { choice as u64 >> at } else { rng.next_u64() };
            word & ((1 << bits) - 1)
        };
        let entries = [(0, 0), (1, first)].map(|(key, before): (usize, u32)| {
            let rows = own_layouts[key].rows.iter();
            let row = |&(bits, at): &(u32, u32)| -> Vec<u64> {
                (0..own_choices).map(|choice| entry(choice, bits, before + at)).collect()
            };
            Arc::new(rows.map(row).collect::<Vec<_>>())
        });
        let rest = Arc::new(third.rows.iter().map(|_| rng.next_u64()).collect());

        let received = messages.into_iter().map(|(place, bytes)| {
            let bits = 8 * bytes.len() / ENOUGH;
            let most = u8::BITS - bytes.iter().fold(0, |all, byte| all | byte).leading_zeros();
            let entry =
                if !bits.is_multiple_of(8) { (1, bits) } else { (if most == 8 { low } else { most }, bits / 8) };
            (place, entry)
        });
        let received: BTreeMap<_, _> = received.collect();
        let seen = received.values().map(|&(bits, rows)| bits * rows as u32).sum();
        Self { protocol, observer, third, own: own_layouts, entries, own_choices, rest, received, seen }
    }

    /// What the observer receives in each case: as many for each block as the third key can draw.
    fn views(&self, secrets: &[Vec<u64>], blocks: &[Block], third: usize) -> Vec<u64> {
        let cases = blocks.len() * third;
        let n = cases.next_multiple_of(LANES);
        let block = |case: usize| blocks[case / third % blocks.len()];
        let inputs: Vec<Columns<3>> = (0..self.protocol.inputs.len())
            .map(|i| {
                let mut columns = [(); 3].map(|()| Vec::with_capacity(n));
                (0..n).for_each(|case| {
                    let sharing = self.sharing(block(case).known.0, i, secrets[block(case).secret][i]);
                    columns.iter_mut().zip(sharing).for_each(|(column, component)| column.push(component));
                });
                columns
            })
            .collect();

        let choices: Arc<Vec<usize>> = Arc::new((0..n).map(|case| block(case).known.1).collect());
        let own = [0, 1].map(|key: usize| {
            let (entries, choices) = (self.entries[key].clone(), choices.clone());
            self.own[key].tape(n, move |row, case| entries[row][choices[case]])
        });
        let (rows, rest) = (self.third.rows.clone(), self.rest.clone());
        let third_tape = self.third.tape(n, move |row, case| {
            let (bits, at) = rows[row];
            (case % third) as u64 >> at & ((1 << bits) - 1) | rest[row] << bits
        });
        let [first, second] = own;
        let mut tapes = [first, second, third_tape];
        tapes.rotate_right(self.observer.index());

        let mut views = vec![0; n];
        let mut at = 0;
        for (place, bytes) in received(self.protocol, self.observer, &inputs, &tapes) {
            let (bits, rows) = self.received[&place];
            for row in 0..rows {
                for (case, view) in views.iter_mut().enumerate() {
                    let i = row * n + case;
                    let entry = if 8 * bytes.len() < 8 * n { bytes[i / 8] >> (i % 8) & 1 } else { bytes[i] };
                    *view |= u64::from(entry & (u8::MAX >> (8 - bits))) << at;
                }
                at += bits;
            }
        }
        views.truncate(cases);
        views
    }

    /// The sharing of input i with those of the `held` components that are its.
    fn sharing(&self, held: u64, i: usize, secret: u64) -> [u64; 3] {
        let widths = self.protocol.inputs.iter().map(|input| input.components().ilog2());
        let at: u32 = widths.take(i).map(|bits| 2 * bits).sum();
        let input = &self.protocol.inputs[i];
        let bits = input.components().ilog2();
        let pair = [0, bits].map(|more| held >> (at + more) & ((1 << bits) - 1));
        let mut sharing = input.sharing(secret, pair);
        sharing.rotate_right(self.observer.index());
        sharing
    }
}

/// Some words, the same to both that draw them.
fn any(key: usize, drawn: Drawn, bytes: &mut [u8]) {
    let width = if drawn.bits == 64 { 8 } else { 1 };
    for (i, word) in bytes.chunks_exact_mut(width).enumerate() {
        let place = [key as u64, drawn.branch.0, drawn.op, (drawn.from + i) as u64];
        let mixed =
            place.iter().fold(0u64, |hash, part| (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        word.copy_from_slice(&(mixed >> 8).to_le_bytes()[..width]);
    }
}

/// The messages that the observer receives, by place.
fn received(protocol: &Protocol, observer: Role, inputs: &[Columns<3>], tapes: &[Tape; 3]) -> BTreeMap<Place, Vec<u8>> {
    let seen = Arc::new(Mutex::new((Counter::default(), BTreeMap::new())));
    let recording = seen.clone();
    let hook: Hook = Arc::new(move |message| {
        if message.to == observer {
            let (counter, received) = &mut *recording.lock().expect("no panic while locked");
            let (branch, _, position) = counter.place(&message);
            received.insert((branch, message.from, position), message.bytes.to_vec());
        }
    });
    run(&protocol.program, inputs, Some(tapes), &[(observer, hook)], Copies::One);
    std::mem::take(&mut seen.lock().expect("no panic while locked").1)
}

/// One number where it is the same for all three.
fn by_observer(numbers: [usize; 3]) -> String {
    let [first, ..] = numbers;
    if numbers == [first; 3] { grouped(first) } else { numbers.map(grouped).join(", ") }
}

/// Goes through all cases, and holds the numbers against the table.
fn assert_uniform(protocol: &Protocol, components: Known, own: Known) {
    let count = go(protocol, components, own, 1);
    let all = |known: Known| if let All = known { "all " } else { "" };
    assert_row(&[
        &protocol.name,
        &protocol.ring.to_string(),
        &grouped(count.secrets),
        &format!("{}{}", all(components), grouped(count.components)),
        &format!("{}{}", all(own), by_observer(count.own)),
        &by_observer(count.drawn.map(|bits| bits as usize)),
        &grouped(count.cases),
    ]);
}

#[test]
fn products() {
    assert_uniform(&protocols::and(), All, All);
    assert_uniform(&protocols::product::<3>(), All, Chosen(4));
    assert_uniform(&protocols::product::<6>(), Chosen(4), Chosen(4));
    for slot in Role::ALL {
        assert_uniform(&protocols::component_times::<3>(slot), All, Chosen(2));
        assert_uniform(&protocols::component_pair::<3>(slot), All, All);
    }
}

#[test]
fn openings() {
    assert_uniform(&protocols::masked_opening::<3>(), All, All);
    assert_uniform(&protocols::masked_opening::<6>(), Chosen(64), Chosen(4));
}

#[test]
fn signs() {
    assert_uniform(&protocols::sign::<3>(3), All, All);
    assert_uniform(&protocols::sign::<4>(4), All, Chosen(16));
    assert_uniform(&protocols::sign::<5>(5), Chosen(128), Chosen(2));
    assert_uniform(&protocols::sign::<6>(6), Chosen(8), Chosen(1));
}

#[test]
fn truncations() {
    assert_uniform(&protocols::truncation::<5>(1), All, Chosen(16));
    assert_uniform(&protocols::truncation::<5>(2), All, Chosen(16));
    assert_uniform(&protocols::truncation::<6>(3), Chosen(256), Chosen(16));
    assert_uniform(&protocols::rounding::<5>(1), Chosen(16), Chosen(2));
}

#[test]
fn conversions() {
    assert_uniform(&protocols::bit_to_number::<3>(), All, All);
    assert_uniform(&protocols::bit_to_number::<6>(), All, Chosen(64));
    assert_uniform(&protocols::injection::<3>(), All, Chosen(16));
    assert_uniform(&protocols::injection::<4>(), Chosen(64), Chosen(4));
    assert_uniform(&protocols::later_injection::<3>(), Chosen(64), Chosen(16));
    assert_uniform(&protocols::selection::<3>(), Chosen(64), Chosen(4));
}

#[test]
fn layers() {
    assert_uniform(&protocols::relu::<3>(Width::exact(3), 0), All, Chosen(4));
    assert_uniform(&protocols::relu::<5>(Width::exact(3), 1), Chosen(2), Chosen(1));
    assert_uniform(&protocols::maximum::<3>(2, 2), Chosen(64), Chosen(4));
    assert_uniform(&protocols::argmax::<3>(2, &Levels::all_pairs(2)), Chosen(256), Chosen(16));
}

/// The judge itself must see what a careless protocol reveals.
#[test]
#[should_panic(expected = "sees something")]
fn a_bare_component_is_found() {
    go(&careless::bare_component(), All, All, 1);
}

#[test]
#[should_panic(expected = "sees something")]
fn a_mask_that_is_used_twice_is_found() {
    go(&careless::mask_used_twice(), All, All, 1);
}
