//! A rehearsal says what an evaluation costs, to the round and the byte.

use std::slice::from_ref;
use std::time::Duration;

use mpc_core::inference::Piece;
use mpc_core::inference::head::Head;
use mpc_core::inference::rehearsal::{Spent, rehearse};
use mpc_core::inference::secure::{Weights, evaluate};
use mpc_core::kernel::ConvGeometry;
use mpc_core::model::manifest::Bounds;
use mpc_core::model::op::{MaxPool, Relu, Reshape};
use mpc_core::model::{Declared, FloatGraph, FloatOp, Function, Graph, PoolGeometry, compile, encode_weights};
use mpc_core::ring::{Arithmetic, fixed};
use mpc_core::session::{Conditions, Measured, Meter, Mode};
use mpc_core::testing::{deal, deal_ranged, geometry, parties, run_verified};
use mpc_core::{Party, Result};
use ndarray::{ArrayD, IxDyn};

/// Convolution, max-pool with a ReLU, functions, and labels.
fn network() -> Result<(Graph, Vec<ArrayD<f64>>)> {
    let mut network = FloatGraph::new(&[1, 4, 6])?;
    let geometry = ConvGeometry { pad_begin: [1, 1], pad_end: [1, 1], ..geometry([1, 3], [4, 6], [3, 3]) };
    let taps = network.weight("taps", weights(&[3, 1, 3, 3]))?;
    let x = network.push("conv", FloatOp::Conv(geometry), &[0, taps])?;
    let x = network.push("relu", FloatOp::Relu(Relu::default()), &[x])?;
    let pool = PoolGeometry { input: [4, 6], kernel: [2, 2], stride: [2, 2], pad_begin: [0, 0], pad_end: [0, 0] };
    let x = network.push("pool", FloatOp::MaxPool(MaxPool(pool)), &[x])?;
    let x = network.push("flat", FloatOp::Reshape(Reshape { shape: vec![18] }), &[x])?;
    let x = network.push("gate", FloatOp::Function(Function::Sigmoid), &[x])?;
    let x = network.push("root", FloatOp::Function(Function::INVERSE_SQRT), &[x])?;
    let dense = network.weight("dense", weights(&[18, 5]))?;
    network.push("scores", FloatOp::MatMul, &[x, dense])?;
    let declared = Declared { range: 2.0, frac_bits: 16, max_windows: None, bounds: Bounds::Proved, samples: None };
    compile(&network, &declared)
}

fn weights(shape: &[usize]) -> ArrayD<f64> {
    let n = shape.iter().product::<usize>();
    ArrayD::from_shape_vec(IxDyn(shape), (0..n).map(|i| (i as f64 * 0.7).sin()).collect()).expect("a shape")
}

#[test]
fn a_rehearsal_costs_what_the_evaluation_costs() {
    let (graph, weights) = network().unwrap();
    let weights: Vec<_> = encode_weights(&graph, &weights).unwrap().iter().map(deal::<Arithmetic, u64>).collect();
    let x = ArrayD::from_shape_fn(IxDyn(&[2, 1, 4, 6]), |i| (i[2] * 6 + i[3]) as f64 / 24.0);
    let x = x.mapv(|x| fixed::encode(x, graph.input().frac_bits).unwrap()).into_shared();
    let input = deal_ranged(&x, graph.input_range());
    for mode in [Mode::Passive, Mode::Active] {
        for conditions in [Conditions::LOOPBACK, Conditions::WAN] {
            let evaluate = |party: &mut Party| {
                let mine = party.role().index();
                let weights = Weights::new(weights.iter().map(|shares| shares[mine].clone()).collect());
                evaluate(
                    party,
                    &graph,
                    &weights,
                    from_ref(&input[mine]),
                    &[1, 1],
                    &Head::Label { unknown: None },
                    conditions,
                )
            };
            let meters = run_verified(parties(1, mode), evaluate, |party, _| Ok(party.meter()));
            let pieces = rehearse(&graph, &[1, 1], &Head::Label { unknown: None }, mode, conditions, || Duration::ZERO)
                .expect("a rehearsal");
            let sum = |of: fn(&Spent) -> u64| pieces.iter().map(of).sum::<u64>();
            let rehearsed =
                Meter { rounds: sum(|spent| spent.meter.rounds), bytes_sent: sum(|spent| spent.meter.bytes_sent) };
            assert_eq!(meters[0].as_ref(), Ok(&rehearsed), "{mode} {conditions:?}");
            assert_eq!(
                pieces[..2].iter().map(|spent| spent.piece).collect::<Vec<_>>(),
                [Piece::Agreement, Piece::Node(0)]
            );
            assert_eq!(
                pieces[1].meter,
                Meter { rounds: 2, bytes_sent: 2 * 24 * 16 },
                "two words for each number of two inputs"
            );
            assert_eq!(pieces.last().map(|spent| spent.piece), Some(Piece::Verification));
        }
    }
}

#[test]
fn time_is_made_of_rounds_bytes_and_work() {
    let meter = Meter { rounds: 10, bytes_sent: 125_000 };
    let spent = Spent { piece: Piece::Head, meter, cpu: Duration::from_millis(4) };
    let conditions = Conditions { latency_us: 1000, rate_mbit: 100 };
    let measured = Measured { conditions, work_us: 3000 };
    let time = spent.time(&measured, Duration::from_micros(2000));
    assert!(time.abs_diff(Duration::from_millis(10 + 10 + 6)) < Duration::from_micros(1), "{time:?}");
}

#[test]
fn branches_share_their_rounds() {
    let branches = || -> Result<(Graph, Vec<ArrayD<f64>>)> {
        let mut network = FloatGraph::new(&[6])?;
        let [left, right] = ["left", "right"].map(|name| network.weight(name, weights(&[6, 3])));
        let (left, right) = (left?, right?);
        let x = network.push("x left", FloatOp::MatMul, &[0, left])?;
        let x = network.push("relu", FloatOp::Relu(Relu::default()), &[x])?;
        let square = network.weight("square", weights(&[3, 3]))?;
        let x = network.push("x square", FloatOp::MatMul, &[x, square])?;
        let y = network.push("x right", FloatOp::MatMul, &[0, right])?;
        network.push("sum", FloatOp::Add, &[x, y])?;
        let declared = Declared { range: 2.0, frac_bits: 16, max_windows: None, bounds: Bounds::Proved, samples: None };
        compile(&network, &declared)
    };
    let (graph, _) = branches().unwrap();
    let pieces =
        rehearse(&graph, &[1], &Head::Outputs, Mode::Passive, Conditions::LOOPBACK, || Duration::ZERO).unwrap();
    let rounds = |name: &str| {
        let piece = pieces.iter().find(|spent| matches!(spent.piece, Piece::Node(id) if graph.nodes[id].name == name));
        piece.map(|spent| spent.meter.rounds)
    };
    assert_eq!([rounds("x left"), rounds("x right"), rounds("x square")], [Some(1), Some(0), Some(1)]);
}
