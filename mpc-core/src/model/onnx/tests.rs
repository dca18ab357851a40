//! Every supported operator against an independent implementation (rten), and what an untrusted file can do.

mod functions;

use std::slice::from_ref;

use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use prost::Message;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use super::proto::*;
use crate::error::Error;
use crate::inference::clear;
use crate::model::manifest::Bounds;
use crate::model::{Declared, compile};

/// An ONNX file in the making.
struct File {
    graph: GraphProto,
    opset: i64,
    rng: ChaCha12Rng,
}

impl File {
    fn new(seed: u64, opset: i64, input: &[usize]) -> Self {
        let dim = |&d: &usize| Dimension { dim_value: d as i64, dim_param: String::new() };
        let batch = Dimension { dim_value: 0, dim_param: "n".into() };
        let shape = TensorShapeProto { dim: std::iter::once(batch).chain(input.iter().map(dim)).collect() };
        let info = |name: &str, shape| ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto { tensor_type: Some(TensorTypeProto { elem_type: 1, shape }) }),
        };
        let graph =
            GraphProto { input: vec![info("x", Some(shape))], output: vec![info("y", None)], ..Default::default() };
        Self { graph, opset, rng: ChaCha12Rng::seed_from_u64(seed) }
    }

    /// A random weight.
    fn weight(&mut self, name: &str, shape: &[usize]) {
        let data = uniform(&mut self.rng, shape).iter().map(|&x| x as f32).collect();
        self.floats(name, shape, data);
    }

    fn floats(&mut self, name: &str, shape: &[usize], float_data: Vec<f32>) {
        let dims = shape.iter().map(|&d| d as i64).collect();
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims,
            data_type: 1,
            float_data,
            ..Default::default()
        });
    }

    fn ints(&mut self, name: &str, data: &[i64]) {
        let raw_data = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        let dims = vec![data.len() as i64];
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims,
            data_type: 7,
            raw_data,
            ..Default::default()
        });
    }

    fn node(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            name: format!("the {op}"),
            op_type: op.into(),
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            attribute,
            ..Default::default()
        });
    }

    fn bytes(&self) -> Vec<u8> {
        let opset = OperatorSetIdProto { domain: String::new(), version: self.opset };
        ModelProto { ir_version: 8, graph: Some(self.graph.clone()), opset_import: vec![opset] }.encode_to_vec()
    }

    /// Imports, compiles and evaluates in float64 and fixed point, and compares both with rten.
    fn check(&mut self, input: &[usize]) {
        let bytes = self.bytes();
        let network = super::import(&bytes, input).unwrap();
        let (graph, weights) = compile(&network, &declared()).unwrap();
        let shape: Vec<usize> = std::iter::once(3).chain(input.iter().copied()).collect();
        let x = uniform(&mut self.rng, &shape);
        let expected = rten(bytes, &x);
        let float = clear::evaluate(&graph, &weights, from_ref(&x), &[1; 3]).unwrap().swap_remove(0);
        let fixed = clear::evaluate_fixed(&graph, &weights, &[x], &[1; 3]).unwrap().swap_remove(0);
        assert_eq!(float.len(), expected.len());
        for ((&float, &fixed), expected) in float.iter().zip(&fixed).zip(expected) {
            let scale = expected.abs().max(1.0);
            // Weights are rounded to 16 fractional bits, rten computes with 24 significant ones.
            assert!((float - expected).abs() < scale * 1e-3, "float64 {float}, rten {expected}");
            assert!((fixed - float).abs() < scale * 1e-3, "fixed {fixed}, float64 {float}");
        }
    }
}

fn declared() -> Declared<'static> {
    Declared { range: 4.0, frac_bits: 16, max_windows: None, bounds: Bounds::Proved, samples: None }
}

fn uniform(rng: &mut ChaCha12Rng, shape: &[usize]) -> ArrayD<f64> {
    ArrayD::from_shape_simple_fn(IxDyn(shape), || f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0)
}

