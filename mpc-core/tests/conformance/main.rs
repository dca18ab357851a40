//! Every operation on random shapes: exact fixed point and three parties against float64, within a relative error of
//! 2^-10 at 16 fractional bits.

mod graphs;
mod operations;

use std::slice::from_ref;

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
        Self::with_inputs(seed, &[("input", input)])
    }

    fn with_inputs(seed: u64, inputs: &[(&str, &[usize])]) -> Self {
        let network = FloatGraph::with_inputs(inputs).expect("shapes");
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
        let samples = windows.iter().sum::<u32>() as usize;
        let shapes = graph.inputs().iter().map(|input| input.facts.full_shape(samples));
        let inputs: Vec<ArrayD<f64>> = shapes.map(|shape| self.uniform(&shape, RANGE)).collect();
        let float = clear::evaluate(&graph, &weights, &inputs, windows).expect("an evaluation");
        let exact = clear::evaluate_fixed(&graph, &weights, &inputs, windows).expect("an evaluation");
        // The plans differ.
        for conditions in [Conditions::LOOPBACK, Conditions::WAN] {
            let shared = scores(&graph, &weights, &inputs, windows, conditions);
            assert_eq!([float.len(), exact.len()], [shared.len(); 2]);
            for ((float, exact), shared) in float.iter().zip(&exact).zip(&shared) {
                assert_eq!([float.shape(), exact.shape()], [shared.shape(); 2]);
                for ((&float, &exact), &shared) in float.iter().zip(exact).zip(shared) {
                    let allowed = tolerance * float.abs().max(1.0);
                    assert!((exact - float).abs() <= allowed, "fixed point {exact}, float64 {float}");
                    assert!((shared - float).abs() <= allowed, "three parties {shared}, float64 {float}");
                }
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
    inputs: &[ArrayD<f64>],
    windows: &[u32],
    head: &Head<'_>,
    conditions: Conditions,
) -> [Output; 3] {
    let weights: Vec<_> =
        encode_weights(graph, weights).expect("weights in range").iter().map(deal::<Arithmetic, u64>).collect();
    let dealt = inputs
        .iter()
        .zip(graph.inputs())
        .map(|(x, input)| deal_ranged(&encode(x, input.facts.frac_bits), input.facts.input_range()));
    let dealt: Vec<[RangedShare; 3]> = dealt.collect();
    let outputs = three_parties(1, |party| {
        let mine = party.role().index();
        let weights = Weights::new(weights.iter().map(|shares| shares[mine].clone()).collect());
        let inputs: Vec<RangedShare> = dealt.iter().map(|shares| shares[mine].clone()).collect();
        secure::evaluate(party, graph, &weights, &inputs, windows, head, conditions)
    });
    outputs.map(|output| output.expect("an output").unverified())
}

fn scores(
    graph: &Graph,
    weights: &[ArrayD<f64>],
    inputs: &[ArrayD<f64>],
    windows: &[u32],
    conditions: Conditions,
) -> Vec<ArrayD<f64>> {
    let parts: [Vec<Share<Arithmetic, u64>>; 3] = evaluate(graph, weights, inputs, windows, &Head::Outputs, conditions)
        .map(|output| match output {
            Output::Scores(scores) => scores,
            Output::Labels(_) | Output::Template(_) => panic!("scores were asked for"),
        });
    let opened = |(i, &id): (usize, &usize)| {
        let parts = parts.each_ref().map(|scores| scores[i].clone());
        let frac_bits = graph.nodes[id].facts.frac_bits;
        reconstruct(&parts).expect("equal duplicates").mapv(|word| fixed::decode(word, frac_bits))
    };
    graph.outputs.iter().enumerate().map(opened).collect()
}

fn labels(graph: &Graph, weights: &[ArrayD<f64>], x: &ArrayD<f64>, windows: &[u32]) -> Vec<u64> {
    let parts: [Share<Boolean, u64>; 3] =
        evaluate(graph, weights, from_ref(x), windows, &LABEL, Conditions::WAN).map(|output| match output {
            Output::Labels(labels) => labels,
            Output::Scores(_) | Output::Template(_) => panic!("labels were asked for"),
        });
    reconstruct(&parts).expect("equal duplicates").iter().copied().collect()
}

fn pool(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2], pad_begin: [usize; 2]) -> PoolGeometry {
    let pad_begin = [0, 1].map(|d| pad_begin[d].min(kernel[d] - 1));
    PoolGeometry { input, kernel, stride, pad_begin, pad_end: [pad_begin[1].min(kernel[0] - 1), 0] }
}
