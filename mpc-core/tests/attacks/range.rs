//! A client that leaves the declared range: it multiplies a secret weight by a power of two, and the label is a bit of
//! the weight.

use std::slice::from_ref;

use mpc_core::inference::head::{Head, Output};
use mpc_core::inference::secure::{Weights, evaluate};
use mpc_core::model::{Bound, Facts, Graph, Node, Op, Source, WeightSpec};
use mpc_core::protocol::argmax::argmax;
use mpc_core::protocol::product::matmul;
use mpc_core::protocol::winner::Levels;
use mpc_core::ring::Boolean;
use mpc_core::session::{Conditions, Mode};
use mpc_core::sharing::{InputRange, RangedShare};
use mpc_core::testing::deal_ranged;
use rand_chacha::ChaCha12Rng;

use crate::*;

/// Of the difference of the two weights of an input, which decides the label.
const WEIGHT_BITS: u32 = 21;

/// Dense layers from `inputs` numbers to two scores, of which the client learns the position of the larger one.
struct Dense {
    inputs: usize,
    range: InputRange,
    graph: Graph,
    weights: Vec<i64>,
}

impl Dense {
    /// With random weights of 4 fractional bits: the scores have no more than 4 below the last place of the input, so
    /// that all their bits are compared. Where some are left out, the attack asks a few times.
    fn new(seed: u64, inputs: usize, range: InputRange) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let weight = || rng.next_u64() as i64 >> (64 - (WEIGHT_BITS - 1));
        let weights: Vec<i64> = std::iter::repeat_with(weight).take(2 * inputs).collect();
        let input = range.component_bits();
        let scores = input + WEIGHT_BITS - 1 + inputs.ilog2();
        let node = |name: &str, op: Op, inputs: &[usize], shape: &[usize], frac_bits: u32, bits: u32| {
            let (shape, batched) = (shape.to_vec(), !matches!(op, Op::Weight(_)));
            let facts = Facts { shape, batched, frac_bits, bound: Bound { bits, source: Source::Proved } };
            Node { name: name.into(), op, inputs: inputs.to_vec(), facts }
        };
        let graph = Graph {
            nodes: vec![
                node("input", Op::Input, &[], &[inputs], 16, input),
                node("dense", Op::Weight(0), &[], &[inputs, 2], 4, WEIGHT_BITS - 1),
                node("scores", Op::MatMul, &[0, 1], &[2], 20, scores),
            ],
            weights: vec![WeightSpec { name: "dense".into(), shape: vec![inputs, 2], frac_bits: 4 }],
            outputs: vec![2],
        };
        graph.validate().expect("a valid graph");
        Self { inputs, range, graph, weights }
    }

    /// What decides the label of an input of which nothing but number j is not zero.
    fn difference(&self, j: usize) -> i64 {
        self.weights[2 * j] - self.weights[2 * j + 1]
    }

    fn matrix(&self) -> Tensor<u64> {
        let words = self.weights.iter().map(|&weight| weight as u64).collect();
        testing::tensor(&[self.inputs, 2], words)
    }

    /// The labels of rows of numbers, by the rules of arithmetic.
    fn expected(&self, rows: &[Vec<i64>]) -> Vec<u64> {
        let scores = |row: &[i64]| {
            row.iter().enumerate().map(|(j, &x)| i128::from(x) * i128::from(self.difference(j))).sum::<i128>()
        };
        rows.iter().map(|row| u64::from(scores(row) < 0)).collect()
    }

    /// Bits of a difference of two scores that the parties look at.
    fn compared(&self) -> u32 {
        let width = Head::Label { unknown: None }.search(&self.graph, 1).expect("a largest score").width;
        assert_eq!(width.drop, 0, "all bits are compared");
        width.compared() + 1
    }

    /// The question that tells bit `bit` of difference j where nothing keeps the client from asking it.
    fn question(&self, j: usize, bit: u32) -> Vec<u64> {
        (0..self.inputs).map(|i| if i == j { 1 << (self.compared() - 1 - bit) } else { 0 }).collect()
    }

    /// The labels of rows that are dealt over Z_2^64 and enter the first product as they are.
    fn without_lift(&self, rows: &[Vec<u64>]) -> Vec<u64> {
        let width = Head::Label { unknown: None }.search(&self.graph, rows.len()).expect("a largest score").width;
        let (weights, rows) = (deal::<Arithmetic, u64>(&self.matrix()), deal::<Arithmetic, u64>(&matrix(rows)));
        labels(|party| {
            let mine = party.role().index();
            let scores = matmul(party, &rows[mine], &weights[mine])?;
            argmax(party, &scores, width, &Levels::all_pairs(2))
        })
    }

    /// The labels that the product gives to a client that deals these components.
    fn product(&self, dealt: &[RangedShare; 3]) -> Vec<u64> {
        let weights = deal::<Arithmetic, u64>(&self.matrix());
        let windows = vec![1; dealt[0].shape()[0]];
        labels(|party| {
            let mine = party.role().index();
            let (weights, head) = (Weights::new(vec![weights[mine].clone()]), Head::Label { unknown: None });
            match evaluate(party, &self.graph, &weights, from_ref(&dealt[mine]), &windows, &head, Conditions::LAN)?
                .unverified()
            {
                Output::Labels(labels) => Ok(labels),
                other => panic!("labels were asked for, not {other:?}"),
            }
        })
    }
}

