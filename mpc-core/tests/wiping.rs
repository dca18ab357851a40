//! What a session leaves in the memory of its process: nothing of the input, of its shares and seeds, and of the
//! session's keys.
#![cfg(target_os = "linux")]

use std::process;
use std::sync::Mutex;
use std::thread;

use mpc_core::inference::head::Head;
use mpc_core::inference::secure::{Weights, evaluate};
use mpc_core::kernel::{ConvGeometry, WipingAllocator, wipe_stack};
use mpc_core::model::manifest::Bounds;
use mpc_core::model::op::{MaxPool, Relu, Reshape};
use mpc_core::model::{Declared, FloatGraph, FloatOp, Graph, PoolGeometry, compile, encode_weights};
use mpc_core::network::Network as _;
use mpc_core::network::memory::MemoryNetwork;
use mpc_core::prss::Prss;
use mpc_core::ring::{Arithmetic, Tensor, fixed};
use mpc_core::session::{Conditions, Mode};
use mpc_core::sharing::{Dealt, InputRange, RangedShare, Seed, share_from};
use mpc_core::testing::traces::Marks;
use mpc_core::testing::{deal, geometry, mesh};
use mpc_core::wire::share::{decode_dealt, encode_dealt};
use mpc_core::{Party, Role};
use ndarray::{ArrayD, IxDyn};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

const SHAPE: [usize; 4] = [3, 1, 16, 16];

const RANGE: f64 = 4.0;

