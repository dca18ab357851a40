//! Every operation on random shapes: exact fixed point and three parties against float64, within a relative error of
//! 2^-10 at 16 fractional bits.

use mpc_core::inference::clear;
use mpc_core::inference::head::{Head, Output};
use mpc_core::inference::secure::{self, Weights};
use mpc_core::kernel::ConvGeometry;
use mpc_core::model::manifest::Bounds;
use mpc_core::model::op::{
    Concat, MaxPool, Offset, Pad, ReduceSum, Relu, Reshape, Scale, SumPool, Transpose, function::Exp,
};
use mpc_core::model::{
    Bound, Declared, FloatGraph, FloatOp, Function, Graph, PoolGeometry, Source, compile, encode_weights,
};
use mpc_core::ring::{Arithmetic, Boolean, Tensor, fixed};
use mpc_core::session::Conditions;
use mpc_core::sharing::{RangedShare, Share, reconstruct};
use mpc_core::testing::{deal, deal_ranged, geometry, three_parties};
use mpc_core::wire::codec;
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

const RANGE: f64 = 8.0;
const TOLERANCE: f64 = 1.0 / 1024.0;
const LABEL: Head<'_> = Head::Label { unknown: None };

/// The convolution of the networks below: 3 x 3, padded to keep the size.
fn same(in_channels: usize, out_channels: usize, size: usize) -> ConvGeometry {
    ConvGeometry { pad_begin: [1; 2], pad_end: [1; 2], ..geometry([in_channels, out_channels], [size; 2], [3; 2]) }
}

/// A network under test with a source of weights and inputs.
struct Case {
    network: FloatGraph,
    rng: ChaCha12Rng,
    max_windows: Option<u32>,
}

impl Case {
    fn new(seed: u64, input: &[usize]) -> Self {
        let network = FloatGraph::new(input).expect("a shape");
        Self { network, rng: ChaCha12Rng::seed_from_u64(seed), max_windows: None }
    }