fn matrix(rows: &[Vec<u64>]) -> Tensor<u64> {
    testing::tensor(&[rows.len(), rows[0].len()], rows.concat())
}

/// What the client learns, in active mode.
fn labels(program: impl Fn(&mut Party) -> Result<Share<Boolean, u64>> + Sync) -> Vec<u64> {
    let shares = mpc_core::testing::run_verified(parties(1, Mode::Active), program, |_, labels| Ok(labels));
    testing::revealed(shares).into_iter().collect()
}

/// The integers that components stand for, and that they are within the reach that the graph's bounds start from.
fn integers(components: &[Tensor<u64>; 3], range: InputRange) -> Vec<Vec<i64>> {
    let modulus = 1i64 << range.bits();
    let (rows, columns) = (components[0].shape()[0], components[0].shape()[1]);
    let integer = |i: usize, j: usize| {
        let words = components.each_ref().map(|component| component[[i, j]]);
        let sum: i64 = words.iter().map(|&word| word as i64 & (modulus - 1)).sum();
        let wraps = words.iter().fold(0, |wraps, &word| wraps ^ (word >> range.bits()) & 3) as i64;
        let x = 1 + sum - modulus * wraps;
        assert!(x.abs() < 3 * modulus);
        x
    };
    (0..rows).map(|i| (0..columns).map(|j| integer(i, j)).collect()).collect()
}

#[test]
fn reads_a_weight_in_as_many_questions_as_it_has_bits() {
    for seed in 0..3 {
        let dense = Dense::new(seed, 4, InputRange::holding(8.0, 16));
        let questions = (0..4).flat_map(|j| (0..WEIGHT_BITS).map(move |bit| (j, bit)));
        let questions: Vec<_> = questions.map(|(j, bit)| dense.question(j, bit)).collect();
        let read = dense.without_lift(&questions);
        for (j, bits) in read.chunks_exact(WEIGHT_BITS as usize).enumerate() {
            let value = bits.iter().rev().fold(0, |value, bit| 2 * value + *bit as i64);
            let signed = value << (64 - WEIGHT_BITS) >> (64 - WEIGHT_BITS);
            assert_eq!(signed, dense.difference(j), "21 labels are the weight, seed {seed}");
        }

        // The same client, which deals the same 64-bit components as before: what counts of them is an input in reach.
        let [p0, p1, p2] = deal::<Arithmetic, u64>(&matrix(&questions)).map(|share| share.own().clone());
        let components = [p0, p1, p2];
        let asked = integers(&components, dense.range);
        let told = dense.product(&testing::deal_components(&components, dense.range));
        assert_eq!(told, dense.expected(&asked), "seed {seed}");
        assert_ne!(told, read, "seed {seed}");
    }
}

#[test]
fn of_powers_of_two_in_reach_each_tells_the_sign_again() {
    let dense = Dense::new(5, 4, InputRange::holding(8.0, 16));
    for j in 0..4 {
        let rows = (0..=dense.range.bits()).map(|bit| (0..4).map(|i| if i == j { 1 << bit } else { 0 }).collect());
        let rows: Vec<Vec<u64>> = rows.collect();
        let told = dense.product(&deal_ranged(&matrix(&rows), dense.range));
        let sign = u64::from(dense.difference(j) < 0);
        assert!(told.iter().all(|&label| label == sign), "20 labels, one bit");
    }
}

#[test]
fn any_components_get_the_label_of_an_input_in_reach() {
    // All of them, for one number that is dealt within +-4.
    let dense = Dense::new(6, 1, InputRange::holding(4.0, 0));
    let all = 0..1u64 << dense.range.component_bits();
    let triples = all.clone().flat_map(|a| all.clone().map(move |b| [a, b]));
    let triples: Vec<[u64; 3]> = triples.flat_map(|[a, b]| all.clone().map(move |c| [a, b, c])).collect();
    let component = |slot: usize| matrix(&triples.iter().map(|triple| vec![triple[slot]]).collect::<Vec<_>>());
    let components = [component(0), component(1), component(2)];
    let asked = integers(&components, dense.range);
    assert_eq!(dense.product(&testing::deal_components(&components, dense.range)), dense.expected(&asked));

    for (seed, range) in [(8.0, 16), (3.0, 16), (65536.0, 16)].into_iter().enumerate() {
        let dense = Dense::new(seed as u64, 4, InputRange::holding(range.0, range.1));
        let mut rng = ChaCha12Rng::seed_from_u64(seed as u64);
        let components = [(); 3].map(|()| Tensor::from_shape_simple_fn(IxDyn(&[500, 4]), || rng.next_u64()));
        let asked = integers(&components, dense.range);
        assert_eq!(
            dense.product(&testing::deal_components(&components, dense.range)),
            dense.expected(&asked),
            "seed {seed}"
        );
    }
}