fn rten(bytes: Vec<u8>, x: &ArrayD<f64>) -> Vec<f64> {
    let model = rten::Model::load(bytes).unwrap();
    let x = rten::Value::from_shape(x.shape(), x.iter().map(|&x| x as f32).collect::<Vec<f32>>()).unwrap();
    match model.run_one(x.into(), None).unwrap() {
        rten::Value::FloatTensor(y) => y.into_data().into_iter().map(f64::from).collect(),
        other => panic!("{other:?}"),
    }
}

fn int(name: &str, i: usize) -> AttributeProto {
    AttributeProto { name: name.into(), i: i as i64, r#type: 2, ..Default::default() }
}

fn ints(name: &str, ints: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: ints.iter().map(|&i| i as i64).collect(),
        r#type: 7,
        ..Default::default()
    }
}

fn text(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: s.into(), r#type: 3, ..Default::default() }
}

prop_compose! {
    /// One or two spatial dimensions: sizes, kernel, strides, dilations, begin and end padding, each pair cut to size.
    fn sliding(max_dilation: usize)(
        dimensions in 1..=2usize,
        size in [5..9usize, 5..9usize],
        kernel in [1..4usize, 1..4usize],
        stride in [1..3usize, 1..3usize],
        dilation in [1..=max_dilation, 1..=max_dilation],
        begin in [0..2usize, 0..2usize],
        end in [0..2usize, 0..2usize],
    ) -> [Vec<usize>; 6] {
        let inside = |pad: [usize; 2]| [0, 1].map(|d| pad[d].min(kernel[d] - 1));
        [size, kernel, stride, dilation, inside(begin), inside(end)].map(|pair| pair[..dimensions].to_vec())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn conv_with_batch_norm(
        seed: u64, [size, kernel, stride, dilation, begin, end] in sliding(2),
        groups in 1..3usize, channels in [1..3usize, 1..3usize], same: bool,
    ) {
        let [in_channels, out_channels] = channels.map(|c| c * groups);
        let input = [&[in_channels][..], &size].concat();
        let mut file = File::new(seed, 13, &input);
        file.weight("w", &[&[out_channels, in_channels / groups][..], &kernel].concat());
        ["b", "scale", "shift", "mean"].iter().for_each(|name| file.weight(name, &[out_channels]));
        file.floats("variance", &[out_channels], vec![0.25; out_channels]);
        let padding = if same { text("auto_pad", "SAME_UPPER") } else { ints("pads", &[begin, end].concat()) };
        let dilation = if same { vec![1; kernel.len()] } else { dilation };
        let attributes = vec![int("group", groups), ints("strides", &stride), ints("dilations", &dilation), padding];
        file.node("Conv", &["x", "w", "b"], "c", attributes);
        file.node("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], "n", vec![]);
        file.node("Relu", &["n"], "y", vec![]);
        file.check(&input);
    }

    #[test]
    fn pools(
        seed: u64, [size, kernel, stride, _, begin, end] in sliding(1),
        average: bool, include: bool, ceil in 0..2usize, relu: bool,
    ) {
        let input = [&[2][..], &size].concat();
        let mut file = File::new(seed, 13, &input);
        let mut attributes =
            vec![ints("kernel_shape", &kernel), ints("strides", &stride), ints("pads", &[begin, end].concat())];
        if average {
            attributes.push(int("count_include_pad", include.into()));
        } else {
            attributes.push(int("ceil_mode", ceil));
        }
        let before = if relu { "r" } else { "x" };
        if relu {
            file.node("Relu", &["x"], "r", vec![]);
        }
        file.node(if average { "AveragePool" } else { "MaxPool" }, &[before], "y", attributes);
        file.check(&input);
    }

    #[test]
    fn residual_block(seed: u64, c in 1..4usize, size in 3..6usize, stride in 1..3usize) {
        let mut file = File::new(seed, 13, &[c, size, size]);
        let conv = |file: &mut File, kernel: usize, stride: usize, input: &str, output: &str| {
            let weight = format!("{output}.w");
            file.weight(&weight, &[c, c, kernel, kernel]);
            let pads = ints("pads", &[kernel / 2; 4]);
            let attributes = vec![ints("strides", &[stride; 2]), ints("dilations", &[1, 1]), pads];
            file.node("Conv", &[input, &weight], output, attributes);
        };
        file.node("Relu", &["x"], "r", vec![]);
        conv(&mut file, 3, stride, "r", "a");
        file.node("Relu", &["a"], "b", vec![]);
        conv(&mut file, 3, 1, "b", "c");
        if stride == 1 {
            file.node("Add", &["c", "r"], "s", vec![]);
        } else {
            conv(&mut file, 1, stride, "r", "d");
            file.node("Add", &["d", "c"], "s", vec![]);
        }
        file.node("Relu", &["s"], "t", vec![]);
        file.node("GlobalAveragePool", &["t"], "y", vec![]);
        file.check(&[c, size, size]);
    }

    #[test]
    fn dense(seed: u64, k in 1..20usize, n in 1..20usize, transposed in 0..2usize) {
        let mut file = File::new(seed, 13, &[k]);
        file.weight("w", &if transposed == 1 { [n, k] } else { [k, n] });
        file.weight("b", &[n]);
        file.weight("v", &[n, 3]);
        let alpha = AttributeProto { name: "alpha".into(), f: 0.5, r#type: 1, ..Default::default() };
        file.node("Gemm", &["x", "w", "b"], "h", vec![int("transB", transposed), alpha]);
        file.node("Relu", &["h"], "r", vec![]);
        file.node("MatMul", &["r", "v"], "y", vec![]);
        file.check(&[k]);
    }

    #[test]
    fn rearrangements(seed: u64, c in 1..4usize, h in 1..5usize, w in 1..5usize) {
        let mut file = File::new(seed, 13, &[c, h, w]);
        file.ints("pads", &[0, 0, 1, 0, 0, 1, 0, 2]);
        file.node("Pad", &["x", "pads"], "p", vec![]);
        file.node("Transpose", &["p"], "t", vec![ints("perm", &[0, 2, 3, 1])]);
        file.node("Transpose", &["t"], "back", vec![ints("perm", &[0, 3, 1, 2])]);
        file.node("Concat", &["back", "p"], "j", vec![int("axis", 1)]);
        file.ints("axes", &[2]);
        file.ints("shape", &[0, -1, (w + 2) as i64]);
        file.node("Reshape", &["j", "shape"], "s", vec![]);
        file.node("Unsqueeze", &["s", "axes"], "u", vec![]);
        file.node("Squeeze", &["u", "axes"], "q", vec![]);
        file.node("ReduceMean", &["q"], "m", vec![ints("axes", &[2]), int("keepdims", 0)]);
        file.node("Identity", &["m"], "i", vec![]);
        file.node("Flatten", &["i"], "y", vec![]);
        file.check(&[c, h, w]);
    }

    #[test]
    fn arithmetic(seed: u64, c in 1..4usize, h in 1..5usize, w in 1..5usize) {
        let mut file = File::new(seed, 13, &[c, h, w]);
        file.weight("a", &[c, 1, 1]);
        file.weight("b", &[1, c, h, w]);
        file.floats("low", &[], vec![-0.5]);
        file.floats("high", &[], vec![0.75]);
        file.node("Mul", &["x", "a"], "m", vec![]);
        file.node("Add", &["m", "b"], "s", vec![]);
        file.node("Sub", &["a", "s"], "d", vec![]);
        file.node("Clip", &["d", "low", "high"], "k", vec![]);
        file.node("Clip", &["d", "", "high"], "l", vec![]);
        file.node("Mul", &["k", "l"], "p", vec![]);
        file.node("Add", &["p", "d"], "e", vec![]);
        file.node("GlobalAveragePool", &["e"], "y", vec![]);
        file.check(&[c, h, w]);
    }

    #[test]
    fn damaged_files_are_errors_or_models(seed: u64, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = lenet(seed).bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len().min(2000));
            bytes[at] = byte;
        }
        if let Ok(network) = super::import(&bytes, &[1, 12, 12]) {
            let _ = compile(&network, &declared());
        }
    }

    #[test]
    fn random_bytes_are_errors(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(super::import(&bytes, &[4]).is_err());
    }
}

/// LeNet's layers on a small picture.
fn lenet(seed: u64) -> File {
    let mut file = File::new(seed, 13, &[1, 12, 12]);
    let pool = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), ints("pads", &[0; 4])];
    // The defaults, but rten wants them stated.
    let plain = || vec![ints("strides", &[1, 1]), ints("dilations", &[1, 1]), ints("pads", &[0; 4])];
    file.weight("w1", &[4, 1, 5, 5]);
    file.weight("b1", &[4]);
    file.weight("w2", &[8, 4, 3, 3]);
    file.weight("w3", &[8, 10]);
    file.weight("b3", &[10]);
    file.node("Conv", &["x", "w1", "b1"], "c1", plain());
    file.node("Relu", &["c1"], "r1", vec![]);
    file.node("MaxPool", &["r1"], "p1", pool());
    file.node("Conv", &["p1", "w2"], "c2", plain());
    file.node("Relu", &["c2"], "r2", vec![]);
    file.node("AveragePool", &["r2"], "p2", pool());
    file.node("Flatten", &["p2"], "f", vec![]);
    file.node("Identity", &["f"], "d", vec![]);
    file.node("Gemm", &["d", "w3", "b3"], "y", vec![]);
    file
}