    fn uniform(&mut self, shape: &[usize], range: f64) -> ArrayD<f64> {
        ArrayD::from_shape_simple_fn(IxDyn(shape), || {
            (f64::from(self.rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) * range
        })
    }

    fn weight(&mut self, shape: &[usize]) -> usize {
        let value = self.uniform(shape, 1.0);
        self.network.weight("weight", value).expect("finite elements")
    }

    fn push(&mut self, op: FloatOp, inputs: &[usize]) -> usize {
        self.network.push("node", op, inputs).expect("operands that fit")
    }

    fn compile(&self) -> (Graph, Vec<ArrayD<f64>>) {
        let (max_windows, bounds) = (self.max_windows, Bounds::Proved);
        let declared = Declared { range: RANGE, frac_bits: 16, max_windows, bounds, samples: None };
        compile(&self.network, &declared).expect("bounds that fit")
    }

    fn batch(&mut self, samples: usize) -> ArrayD<f64> {
        let shape = [&[samples], self.network.shape(0)].concat();
        self.uniform(&shape, RANGE)
    }

    /// Compares the backends on random inputs.
    fn check(&mut self, windows: &[u32]) {
        self.check_within(TOLERANCE, windows);
    }

    fn check_within(&mut self, tolerance: f64, windows: &[u32]) {
        let (graph, weights) = self.compile();
        graph.validate().expect("a valid graph");
        let x = self.batch(windows.iter().sum::<u32>() as usize);
        let float = clear::evaluate(&graph, &weights, &x, windows).expect("an evaluation");
        let exact = clear::evaluate_fixed(&graph, &weights, &x, windows).expect("an evaluation");
        // The plans differ.
        for conditions in [Conditions::LOOPBACK, Conditions::WAN] {
            let shared = scores(&graph, &weights, &x, windows, conditions);
            assert_eq!(float.shape(), shared.shape());
            for ((&float, &exact), &shared) in float.iter().zip(&exact).zip(&shared) {
                let allowed = tolerance * float.abs().max(1.0);
                assert!((exact - float).abs() <= allowed, "fixed point {exact}, float64 {float}");
                assert!((shared - float).abs() <= allowed, "three parties {shared}, float64 {float}");
            }
        }
    }
}

fn encode(x: &ArrayD<f64>, frac_bits: u32) -> Tensor<u64> {
    x.mapv(|x| fixed::encode(x, frac_bits).expect("a number in range")).into_shared()
}

fn evaluate(
    graph: &Graph,
    weights: &[ArrayD<f64>],
    x: &ArrayD<f64>,
    windows: &[u32],
    head: &Head<'_>,
    conditions: Conditions,
) -> [Output; 3] {
    let weights: Vec<_> =
        encode_weights(graph, weights).expect("weights in range").iter().map(deal::<Arithmetic, u64>).collect();
    let input = deal_ranged(&encode(x, graph.input().frac_bits), graph.input_range());
    let outputs = three_parties(1, |party| {
        let mine = party.role().index();
        let weights = Weights::new(weights.iter().map(|shares| shares[mine].clone()).collect());
        secure::evaluate(party, graph, &weights, &input[mine], windows, head, conditions)
    });
    outputs.map(|output| output.expect("an output").unverified())
}

fn scores(
    graph: &Graph,
    weights: &[ArrayD<f64>],
    x: &ArrayD<f64>,
    windows: &[u32],
    conditions: Conditions,
) -> ArrayD<f64> {
    let parts: [Share<Arithmetic, u64>; 3] =
        evaluate(graph, weights, x, windows, &Head::Outputs, conditions).map(|output| match output {
            Output::Scores(scores) => scores,
            Output::Labels(_) | Output::Template(_) => panic!("scores were asked for"),
        });
    reconstruct(&parts).expect("equal duplicates").mapv(|word| fixed::decode(word, graph.output().frac_bits))
}

fn labels(graph: &Graph, weights: &[ArrayD<f64>], x: &ArrayD<f64>, windows: &[u32]) -> Vec<u64> {
    let parts: [Share<Boolean, u64>; 3] =
        evaluate(graph, weights, x, windows, &LABEL, Conditions::WAN).map(|output| match output {
            Output::Labels(labels) => labels,
            Output::Scores(_) | Output::Template(_) => panic!("labels were asked for"),
        });
    reconstruct(&parts).expect("equal duplicates").iter().copied().collect()
}

fn pool(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2], pad_begin: [usize; 2]) -> PoolGeometry {
    let pad_begin = [0, 1].map(|d| pad_begin[d].min(kernel[d] - 1));
    PoolGeometry { input, kernel, stride, pad_begin, pad_end: [pad_begin[1].min(kernel[0] - 1), 0] }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn conv(
        seed: u64, groups in 1..3usize, channels in [1..3usize, 1..4usize], input in [5..8usize, 5..8usize],
        kernel in [1..4usize, 1..4usize], stride in [1..3usize, 1..3usize], dilation in [1..3usize, 1..3usize],
        pad_begin in [0..3usize, 0..3usize], pad_end in [0..3usize, 0..3usize],
    ) {
        let [in_channels, out_channels] = channels.map(|c| c * groups);
        let mut case = Case::new(seed, &[in_channels, input[0], input[1]]);
        let w = case.weight(&[out_channels, in_channels / groups, kernel[0], kernel[1]]);
        let bias = case.weight(&[out_channels, 1, 1]);
        let geometry =
            ConvGeometry { in_channels, out_channels, groups, input, kernel, stride, dilation, pad_begin, pad_end };
        let y = case.push(FloatOp::Conv(geometry), &[0, w]);
        case.push(FloatOp::Add, &[y, bias]);
        case.check(&[1, 1]);
    }

    #[test]
    fn matmul(seed: u64, m in 0..4usize, k in 1..30usize, n in 1..10usize) {
        let input = if m == 0 { vec![k] } else { vec![m, k] };
        let mut case = Case::new(seed, &input);
        let w = case.weight(&[k, n]);
        let y = case.push(FloatOp::MatMul, &[0, w]);
        let v = case.weight(&[n, 2]);
        case.push(FloatOp::MatMul, &[y, v]);
        case.check(&[1, 1, 1]);
    }

    #[test]
    fn arithmetic(seed: u64, c in 1..4usize, h in 1..4usize, w in 1..4usize, factor in -3.0..3.0f64) {
        let mut case = Case::new(seed, &[c, h, w]);
        let (per_channel, per_element) = (case.weight(&[c, 1, 1]), case.weight(&[h, w]));
        let x = case.push(FloatOp::Mul, &[per_channel, 0]);
        let x = case.push(FloatOp::Add, &[x, per_element]);
        let x = case.push(FloatOp::Sub, &[x, 0]);
        let y = case.push(FloatOp::Scale(Scale { factor }), &[x]);
        let y = case.push(FloatOp::Offset(Offset { constant: factor }), &[y]);
        let y = case.push(FloatOp::Mul, &[x, y]);
        let scalar = case.weight(&[1]);
        let y = case.push(FloatOp::Sub, &[scalar, y]);
        case.push(FloatOp::Scale(Scale { factor: 0.25 }), &[y]);
        case.check(&[1, 1]);
    }

    #[test]
    fn relu(seed: u64, n in 1..200usize, ceiling in prop::option::of(0.1..6.0f64), product: bool) {
        let mut case = Case::new(seed, &[n]);
        let mut x = 0;
        if product {
            let w = case.weight(&[n]);
            x = case.push(FloatOp::Mul, &[0, w]);
        }
        case.push(FloatOp::Relu(Relu { ceiling }), &[x]);
        case.check(&[1]);
    }

    #[test]
    fn pools(
        seed: u64, max: bool, c in 1..3usize, input in [4..8usize, 4..8usize], kernel in [1..4usize, 1..4usize],
        stride in [1..4usize, 1..4usize], padding in [0..3usize, 0..3usize], relu: bool,
    ) {
        let mut case = Case::new(seed, &[c, input[0], input[1]]);
        let w = case.weight(&[c, 1, 1]);
        let mut x = case.push(FloatOp::Mul, &[0, w]);
        if relu {
            x = case.push(FloatOp::Relu(Relu::default()), &[x]);
        }
        let geometry = pool(input, kernel, stride, padding);
        let factor = 1.0 / geometry.window() as f64;
        if max {
            case.push(FloatOp::MaxPool(MaxPool(geometry)), &[x]);
        } else {
            let sum = case.push(FloatOp::SumPool(SumPool(geometry)), &[x]);
            case.push(FloatOp::Scale(Scale { factor }), &[sum]);
        }
        case.check(&[1, 1]);
    }

    #[test]
    fn rearrangements(seed: u64, a in 1..4usize, b in 1..4usize, c in 1..4usize, axis in 0..3usize) {
        let mut case = Case::new(seed, &[a, b, c]);
        let x = case.push(FloatOp::Pad(Pad { begin: vec![1, 0, 2], end: vec![0, 1, 0] }), &[0]);
        let y = case.push(FloatOp::Transpose(Transpose { perm: vec![2, 0, 1] }), &[x]);
        let shape = case.network.shape(x).to_vec();
        let y = case.push(FloatOp::Reshape(Reshape { shape }), &[y]);
        let w = case.weight(&[1]);
        let z = case.push(FloatOp::Mul, &[x, w]);
        case.push(FloatOp::Concat(Concat { axis }), &[x, y, z]);
        case.push(FloatOp::ReduceSum(ReduceSum { axes: vec![axis] }), &[case.network.output()]);
        case.check(&[1, 1]);
    }

    #[test]
    fn windows_and_labels(seed: u64, classes in 1..9usize, windows in prop::collection::vec(1..5u32, 1..5)) {
        let mut case = Case::new(seed, &[6]);
        case.max_windows = Some(4);
        let w = case.weight(&[6, classes]);
        case.push(FloatOp::MatMul, &[0, w]);
        case.check(&windows);

        let (graph, weights) = case.compile();
        let x = case.batch(windows.iter().sum::<u32>() as usize);
        let scores = clear::evaluate(&graph, &weights, &x, &windows).unwrap();
        for (row, label) in scores.outer_iter().zip(labels(&graph, &weights, &x, &windows)) {
            let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(best - row[[label as usize].as_slice()] <= TOLERANCE * best.abs().max(1.0), "{row} is labelled {label}");
        }
    }

    /// A graph from an untrusted publisher is refused or evaluated; nothing panics.
    #[test]
    fn damaged_graphs(seed: u64, damage in prop::collection::vec((any::<prop::sample::Index>(), 0..64u8), 1..4)) {
        let mut case = Case::new(seed, &[1, 4, 4]);
        let w = case.weight(&[2, 1, 3, 3]);
        let x = case.push(FloatOp::Conv(same(1, 2, 4)), &[0, w]);
        let x = case.push(FloatOp::MaxPool(MaxPool(pool([4, 4], [2, 2], [2, 2], [0, 0]))), &[x]);
        let x = case.push(FloatOp::Relu(Relu { ceiling: Some(3.0) }), &[x]);
        let x = case.push(FloatOp::Reshape(Reshape { shape: vec![8] }), &[x]);
        let x = case.push(FloatOp::Function(Function::INVERSE_SQRT), &[x]);
        let x = case.push(FloatOp::Function(Function::Exp(Exp { high: 2.0 })), &[x]);
        let v = case.weight(&[8, 3]);
        case.push(FloatOp::MatMul, &[x, v]);
        let (graph, weights) = case.compile();
        let x = case.batch(2);
        let mut bytes = codec::encode(&graph).unwrap();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let Ok(damaged) = codec::decode::<Graph>(&bytes) else { return Ok(()) };
        if damaged.validate().is_ok() && damaged.weights.iter().zip(&weights).all(|(spec, w)| spec.shape == w.shape()) {
            let weights: Vec<_> = encode_weights(&damaged, &weights).unwrap();
            let weights: Vec<_> = weights.iter().map(deal::<Arithmetic, u64>).collect();
            // Components that no honest client would deal.
            let input = deal::<Arithmetic, u64>(&encode(&x, 16));
            let input = input.map(|share| RangedShare::new(share.own(), share.next(), damaged.input_range()));
            let _ = three_parties(1, |party| {
                let mine = party.role().index();
                let weights = Weights::new(weights.iter().map(|shares| shares[mine].clone()).collect());
                secure::evaluate(party, &damaged, &weights, &input[mine], &[1, 1], &LABEL, Conditions::LOOPBACK)
            });
        }
    }

    /// Inputs chosen against the bounds: every sample at an end of what a client can send, signs random or all alike.
    #[test]
    fn bounds_hold(seed: u64, hidden in 1..12usize, ceiling in prop::option::of(0.5..20.0f64)) {
        let mut case = Case::new(seed, &[2, 6, 6]);
        let w = case.weight(&[hidden, 2, 3, 3]);
        let x = case.push(FloatOp::Conv(same(2, hidden, 6)), &[0, w]);
        let x = case.push(FloatOp::Relu(Relu { ceiling }), &[x]);
        let x = case.push(FloatOp::ReduceSum(ReduceSum { axes: vec![1, 2] }), &[x]);
        let gate = case.push(FloatOp::Function(Function::Sigmoid), &[x]);
        let root = case.push(FloatOp::Function(Function::SQRT), &[x]);
        let x = case.push(FloatOp::Mul, &[gate, root]);
        let v = case.weight(&[hidden, 5]);
        case.push(FloatOp::MatMul, &[x, v]);
        let (mut graph, weights) = case.compile();
        let reach = (graph.input_range().reach() - 1.0) / 16f64.exp2();
        prop_assert!(reach > 2.9 * RANGE);
        let signs = |x: f64| if x < 0.0 { -reach } else { reach };
        let inputs = [case.batch(8).mapv(signs), case.batch(8).mapv(|_| reach), case.batch(8).mapv(|_| -reach)];
        // Cut short at every value in turn, the graph shows that value.
        for value in (0..graph.nodes.len()).filter(|&value| graph.nodes[value].facts.batched) {
            graph.output = value;
            let facts = graph.output().clone();
            for x in &inputs {
                let shown = clear::evaluate_fixed(&graph, &weights, x, &[1; 8]).unwrap();
                let largest = shown.iter().fold(0.0, |m: f64, x| m.max(x.abs())) * f64::from(facts.frac_bits).exp2();
                prop_assert!(largest < f64::from(facts.bound.bits).exp2(), "{largest} at node {value}: {facts:?}");
            }
        }
    }
}

