//! What graphs are made of: their inputs and outputs, operands that are values or weights, windows, bounds, and damage.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Each operand is a value or a weight.
    #[test]
    fn stacked_products(
        seed: u64, stack in prop::collection::vec(1..4usize, 0..3), m in 1..5usize, k in 1..9usize, n in 1..5usize,
        weight in 0..3usize, flat: bool, samples in 1..4usize,
    ) {
        let (left, right) = ([&stack[..], &[m, k]].concat(), [&stack[..], &[k, n]].concat());
        // A vector, or the rows of all matrices, times one matrix.
        let right = if flat { vec![k, n] } else { right };
        let left = if flat && stack.is_empty() { vec![k] } else { left };
        let mut case = Case::with_inputs(seed, &[("left", &left), ("right", &right)]);
        let x = if weight == 0 { case.weight(&left) } else { 0 };
        let y = if weight == 1 { case.weight(&right) } else { 1 };
        let z = case.push(FloatOp::MatMul, &[x, y]);
        let relu = case.push(FloatOp::Relu(Relu::default()), &[z]);
        case.network.set_outputs(&[relu, z]);
        case.check(&vec![1; samples]);
    }

    #[test]
    fn a_kernel_for_each_sample(
        seed: u64, groups in 1..3usize, channels in [1..3usize, 1..3usize], kernel in [1..4usize, 1..4usize],
        stride in [1..3usize, 1..3usize], weight: bool, samples in 1..4usize,
    ) {
        let ([in_channels, out_channels], input) = (channels.map(|c| c * groups), [5, 6]);
        let pixels = [in_channels, input[0], input[1]];
        let taps = [out_channels, in_channels / groups, kernel[0], kernel[1]];
        let mut case = Case::with_inputs(seed, &[("pixels", &pixels), ("kernel", &taps)]);
        let x = if weight { case.weight(&pixels) } else { 0 };
        let same = geometry([in_channels, out_channels], input, kernel);
        case.push(FloatOp::Conv(ConvGeometry { groups, stride, pad_end: [1, 2], ..same }), &[x, 1]);
        case.check(&vec![1; samples]);
    }

    /// What is computed from weights only is the same for all samples.
    #[test]
    fn weights_alone(seed: u64, k in 1..6usize, n in 1..5usize, samples in 1..4usize) {
        let mut case = Case::new(seed, &[k]);
        let (left, right) = (case.weight(&[k, 4]), case.weight(&[4, n]));
        let product = case.push(FloatOp::MatMul, &[left, right]);
        let bias = case.weight(&[n]);
        let moved = case.push(FloatOp::Add, &[product, bias]);
        let clipped = case.push(FloatOp::Relu(Relu { ceiling: Some(1.5) }), &[moved]);
        let turned = case.push(FloatOp::Transpose(Transpose { perm: vec![1, 0] }), &[clipped]);
        let tall = case.push(FloatOp::Concat(Concat { axis: 1 }), &[turned, turned]);
        let x = case.push(FloatOp::Concat(Concat { axis: 0 }), &[0, 0]);
        let back = case.push(FloatOp::Transpose(Transpose { perm: vec![1, 0] }), &[tall]);
        let y = case.push(FloatOp::MatMul, &[x, back]);
        let row = case.weight(&[1]);
        let joined = case.push(FloatOp::Concat(Concat { axis: 0 }), &[y, row]);
        case.network.set_outputs(&[joined, clipped, joined]);
        case.check(&vec![1; samples]);
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
        let scores = clear::evaluate(&graph, &weights, from_ref(&x), &windows).unwrap().swap_remove(0);
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
                secure::evaluate(party, &damaged, &weights, from_ref(&input[mine]), &[1, 1], &LABEL, Conditions::LOOPBACK)
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
            graph.outputs = vec![value];
            let facts = graph.output().clone();
            for x in &inputs {
                let shown = clear::evaluate_fixed(&graph, &weights, from_ref(x), &[1; 8]).unwrap().swap_remove(0);
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
    case.push(FloatOp::Scale(Scale { factor: 1.0 / 36.0 }), &[case.network.outputs()[0]]);
    case
}

#[test]
fn calibrated_bounds_carry_what_cannot_be_proved() {
    let mut case = deep();
    let declared = |bounds, samples| Declared { range: RANGE, frac_bits: 16, max_windows: None, bounds, samples };
    let calibrated = || Bounds::Calibrated { comparison_margin: 8, ring_margin: 10 };
    let samples = case.batch(4);
    let refusal = compile(&case.network, &declared(Bounds::Proved, Some(from_ref(&samples)))).unwrap_err().to_string();
    assert!(refusal.contains("more than the ring carries"), "{refusal}");
    assert!(compile(&case.network, &declared(calibrated(), None)).is_err(), "nothing to calibrate with");

    let (graph, weights) = compile(&case.network, &declared(calibrated(), Some(from_ref(&samples)))).unwrap();
    assert_eq!(graph.output().bound.source, Source::Calibrated);
    let x = case.batch(2);
    let float = clear::evaluate(&graph, &weights, from_ref(&x), &[1, 1]).unwrap().swap_remove(0);
    let scale = float.iter().fold(1.0, |scale: f64, y| scale.max(y.abs()));
    let shared = scores(&graph, &weights, &[x], &[1, 1], Conditions::LOOPBACK).swap_remove(0);
    for (float, shared) in float.iter().zip(&shared) {
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

#[test]
fn graphs_that_no_question_is_about_are_told_apart() {
    let reason = |graph: &Graph| graph.check_served().map_err(|refusal| refusal.to_string());
    let mut case = Case::with_inputs(1, &[("query", &[2, 3]), ("keys", &[3, 4])]);
    let product = case.push(FloatOp::MatMul, &[0, 1]);
    let graph = case.compile().0;
    assert_eq!(graph.inputs().iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["query", "keys"]);
    assert!(reason(&graph).unwrap_err().contains("2 inputs and 1 outputs"), "{:?}", reason(&graph));

    let mut case = Case::new(1, &[3]);
    let double = case.push(FloatOp::Add, &[0, 0]);
    case.network.set_outputs(&[double, 0]);
    assert!(reason(&case.compile().0).unwrap_err().contains("1 inputs and 2 outputs"));
    case.network.set_outputs(&[double]);
    assert_eq!(reason(&case.compile().0), Ok(()));
    let weight = case.weight(&[3]);
    case.push(FloatOp::Add, &[weight, weight]);
    assert!(reason(&case.compile().0).unwrap_err().contains("not computed from the input"));

    let twice = FloatGraph::with_inputs(&[("x", &[1]), ("x", &[2])]).unwrap_err().to_string();
    assert!(twice.contains("the name of another input"), "{twice}");
    let mut graph = graph;
    graph.nodes[1].name = "query".into();
    assert!(graph.validate().unwrap_err().to_string().contains("the name of another input"));
    graph.nodes[1].name = "keys".into();
    graph.outputs = vec![product, 7];
    assert!(graph.validate().unwrap_err().to_string().contains("does not compute"));
}
