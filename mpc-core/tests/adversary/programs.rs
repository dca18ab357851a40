//! What the parties compute while one of them cheats: every protocol on small shapes, and a network.

use std::sync::LazyLock;

use mpc_core::inference::head::{Head, Output};
use mpc_core::inference::secure::{self, Weights};
use mpc_core::kernel::ConvGeometry;
use mpc_core::model::manifest::Bounds;
use mpc_core::model::op::{MaxPool, Relu, Reshape};
use mpc_core::model::{Declared, FloatGraph, FloatOp, Function, Graph, PoolGeometry, compile, encode_weights};
use mpc_core::party::Computed;
use mpc_core::protocol::compare::Width;
use mpc_core::protocol::piecewise::Argument;
use mpc_core::protocol::power::{Exponent, Octaves, power};
use mpc_core::protocol::winner::Levels;
use mpc_core::protocol::{argmax::argmax, compare, convert, lift, pool, product, relu, round, truncate};
use mpc_core::ring::{Domain, Tensor, Word};
use mpc_core::security::Claimable;
use mpc_core::session::Conditions;
use mpc_core::sharing::{ArithmeticShare, BitShare, InputRange, RangedShare, Share};
use mpc_core::testing::geometry;
use mpc_core::{Party, Result, Role};
use ndarray::{ArrayD, IxDyn};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// A computation that all three parties run, on secrets of the dealer.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Party, &mut Dealer) -> Result<Output>,
}

/// The owner of the secrets. Every party replays it and keeps its own components.
pub(crate) struct Dealer {
    role: Role,
    rng: ChaCha12Rng,
    /// Whether the parties open the output, instead of releasing it.
    pub(crate) opens: bool,
}

impl Dealer {
    pub(crate) fn new(role: Role, seed: u64) -> Self {
        Self { role, rng: ChaCha12Rng::seed_from_u64(seed), opens: false }
    }

    /// This party's share of a secret.
    fn deal<D: Domain, W: Word>(&mut self, secret: &Tensor<W>) -> Share<D, W> {
        let mut random = || Tensor::from_shape_simple_fn(secret.raw_dim(), || W::from_u64(self.rng.next_u64()));
        let (x0, x1) = (random(), random());
        let mut x2 = secret.clone();
        x2.zip_mut_with(&x0, |x, &a| *x = D::sub(*x, a));
        x2.zip_mut_with(&x1, |x, &b| *x = D::sub(*x, b));
        let component = |role: Role| [&x0, &x1, &x2][role.index()].clone();
        Share::new(component(self.role), component(self.role.next()))
    }

    /// Random numbers |x| < 2^bits.
    fn numbers<W: Word>(&mut self, shape: &[usize], bits: u32) -> ArithmeticShare<W> {
        let number = || W::from_u64(((self.rng.next_u64() as i64) >> (63 - bits)) as u64);
        let secret = Tensor::from_shape_simple_fn(IxDyn(shape), number);
        self.deal(&secret)
    }

    /// Random components, which no honest client would deal.
    fn ranged(&mut self, shape: &[usize], range: InputRange) -> RangedShare {
        let words = self.numbers::<u64>(shape, 63);
        RangedShare::new(words.own(), words.next(), range)
    }

    /// Random bits.
    fn bits(&mut self, planes: usize, words: usize) -> BitShare {
        let secret = Tensor::from_shape_simple_fn(IxDyn(&[planes, words]), || self.rng.next_u64());
        self.deal(&secret)
    }
}

/// Any number as the top bits of a 64-bit one, which is linear.
fn scores<W: Word>(x: ArithmeticShare<W>) -> Output {
    Output::Scores(vec![x.map(|t| t.mapv(|x| x.to_u64() << (64 - W::BITS)).into_shared())])
}