/// A deep network whose proved bounds exceed the ring.
fn deep() -> Case {
    let mut case = Case::new(3, &[8, 6, 6]);
    let mut x = 0;
    for _ in 0..12 {
        let w = case.uniform(&[8, 8, 3, 3], 0.3);
        let w = case.network.weight("weight", w).expect("finite elements");
        let y = case.push(FloatOp::Conv(same(8, 8, 6)), &[x, w]);
        x = case.push(FloatOp::Relu(Relu::default()), &[y]);
    }
    case.push(FloatOp::ReduceSum(ReduceSum { axes: vec![1, 2] }), &[x]);
    case.push(FloatOp::Scale(Scale { factor: 1.0 / 36.0 }), &[case.network.output()]);
    case
}

#[test]
fn calibrated_bounds_carry_what_cannot_be_proved() {
    let mut case = deep();
    let declared = |bounds, samples| Declared { range: RANGE, frac_bits: 16, max_windows: None, bounds, samples };
    let calibrated = || Bounds::Calibrated { comparison_margin: 8, ring_margin: 10 };
    let samples = case.batch(4);
    let refusal = compile(&case.network, &declared(Bounds::Proved, Some(&samples))).unwrap_err().to_string();
    assert!(refusal.contains("more than the ring carries"), "{refusal}");
    assert!(compile(&case.network, &declared(calibrated(), None)).is_err(), "nothing to calibrate with");

    let (graph, weights) = compile(&case.network, &declared(calibrated(), Some(&samples))).unwrap();
    assert_eq!(graph.output().bound.source, Source::Calibrated);
    let x = case.batch(2);
    let float = clear::evaluate(&graph, &weights, &x, &[1, 1]).unwrap();
    let scale = float.iter().fold(1.0, |scale: f64, y| scale.max(y.abs()));
    for (float, shared) in float.iter().zip(&scores(&graph, &weights, &x, &[1, 1], Conditions::LOOPBACK)) {
        assert!((float - shared).abs() <= scale * 8.0 * TOLERANCE, "three parties {shared}, float64 {float}");
    }
}

