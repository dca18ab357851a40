//! Networks with functions that are approximated: in float64, in fixed point and by three parties, against rten.

use std::slice::from_ref;

use super::*;
use crate::inference::head::{Head, Output};
use crate::inference::secure::{self, Weights};
use crate::model::{Graph, encode_weights};
use crate::ring::{Arithmetic, fixed};
use crate::session::Conditions;
use crate::sharing::reconstruct;
use crate::testing::{deal, deal_ranged, three_parties};

const TOLERANCE: f64 = 1e-3;

impl File {
    /// Compares all evaluators on inputs within +-`range`.
    fn check_functions(&mut self, input: &[usize], range: f64, tolerance: f64) {
        let bytes = self.bytes();
        let network = super::super::import(&bytes, input).unwrap();
        let (graph, weights) = compile(&network, &Declared { range, ..declared() }).unwrap();
        let shape: Vec<usize> = std::iter::once(2).chain(input.iter().copied()).collect();
        let x = uniform(&mut self.rng, &shape) * range;
        let expected = rten(bytes, &x);
        let float = clear::evaluate(&graph, &weights, from_ref(&x), &[1; 2]).unwrap().swap_remove(0);
        let fixed = clear::evaluate_fixed(&graph, &weights, from_ref(&x), &[1; 2]).unwrap().swap_remove(0);
        let shared = three(&graph, &weights, &x);
        assert_eq!(float.len(), expected.len());
        for (((&float, &fixed), &shared), expected) in float.iter().zip(&fixed).zip(&shared).zip(expected) {
            let allowed = expected.abs().max(1.0) * tolerance;
            assert!((float - expected).abs() < allowed, "float64 {float}, rten {expected}");
            assert!((fixed - expected).abs() < allowed, "fixed {fixed}, rten {expected}");
            assert!((shared - expected).abs() < allowed, "three parties {shared}, rten {expected}");
        }
    }
}