/// Every protocol, and what joins them.
pub(crate) const PROTOCOLS: &[Program] = &[
    Program { name: "mul u8", run: mul::<u8> },
    Program { name: "mul u16", run: mul::<u16> },
    Program { name: "mul u32", run: mul::<u32> },
    Program { name: "mul u64", run: mul::<u64> },
    Program { name: "many products", run: many_products },
    Program { name: "and", run: and },
    Program {
        name: "to_arithmetic",
        run: |p, d| {
            let bits = d.bits(2, 2);
            convert::to_arithmetic::<u16>(p, &bits, 70).map(scores)
        },
    },
    Program {
        name: "lift",
        run: |p, d| {
            let x = d.ranged(&[3], InputRange::holding(8.0, 16));
            lift::lift(p, &x).map(scores)
        },
    },
    Program {
        name: "inject",
        run: |p, d| {
            let (bit, x) = (d.bits(1, 1), d.numbers::<u64>(&[3], 40));
            convert::inject(p, &bit, &x).map(scores)
        },
    },
    Program {
        name: "inject a bit that comes later",
        run: |p, d| {
            let (bit, x) = (d.bits(1, 1), d.numbers::<u64>(&[3], 40));
            let product = convert::Injection::of(p, x)?.by(p, &bit)?;
            let number = convert::Injection::of_ones(p, 3)?.by(p, &bit)?;
            Ok(scores(product.add(&number)))
        },
    },
    Program {
        name: "select",
        run: |p, d| {
            let (bit, a, b) = (d.bits(1, 1), d.numbers::<u64>(&[3], 40), d.numbers(&[3], 40));
            mpc_core::testing::protocols::select(p, &bit, &a, &b).map(scores)
        },
    },
    Program {
        name: "matmul",
        run: |p, d| {
            let (x, y) = (d.numbers(&[2, 3], 30), d.numbers(&[3, 2], 30));
            product::matmul(p, &x, &y).map(scores)
        },
    },
    Program { name: "conv", run: |p, d| conv(p, d, 1) },
    Program { name: "conv in groups", run: |p, d| conv(p, d, 2) },
    Program {
        name: "msb",
        run: |p, d| {
            let x = d.numbers::<u64>(&[3], 19);
            compare::msb(p, &x, 20).map(Output::Labels)
        },
    },
    Program {
        name: "truncate",
        run: |p, d| {
            let x = d.numbers::<u64>(&[3], 40);
            truncate::truncate(p, &x, 16).map(scores)
        },
    },
    Program {
        name: "round",
        run: |p, d| {
            let x = d.numbers::<u64>(&[3], 40);
            round::round(p, &x, 16).map(scores)
        },
    },
    Program {
        name: "relu",
        run: |p, d| {
            let x = d.numbers::<u64>(&[3], 23);
            relu::relu(p, &x, Width::exact(24), 8, None).map(scores)
        },
    },
    Program {
        name: "relu with a ceiling",
        run: |p, d| {
            let x = d.numbers::<u64>(&[3], 23);
            relu::relu(p, &x, Width::exact(24), 16, Some(6 << 4)).map(scores)
        },
    },
    Program {
        name: "max",
        run: |p, d| {
            let candidates: Vec<_> = (0..3).map(|_| d.numbers::<u64>(&[2], 15)).collect();
            pool::max(p, &candidates, Width::exact(16), &Levels::tournament(3)).map(scores)
        },
    },
    Program {
        name: "max and relu",
        run: |p, d| {
            let candidates: Vec<_> = (0..3).map(|_| d.numbers::<u64>(&[2], 23)).collect();
            pool::max_relu(p, &candidates, Width { bits: 24, drop: 4 }, 8, &Levels::all_pairs(3)).map(scores)
        },
    },
    Program {
        name: "argmax",
        run: |p, d| {
            let x = d.numbers::<u64>(&[2, 4], 15);
            argmax(p, &x, Width::exact(16), &Levels::tournament(4)).map(Output::Labels)
        },
    },
    Program {
        name: "inverse square root",
        run: |p, d| {
            let x = d.numbers::<u64>(&[2], 9);
            power(p, &x, Exponent::InverseSqrt, Octaves { low: 7, high: 9 }, 8, 12).map(scores)
        },
    },
    Program {
        name: "tanh",
        run: |p, d| {
            let x = d.numbers::<u64>(&[2], 18);
            Function::Tanh
                .table()
                .expect("a table")
                .evaluate(p, &x, Argument { bits: 18, frac_bits: 16 }, 16)
                .map(scores)
        },
    },
    Program { name: "open_masked", run: open_masked },
    Program {
        name: "open",
        run: |p, d| {
            d.opens = true;
            let (x, y) = (d.numbers::<u64>(&[3], 40), d.numbers(&[3], 20));
            product::mul(p, &x, &y).map(scores)
        },
    },
    Program {
        name: "join",
        run: |p, d| {
            let x = d.numbers::<u64>(&[2], 20);
            let y = x.clone();
            let cube = move |p: &mut Party| {
                let square = product::mul(p, &y, &y)?;
                product::mul(p, &square, &y)
            };
            let (y, same) = (x.clone(), cube.clone());
            let fourth = move |p: &mut Party| same(p).and_then(|cube| product::mul(p, &cube, &y));
            let (square, (cube, fourth)) = p.join(|p| product::mul(p, &x, &x), |p| p.join(cube, fourth))?;
            Ok(scores(square.add(&cube).add(&fourth)))
        },
    },
];

/// A convolution, a clipped ReLU, a pool, a dense layer and the label.
pub(crate) const NETWORK: Program = Program {
    name: "network",
    run: |p, d| {
        let (graph, weights) = &*LENET;
        let weights = Weights::new(weights.iter().map(|weight| d.deal(weight)).collect());
        let input = d.ranged(&[1, 1, 4, 4], graph.input_range());
        let head = Head::Label { unknown: None };
        let evaluated = secure::evaluate(p, graph, &weights, &[input], &[1], &head, Conditions::WAN);
        evaluated.map(Computed::unverified)
    },
};