#[test]
fn a_clip_bounds_what_follows() {
    let mut case = Case::new(3, &[4]);
    case.push(FloatOp::Relu(Relu { ceiling: Some(6.0) }), &[0]);
    let (graph, _) = case.compile();
    assert_eq!(graph.output().bound, Bound { bits: 19, source: Source::Clamped });
}

#[test]
fn lenet() {
    let mut case = Case::new(7, &[1, 28, 28]);
    let conv = |input: usize, in_channels, out_channels| geometry([in_channels, out_channels], [input; 2], [5; 2]);
    let half = |input: usize| FloatOp::MaxPool(MaxPool(pool([input; 2], [2; 2], [2; 2], [0; 2])));
    let relu = || FloatOp::Relu(Relu::default());
    let scaled = |case: &mut Case, shape: &[usize], fan_in: usize| {
        let value = case.uniform(shape, (6.0 / fan_in as f64).sqrt());
        case.network.weight("weight", value).unwrap()
    };

    let w = scaled(&mut case, &[20, 1, 5, 5], 25);
    let x = case.push(FloatOp::Conv(conv(28, 1, 20)), &[0, w]);
    let x = case.push(relu(), &[x]);
    let x = case.push(half(24), &[x]);
    let w = scaled(&mut case, &[50, 20, 5, 5], 500);
    let x = case.push(FloatOp::Conv(conv(12, 20, 50)), &[x, w]);
    let x = case.push(relu(), &[x]);
    let x = case.push(half(8), &[x]);
    let x = case.push(FloatOp::Reshape(Reshape { shape: vec![800] }), &[x]);
    let w = scaled(&mut case, &[800, 500], 800);
    let x = case.push(FloatOp::MatMul, &[x, w]);
    let x = case.push(relu(), &[x]);
    let w = scaled(&mut case, &[500, 10], 500);
    case.push(FloatOp::MatMul, &[x, w]);
    // The rounding of 430,000 weights adds up over the layers.
    case.check_within(4.0 * TOLERANCE, &[1, 1]);
}