fn three(graph: &Graph, weights: &[ArrayD<f64>], x: &ArrayD<f64>) -> ArrayD<f64> {
    let weights: Vec<_> = encode_weights(graph, weights).unwrap().iter().map(deal::<Arithmetic, u64>).collect();
    let input = x.mapv(|x| fixed::encode(x, graph.input().frac_bits).unwrap()).into_shared();
    let input = deal_ranged(&input, graph.input_range());
    let outputs = three_parties(1, |party| {
        let mine = party.role().index();
        let weights = Weights::new(weights.iter().map(|shares| shares[mine].clone()).collect());
        let inputs = from_ref(&input[mine]);
        let output = secure::evaluate(party, graph, &weights, inputs, &[1; 2], &Head::Outputs, Conditions::WAN)?;
        match output.unverified() {
            Output::Scores(mut scores) => Ok(scores.swap_remove(0)),
            Output::Labels(_) | Output::Template(_) => panic!("scores were asked for"),
        }
    });
    let output = reconstruct(&outputs.map(Result::unwrap)).unwrap();
    output.mapv(|word| fixed::decode(word, graph.output().frac_bits))
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: 1, ..Default::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn elementwise(seed: u64, c in 1..4usize, w in 1..9usize) {
        let functions: [(&str, Vec<AttributeProto>); 7] = [
            ("Sigmoid", vec![]),
            ("Tanh", vec![]),
            ("Erf", vec![]),
            ("Exp", vec![]),
            ("LeakyRelu", vec![float("alpha", 0.1)]),
            ("HardSigmoid", vec![float("alpha", 0.3), float("beta", 0.4)]),
            ("HardSwish", vec![]),
        ];
        for (op, attributes) in functions {
            let mut file = File::new(seed, 14, &[c, w]);
            file.weight("w", &[c, 1]);
            file.node("Mul", &["x", "w"], "m", vec![]);
            file.node(op, &["m"], "y", attributes);
            // What a client can send is up to three times as large, and exp ends at 4.
            file.check_functions(&[c, w], if op == "Exp" { 1.0 } else { 4.0 }, TOLERANCE);
        }
    }

    /// x / 2 (1 + erf(x / sqrt 2)), as exporters write it.
    #[test]
    fn gelu(seed: u64, c in 1..4usize, w in 1..9usize) {
        let mut file = File::new(seed, 13, &[c, w]);
        file.floats("root", &[], vec![std::f32::consts::SQRT_2]);
        file.floats("one", &[], vec![1.0]);
        file.floats("half", &[], vec![0.5]);
        file.node("Div", &["x", "root"], "a", vec![]);
        file.node("Erf", &["a"], "b", vec![]);
        file.node("Add", &["b", "one"], "c", vec![]);
        file.node("Mul", &["x", "c"], "d", vec![]);
        file.node("Mul", &["d", "half"], "y", vec![]);
        file.check_functions(&[c, w], 4.0, TOLERANCE);
    }

    /// Two heads that look at four places, and a mixture of places by a weight.
    #[test]
    fn attention(seed: u64) {
        let mut file = File::new(seed, 13, &[4, 6]);
        file.floats("scale", &[], vec![0.25]);
        file.ints("split", &[-1, 4, 2, 3]);
        file.ints("join", &[-1, 4, 6]);
        for (part, perm) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
            let [weight, projected, heads, turned] = ["w", "p", "h", ""].map(|prefix| format!("{prefix}{part}"));
            file.weight(&weight, &[6, 6]);
            file.node("MatMul", &["x", &weight], &projected, vec![]);
            file.node("Reshape", &[&projected, "split"], &heads, vec![]);
            file.node("Transpose", &[&heads], &turned, vec![ints("perm", &perm)]);
        }
        file.node("MatMul", &["q", "k"], "scores", vec![]);
        file.node("Mul", &["scores", "scale"], "scaled", vec![]);
        file.node("Softmax", &["scaled"], "seen", vec![int("axis", 3)]);
        file.node("MatMul", &["seen", "v"], "each", vec![]);
        file.node("Transpose", &["each"], "back", vec![ints("perm", &[0, 2, 1, 3])]);
        file.node("Reshape", &["back", "join"], "places", vec![]);
        file.weight("mixture", &[3, 4]);
        file.node("MatMul", &["mixture", "places"], "y", vec![]);
        file.check_functions(&[4, 6], 0.5, TOLERANCE);
    }

    #[test]
    fn powers(seed: u64, c in 1..4usize, w in 1..9usize) {
        for exponent in [2.0, 1.0, 0.5, -0.5, -1.0] {
            let mut file = File::new(seed, 13, &[c, w]);
            file.floats("low", &[], vec![0.0625]);
            file.floats("p", &[], vec![exponent]);
            file.node("Clip", &["x", "low", ""], "k", vec![]);
            file.node("Pow", &["k", "p"], "y", vec![]);
            file.check_functions(&[c, w], 40.0, TOLERANCE);
        }
    }

    #[test]
    fn quotients(seed: u64, c in 1..4usize, w in 1..9usize) {
        let mut file = File::new(seed, 13, &[c, w]);
        file.floats("divisor", &[c, 1], (1..=c).map(|c| c as f32 + 0.3).collect());
        file.floats("low", &[], vec![0.25]);
        file.node("Div", &["x", "divisor"], "a", vec![]);
        file.node("Clip", &["x", "low", ""], "b", vec![]);
        file.node("Div", &["a", "b"], "c", vec![]);
        file.node("Div", &["divisor", "b"], "d", vec![]);
        file.node("Sqrt", &["b"], "e", vec![]);
        file.node("Reciprocal", &["e"], "f", vec![]);
        file.node("Concat", &["c", "d", "e", "f"], "y", vec![int("axis", 1)]);
        file.check_functions(&[c, w], 8.0, TOLERANCE);
    }

    #[test]
    fn softmax_over_any_axis(seed: u64, c in 1..4usize, h in 1..4usize, w in 1..6usize, axis in 1..4usize, flat: bool) {
        let mut file = File::new(seed, if flat { 12 } else { 13 }, &[c, h, w]);
        // Older opsets take the last dimensions together; rten does not know that.
        let axis = if flat { 3 } else { axis };
        file.node("Softmax", &["x"], "s", vec![int("axis", axis)]);
        file.node("Mul", &["x", "s"], "y", vec![]);
        file.check_functions(&[c, h, w], 8.0, TOLERANCE);
    }

    #[test]
    fn reductions(seed: u64, c in 1..4usize, h in 1..4usize, w in 1..6usize, axis in 1..4usize, keep in 0..2usize) {
        for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2"] {
            let mut file = File::new(seed, 12, &[c, h, w]);
            file.node(op, &["x"], "y", vec![ints("axes", &[axis]), int("keepdims", keep)]);
            file.check_functions(&[c, h, w], 4.0, TOLERANCE);
        }
    }

    /// Half precision of weights aside, what a squeeze-and-excitation block of one dimension does.
    #[test]
    fn squeeze_and_excitation(seed: u64, c in 1..5usize, t in 2..9usize) {
        let mut file = File::new(seed, 13, &[c, t]);
        let plain = || vec![ints("strides", &[1]), ints("dilations", &[1]), ints("pads", &[0, 0])];
        file.weight("w1", &[2, c, 1]);
        file.weight("b1", &[2]);
        file.weight("w2", &[c, 2, 1]);
        file.node("ReduceMean", &["x"], "m", vec![ints("axes", &[2]), int("keepdims", 1)]);
        file.node("Conv", &["m", "w1", "b1"], "a", plain());
        file.node("Relu", &["a"], "r", vec![]);
        file.node("Conv", &["r", "w2"], "b", plain());
        file.node("Sigmoid", &["b"], "s", vec![]);
        file.node("Mul", &["x", "s"], "y", vec![]);
        file.check_functions(&[c, t], 4.0, TOLERANCE);
    }

    /// Mean and deviation over time under learned attention, as ECAPA-TDNN pools.
    #[test]
    fn attentive_statistics(seed: u64, c in 1..4usize, t in 2..9usize) {
        let mut file = File::new(seed, 13, &[c, t]);
        let plain = || vec![ints("strides", &[1]), ints("dilations", &[1]), ints("pads", &[0, 0])];
        let over_time = || vec![ints("axes", &[2]), int("keepdims", 1)];
        file.weight("w1", &[3, c, 1]);
        file.weight("w2", &[c, 3, 1]);
        file.floats("least", &[], vec![1e-2]);
        file.ints("time", &[2]);
        file.node("Conv", &["x", "w1"], "h", plain());
        file.node("Tanh", &["h"], "n", vec![]);
        file.node("Conv", &["n", "w2"], "scores", plain());
        file.node("Softmax", &["scores"], "attention", vec![int("axis", 2)]);
        file.node("Mul", &["x", "attention"], "weighted", vec![]);
        file.node("ReduceSum", &["weighted", "time"], "mean", vec![int("keepdims", 1)]);
        file.node("Sub", &["x", "mean"], "d", vec![]);
        file.node("Mul", &["d", "d"], "dd", vec![]);
        file.node("Mul", &["dd", "attention"], "weighted squares", vec![]);
        file.node("ReduceSum", &["weighted squares", "time"], "variance", vec![int("keepdims", 1)]);
        file.node("Clip", &["variance", "least", ""], "clipped", vec![]);
        file.node("Sqrt", &["clipped"], "deviation", vec![]);
        file.node("ReduceMean", &["x"], "plain mean", over_time());
        file.node("Concat", &["mean", "deviation", "plain mean"], "j", vec![int("axis", 1)]);
        file.node("Flatten", &["j"], "y", vec![]);
        file.check_functions(&[c, t], 4.0, 4.0 * TOLERANCE);
    }

    #[test]
    fn normalisations(seed: u64, c in 1..4usize, h in 2..5usize, w in 2..5usize) {
        let mut file = File::new(seed, 17, &[c, h, w]);
        file.weight("scale", &[c]);
        file.weight("bias", &[c]);
        file.node("InstanceNormalization", &["x", "scale", "bias"], "y", vec![float("epsilon", 1e-2)]);
        file.check_functions(&[c, h, w], 4.0, 4.0 * TOLERANCE);

        let mut file = File::new(seed, 17, &[c, 8]);
        file.weight("scale", &[8]);
        file.weight("bias", &[8]);
        let attributes = vec![float("epsilon", 1e-2), AttributeProto { i: -1, ..int("axis", 0) }];
        file.node("LayerNormalization", &["x", "scale", "bias"], "y", attributes);
        file.check_functions(&[c, 8], 4.0, 4.0 * TOLERANCE);
    }
}