static LENET: LazyLock<(Graph, Vec<Tensor<u64>>)> = LazyLock::new(|| {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let mut weight = |shape: &[usize]| {
        ArrayD::from_shape_simple_fn(IxDyn(shape), || f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0)
    };
    let mut build = || {
        let mut network = FloatGraph::new(&[1, 4, 4])?;
        let w = network.weight("conv", weight(&[2, 1, 3, 3]))?;
        let x = network.push("conv", FloatOp::Conv(strided([1, 2], 1)), &[0, w])?;
        let x = network.push("relu", FloatOp::Relu(Relu { ceiling: Some(3.0) }), &[x])?;
        let pool = PoolGeometry { input: [2; 2], kernel: [2; 2], stride: [2; 2], pad_begin: [0; 2], pad_end: [0; 2] };
        let x = network.push("pool", FloatOp::MaxPool(MaxPool(pool)), &[x])?;
        let x = network.push("flat", FloatOp::Reshape(Reshape { shape: vec![2] }), &[x])?;
        let w = network.weight("dense", weight(&[2, 3]))?;
        network.push("dense", FloatOp::MatMul, &[x, w])?;
        let declared = Declared { range: 4.0, frac_bits: 12, max_windows: None, bounds: Bounds::Proved, samples: None };
        let (graph, weights) = compile(&network, &declared)?;
        let weights = encode_weights(&graph, &weights)?;
        Ok::<_, mpc_core::Error>((graph, weights))
    };
    build().expect("a network that fits")
});

fn mul<W: Claimable>(party: &mut Party, dealer: &mut Dealer) -> Result<Output> {
    let (x, y) = (dealer.numbers::<W>(&[5], W::BITS - 1), dealer.numbers(&[5], W::BITS - 1));
    product::mul(party, &x, &y).map(scores)
}

/// Enough of them for several levels of any recursion, in all widths.
fn many_products(party: &mut Party, dealer: &mut Dealer) -> Result<Output> {
    let (x, y) = (dealer.numbers::<u64>(&[20], 20), dealer.numbers(&[20], 20));
    let (narrow, bits) = (dealer.numbers::<u32>(&[20], 20), dealer.bits(1, 1));
    let z = product::mul(party, &x, &y)?;
    let square = product::mul(party, &narrow, &narrow)?;
    let ands = product::mul(party, &bits, &dealer.bits(1, 1))?;
    let numbers = convert::to_arithmetic::<u8>(party, &ands, 20)?;
    let wide = |t: &Tensor<u32>| t.mapv(|x| u64::from(x) << 32).into_shared();
    let more = |t: &Tensor<u8>| t.slice(ndarray::s![0, ..]).mapv(|x| u64::from(x) << 56).into_dyn().into_shared();
    let padded = Share::new(pad(&more(numbers.own())), pad(&more(numbers.next())));
    Ok(scores(z.add(&square.map(wide)).add(&padded)))
}

/// 64 words as 70.
fn pad(words: &Tensor<u64>) -> Tensor<u64> {
    Tensor::from_shape_fn(IxDyn(&[20]), |i| words.get([i[0]]).copied().unwrap_or(0))
}

fn and(party: &mut Party, dealer: &mut Dealer) -> Result<Output> {
    let (x, y) = (dealer.bits(2, 3), dealer.bits(2, 3));
    product::mul(party, &x, &y).map(Output::Labels)
}

fn strided(channels: [usize; 2], groups: usize) -> ConvGeometry {
    ConvGeometry { groups, stride: [2, 2], pad_begin: [1, 0], pad_end: [0, 1], ..geometry(channels, [4, 4], [3, 3]) }
}

fn conv(party: &mut Party, dealer: &mut Dealer, groups: usize) -> Result<Output> {
    let geometry = strided([2, 2], groups);
    let (x, w) = (dealer.numbers(&[1, 2, 4, 4], 20), dealer.numbers(&[2, 2 / groups, 3, 3], 20));
    product::conv(party, &geometry, &x, &w).map(scores)
}

/// A masked opening of a product, and a product with what was opened.
fn open_masked(party: &mut Party, dealer: &mut Dealer) -> Result<Output> {
    let (x, y) = (dealer.numbers::<u64>(&[3], 40), dealer.numbers(&[3], 20));
    let z = product::mul(party, &x, &y)?;
    let (opened, mask) = mpc_core::testing::protocols::open_masked(party, &z)?;
    let same = Share::public(party.role(), &opened).sub(&mask);
    Ok(scores(product::mul(party, &same, &x)?.add(&same)))
}