#[test]
fn whole_network() {
    lenet(1).check(&[1, 12, 12]);
}

#[test]
fn dropout_does_nothing() {
    let mut file = lenet(1);
    let compiled = |file: &File| compile(&super::import(&file.bytes(), &[1, 12, 12]).unwrap(), &declared()).unwrap();
    let without = compiled(&file);
    file.graph
        .node
        .iter_mut()
        .filter(|node| node.op_type == "Identity")
        .for_each(|node| node.op_type = "Dropout".into());
    assert_eq!(compiled(&file), without);
}

fn ops(file: &File, input: &[usize]) -> Vec<&'static str> {
    let (graph, _) = compile(&super::import(&file.bytes(), input).unwrap(), &declared()).unwrap();
    graph.nodes.iter().map(|node| node.op.name()).filter(|&op| op != "Weight").collect()
}

#[test]
fn batch_norm_disappears_into_a_convolution_of_one_dimension() {
    let mut file = File::new(1, 13, &[2, 9]);
    file.weight("w", &[3, 2, 3]);
    ["b", "scale", "shift", "mean"].iter().for_each(|name| file.weight(name, &[3]));
    file.floats("variance", &[3], vec![0.25; 3]);
    file.node(
        "Conv",
        &["x", "w", "b"],
        "c",
        vec![ints("strides", &[1]), ints("dilations", &[1]), ints("pads", &[0, 0])],
    );
    file.node("BatchNormalization", &["c", "scale", "shift", "mean", "variance"], "n", vec![]);
    file.node("Relu", &["n"], "r", vec![]);
    let pool = vec![ints("kernel_shape", &[2]), ints("strides", &[2]), ints("pads", &[0, 0])];
    file.node("MaxPool", &["r"], "y", pool);
    file.check(&[2, 9]);
    assert_eq!(ops(&file, &[2, 9]), ["Input", "Reshape", "Conv", "Add", "MaxPool", "Relu", "Reshape"]);
}