/// Its name, and how it is made.
type Secret = (&'static str, fn() -> Vec<u8>);

/// What is looked for. Everything can be made again from the numbers of streams, so that nothing need be kept to
/// compare with.
const SECRETS: [Secret; 5] = [
    ("the input", || bytes(input().as_slice().expect("standard layout"))),
    ("its seeds", || seeds().iter().flat_map(|seed| *seed.0).collect()),
    ("the components that seeds stand for", || components(0..2)),
    ("the component that travels in full", || components(2..3)),
    ("keys of the session", || Role::ALL.iter().flat_map(|&role| *key(role)).collect()),
];

fn stream(number: u8) -> ChaCha12Rng {
    ChaCha12Rng::from_seed([number; 32])
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Pixels, in fixed point with all its bits.
fn input() -> Tensor<u64> {
    let mut rng = stream(1);
    let pixel = || fixed::encode(f64::from(rng.next_u32() as i32) / f64::from(1u32 << 30), 16).expect("a small number");
    Tensor::from_shape_simple_fn(IxDyn(&SHAPE), pixel)
}

fn random(number: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    stream(number).fill_bytes(&mut bytes);
    bytes
}

fn seeds() -> [Seed; 2] {
    [Seed(random(2).into()), Seed(random(3).into())]
}

fn key(role: Role) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(random(4 + role.index() as u8))
}

/// Components as they are dealt, and as they count.
fn components(which: std::ops::Range<usize>) -> Vec<u8> {
    let dealt = share_from::<Arithmetic, u64>(seeds(), &input());
    let both = which.flat_map(|i| {
        let component = dealt[i].own.expand(&SHAPE);
        let counted = RangedShare::new(&component, &component, InputRange::holding(RANGE, 16));
        [component, counted.words().own().clone()]
    });
    both.flat_map(|words| bytes(words.as_slice().expect("standard layout"))).collect()
}

/// A convolution, a ReLU, a pool and a dense layer.
fn model() -> (Graph, Vec<ArrayD<f64>>) {
    let mut rng = stream(9);
    let mut weight = |shape: &[usize]| {
        ArrayD::from_shape_simple_fn(IxDyn(shape), || f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5)
    };
    let conv = ConvGeometry { pad_begin: [1; 2], pad_end: [1; 2], ..geometry([1, 4], [16; 2], [3; 2]) };
    let pool = PoolGeometry { input: [16; 2], kernel: [2; 2], stride: [2; 2], pad_begin: [0; 2], pad_end: [0; 2] };
    let build = || {
        let mut network = FloatGraph::new(&SHAPE[1..])?;
        let w = network.weight("conv", weight(&[4, 1, 3, 3]))?;
        let x = network.push("conv", FloatOp::Conv(conv), &[0, w])?;
        let x = network.push("pool", FloatOp::MaxPool(MaxPool(pool)), &[x])?;
        let x = network.push("relu", FloatOp::Relu(Relu::default()), &[x])?;
        let x = network.push("flat", FloatOp::Reshape(Reshape { shape: vec![256] }), &[x])?;
        let w = network.weight("dense", weight(&[256, 5]))?;
        network.push("dense", FloatOp::MatMul, &[x, w])?;
        let declared =
            Declared { range: RANGE, frac_bits: 16, max_windows: None, bounds: Bounds::Proved, samples: None };
        compile(&network, &declared)
    };
    build().expect("a network")
}

/// What is found of each secret now.
fn traces() -> Vec<(&'static str, usize)> {
    let count = |(name, secret): (&'static str, fn() -> Vec<u8>)| {
        // In a thread of its own, which takes along what looking leaves on its stack.
        let marks = thread::spawn(move || {
            let marks = Marks::of(&secret());
            wipe_stack();
            marks
        });
        let marks = marks.join().expect("marks");
        (name, marks.count(process::id()).expect("memory that can be read"))
    };
    SECRETS.into_iter().map(count).collect()
}

/// One party's session, from the encoded shares on, in a thread of its own.
fn session(network: MemoryNetwork, encoded: Zeroizing<Vec<u8>>, weights: Weights, graph: &Graph, during: &dyn Fn()) {
    let role = network.role();
    let prss = Prss::new(key(role), key(role.next()));
    let mut party = Party::new(Box::new(network), prss, Mode::Active, &[7; 32]);
    let Dealt { own, next } = decode_dealt(&encoded, &SHAPE).expect("two components");
    let input = RangedShare::new(&own.expand(&SHAPE), &next.expand(&SHAPE), graph.input_range());
    if role == Role::P0 {
        during();
    }
    let head = Head::Label { unknown: None };
    let output = evaluate(&mut party, graph, &weights, &[input], &[1; SHAPE[0]], &head, Conditions::LAN);
    let party = party.verify().expect("true products");
    drop(party.release(output.expect("an output")).expect("an output of this session"));
}

#[test]
fn nothing_of_a_question_is_left_when_it_is_answered() {
    let (graph, weights) = model();
    let weights: Vec<_> =
        encode_weights(&graph, &weights).expect("weights").iter().map(deal::<Arithmetic, u64>).collect();
    let found = Mutex::new([const { Vec::new() }; 2]);

    let client = || {
        let x = input();
        let encoded = share_from::<Arithmetic, u64>(seeds(), &x).each_ref().map(encode_dealt);
        found.lock().expect("no panic")[0] = traces();
        encoded
    };
    let encoded = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let encoded = client();
            wipe_stack();
            encoded
        });
        client.join().expect("a client")
    });

    thread::scope(|scope| {
        for (network, encoded) in mesh().into_iter().zip(encoded) {
            let weights = Weights::new(weights.iter().map(|shares| shares[network.role().index()].clone()).collect());
            let (graph, found) = (&graph, &found);
            scope.spawn(move || {
                session(network, encoded, weights, graph, &|| found.lock().expect("no panic")[1] = traces());
                wipe_stack();
            });
        }
    });

    let [client, parties] = found.into_inner().expect("no panic");
    let after = traces();
    eprintln!("client: {client:?}\nparties: {parties:?}\nafter: {after:?}");
    assert!(client.iter().take(4).all(|(_, found)| *found > 0), "the search finds nothing: {client:?}");
    assert!(parties.iter().skip(1).all(|(_, found)| *found > 0), "the search finds nothing: {parties:?}");
    assert_eq!(parties[0], ("the input", 0), "no party has the input");
    assert!(after.iter().all(|(_, found)| *found == 0), "left behind: {after:?}");
}