#[test]
fn softmax_over_many() {
    let mut file = File::new(1, 13, &[2, 300]);
    file.node("Softmax", &["x"], "y", vec![int("axis", 2)]);
    file.check_functions(&[2, 300], 8.0, TOLERANCE);
}

/// What exporters write for a vector of length 1.
fn unit_vector(opset: i64) -> File {
    let mut file = File::new(1, opset, &[6]);
    file.floats("least", &[], vec![1e-12]);
    file.node("ReduceL2", &["x"], "norm", vec![ints("axes", &[1]), int("keepdims", 1)]);
    file.node("Clip", &["norm", "least", ""], "clipped", vec![]);
    file.node("Div", &["x", "clipped"], "y", vec![]);
    file
}

#[test]
fn a_vector_over_its_norm_takes_one_inverse_root() {
    let mut file = unit_vector(12);
    file.check_functions(&[6], 4.0, TOLERANCE);
    assert_eq!(ops(&file, &[6]), ["Input", "Mul", "ReduceSum", "Rescale", "InverseSqrt", "Reshape", "Mul"]);

    let mut short = File::new(1, 12, &[6]);
    short.node("LpNormalization", &["x"], "y", vec![AttributeProto { i: -1, ..int("axis", 0) }, int("p", 2)]);
    let compiled = |file: &File| {
        let network = super::super::import(&file.bytes(), &[6]).unwrap();
        compile(&network, &declared()).unwrap().0
    };
    let x = uniform(&mut short.rng, &[2, 6]);
    let evaluated = |file: &File| clear::evaluate(&compiled(file), &[], from_ref(&x), &[1; 2]).unwrap().swap_remove(0);
    let [long, short] = [&file, &short].map(evaluated);
    assert!((long - short).iter().all(|difference| difference.abs() < 1e-9));
}

#[test]
fn a_softmax_that_only_orders_labels_is_dropped() {
    let mut file = File::new(1, 13, &[5]);
    file.node("Softmax", &["x"], "s", vec![int("axis", 1)]);
    file.node("Identity", &["s"], "y", vec![]);
    assert_eq!(ops(&file, &[5]), ["Input"]);
}

#[test]
fn what_is_out_of_the_domain_is_refused_with_its_node() {
    let refusal = |op: &str, range: f64| {
        let mut file = File::new(1, 13, &[4]);
        file.node(op, &["x"], "y", vec![]);
        let network = super::super::import(&file.bytes(), &[4]).unwrap();
        match compile(&network, &Declared { range, ..declared() }) {
            Err(Error::Model { node, reason, .. }) => (node, reason),
            other => panic!("{other:?}"),
        }
    };
    let (node, reason) = refusal("Reciprocal", 4.0);
    assert!(node == "the Reciprocal" && reason.contains("-12.000") && reason.contains("clip"), "{node}: {reason}");
    let (node, reason) = refusal("Exp", 9.0);
    assert!(node == "the Exp" && reason.contains("may be 48") && reason.contains("clip"), "{node}: {reason}");
}