#[test]
fn reshapes_by_shape_arithmetic() {
    let mut file = File::new(1, 13, &[2, 3, 4]);
    let at = |value| TensorProto { data_type: 7, int64_data: vec![value], ..Default::default() };
    let constant = |t| vec![AttributeProto { name: "value".into(), t: Some(t), r#type: 4, ..Default::default() }];
    file.ints("zero", &[0]);
    file.ints("rest", &[-1]);
    file.node("Shape", &["x"], "shape", vec![]);
    file.node("Constant", &[], "first", constant(at(0)));
    file.node("Gather", &["shape", "first"], "n", vec![int("axis", 0)]);
    file.node("Unsqueeze", &["n", "zero"], "batch", vec![]);
    file.node("Concat", &["batch", "rest"], "target", vec![int("axis", 0)]);
    file.node("Reshape", &["x", "target"], "y", vec![]);
    file.check(&[2, 3, 4]);
}

#[test]
fn the_divisor_of_an_average_needs_no_truncation() {
    let mut file = File::new(1, 13, &[2, 3, 3]);
    file.weight("w", &[2, 4]);
    file.node("GlobalAveragePool", &["x"], "a", vec![]);
    file.node("Flatten", &["a"], "f", vec![]);
    file.node("MatMul", &["f", "w"], "y", vec![]);
    file.check(&[2, 3, 3]);
    assert_eq!(ops(&file, &[2, 3, 3]), ["Input", "ReduceSum", "Scale", "MatMul"]);
}

#[test]
fn pooling_comes_before_relu_and_truncation_with_it() {
    let expected =
        ["Input", "Conv", "Add", "MaxPool", "Relu", "Conv", "Relu", "SumPool", "Scale", "Reshape", "MatMul", "Add"];
    assert_eq!(ops(&lenet(1), &[1, 12, 12]), expected);
}

#[test]
fn refusals_name_node_op_opset_and_what_to_do() {
    let refusal = |prepare: &dyn Fn(&mut File)| {
        let mut file = File::new(1, 13, &[2, 4, 4]);
        prepare(&mut file);
        match super::import(&file.bytes(), &[2, 4, 4]) {
            Err(Error::Model { node, op, reason }) => (node, op, reason),
            other => panic!("{other:?}"),
        }
    };
    let (node, op, reason) = refusal(&|file| file.node("Sin", &["x"], "y", vec![]));
    assert_eq!((node.as_str(), op.as_str()), ("the Sin", "Sin, opset 13"));
    assert!(reason.contains("rewrite"), "{reason}");

    let (_, _, reason) = refusal(&|file| file.node("Relu", &["x"], "y", vec![int("surprise", 1)]));
    assert!(reason.contains("surprise"), "{reason}");

    let (_, _, reason) = refusal(&|file| {
        file.node("Flatten", &["x"], "f", vec![]);
        file.node("ArgMax", &["f"], "s", vec![int("axis", 1)]);
        file.node("Relu", &["s"], "y", vec![]);
    });
    assert!(reason.contains("only at the end"), "{reason}");

    let (node, _, reason) = refusal(&|file| {
        file.graph.initializer.push(TensorProto { name: "w".into(), data_location: 1, ..Default::default() });
    });
    assert!(node == "w" && reason.contains("single file"), "{reason}");
}

#[test]
fn what_does_not_fit_the_ring_is_refused_with_its_node() {
    let mut file = File::new(1, 13, &[4]);
    file.floats("w", &[4, 4], vec![1e6; 16]);
    file.node("MatMul", &["x", "w"], "a", vec![]);
    file.node("Relu", &["a"], "b", vec![]);
    file.node("MatMul", &["b", "w"], "y", vec![]);
    let network = super::import(&file.bytes(), &[4]).unwrap();
    let Err(Error::Model { node, reason, .. }) = compile(&network, &declared()) else { panic!("must be refused") };
    assert!(node == "the MatMul" && reason.contains("more than the ring carries"), "{node}: {reason}");
}
