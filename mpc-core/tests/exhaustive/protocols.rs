//! The protocols that are gone through, each with its right result by plain arithmetic on all components of its inputs.

use std::iter::repeat_n;

use mpc_core::error::Result;
use mpc_core::kernel::ConvGeometry;
use mpc_core::protocol::bits::component_planes;
use mpc_core::protocol::compare::{Width, msb};
use mpc_core::protocol::winner::Levels;
use mpc_core::protocol::{argmax, convert, pool, product, relu, round, truncate};
use mpc_core::ring::{Tensor, Word};
use mpc_core::sharing::{ArithmeticShare, BitShare, Share};
use mpc_core::testing::geometry;
use mpc_core::testing::small::Small;
use mpc_core::{Party, Role};

use crate::session::{Columns, Combination, Output, Program, tensor};

/// A protocol on a small ring.
pub(crate) struct Protocol {
    pub(crate) name: String,
    /// Bits of the ring.
    pub(crate) ring: u32,
    pub(crate) inputs: Vec<Input>,
    pub(crate) program: Box<Program>,
    /// The right result.
    pub(crate) expected: Box<Expected>,
}

impl Protocol {
    /// All that its inputs may be, together.
    pub(crate) fn secrets(&self) -> Vec<Vec<u64>> {
        tuples(&self.inputs.iter().map(|input| input.secrets.clone()).collect::<Vec<_>>())
    }
}

/// All ways to choose one of each.
pub(crate) fn tuples<T: Copy>(choices: &[Vec<T>]) -> Vec<Vec<T>> {
    choices.iter().fold(vec![Vec::new()], |all, more| {
        all.iter().flat_map(|tuple| more.iter().map(|&one| [&tuple[..], &[one]].concat())).collect()
    })
}

/// From all three components of every input.
pub(crate) type Expected = dyn Fn(&[[u64; 3]]) -> u64 + Send + Sync;

/// What an input may be.
pub(crate) struct Input {
    pub(crate) value: Combination,
    pub(crate) secrets: Vec<u64>,
}

impl Input {
    /// One bit.
    fn bit() -> Self {
        Self { value: Combination::Boolean, secrets: vec![0, 1] }
    }

    /// All of the ring.
    pub(crate) fn ring(bits: u32) -> Self {
        Self::signed(bits, bits)
    }

    /// From -2^(k-1) to 2^(k-1) - 1.
    fn signed(bits: u32, k: u32) -> Self {
        let half = 1i64 << (k - 1);
        Self::range(bits, -half, half - 1)
    }

    fn range(bits: u32, least: i64, most: i64) -> Self {
        Self { value: Combination::Modulo { bits }, secrets: (least..=most).map(|x| x as u64 & mask(bits)).collect() }
    }

    /// How many values a component has.
    pub(crate) fn components(&self) -> u64 {
        match self.value {
            Combination::Boolean => 2,
            Combination::Modulo { bits } => 1 << bits,
        }
    }

    /// The sharing of `secret` with these components 0 and 1.
    pub(crate) fn sharing(&self, secret: u64, [a, b]: [u64; 2]) -> [u64; 3] {
        match self.value {
            Combination::Boolean => [a, b, secret ^ a ^ b],
            Combination::Modulo { bits } => [a, b, secret.wrapping_sub(a).wrapping_sub(b) & mask(bits)],
        }
    }
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// The number that components modulo 2^bits stand for, signed.
fn signed(bits: u32, components: [u64; 3]) -> i64 {
    let value = Combination::Modulo { bits }.of(components);
    (value << (64 - bits)) as i64 >> (64 - bits)
}

/// A protocol over Z_2^B.
pub(crate) fn on_ring<const B: u32>(
    name: String,
    inputs: Vec<Input>,
    run: impl Fn(&mut Party, &[ArithmeticShare<Small<B>>]) -> Result<Output> + Send + Sync + 'static,
    expected: impl Fn(&[[u64; 3]]) -> u64 + Send + Sync + 'static,
) -> Protocol {
    let program = move |party: &mut Party, inputs: &[Columns<2>]| {
        let shares: Vec<_> = inputs.iter().map(share).collect();
        run(party, &shares)
    };
    Protocol { name, ring: B, inputs, program: Box::new(program), expected: Box::new(expected) }
}

fn share<W: Word>([own, next]: &Columns<2>) -> ArithmeticShare<W> {
    let component = |words: &Vec<u64>| tensor(&[words.len()], words.iter().copied());
    Share::new(component(own), component(next))
}

/// An input that is a bit.
fn plane<const B: u32>(party: &Party, bit: &ArithmeticShare<Small<B>>) -> BitShare {
    component_planes(party.kernel(), bit, 0, 1)
}

pub(crate) fn product<const B: u32>() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| Ok(Output::numbers(&product::mul(p, &s[0], &s[1])?));
    on_ring("product".into(), vec![Input::ring(B), Input::ring(B)], run, |x| {
        (signed(B, x[0]) * signed(B, x[1])) as u64 & mask(B)
    })
}

pub(crate) fn and() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<3>>]| {
        let [x, y] = [plane(p, &s[0]), plane(p, &s[1])];
        Ok(Output::plane(&product::mul(p, &x, &y)?))
    };
    let expected = |x: &[[u64; 3]]| Combination::Boolean.of(x[0]) & Combination::Boolean.of(x[1]);
    Protocol { ring: 1, ..on_ring("and".into(), vec![Input::bit(), Input::bit()], run, expected) }
}

/// x_j y, where x_j counts as a sharing of its own.
pub(crate) fn component_times<const B: u32>(slot: Role) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let component = if p.role() == slot { s[0].own() } else { s[0].next() };
        Ok(Output::numbers(&p.round(|round| product::send_trivial_times(round, slot, component, &s[1]))?))
    };
    let j = slot.index();
    on_ring(format!("product of component {j} and y"), vec![Input::ring(B), Input::ring(B)], run, move |x| {
        x[0][j].wrapping_mul(signed(B, x[1]) as u64) & mask(B)
    })
}

/// x_j x_{j+1}.
pub(crate) fn component_pair<const B: u32>(slot: Role) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        Ok(Output::numbers(&p.round(|round| product::send_component_pair(round, slot, &s[0]))?))
    };
    let [j, k] = [slot.index(), slot.next().index()];
    on_ring(format!("product of components {j} and {k}"), vec![Input::ring(B)], run, move |x| {
        (x[0][j] * x[0][k]) & mask(B)
    })
}

pub(crate) fn sign<const B: u32>(k: u32) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| Ok(Output::plane(&msb(p, &s[0], k)?));
    on_ring(format!("sign, k = {k}"), vec![Input::signed(B, k)], run, |x| u64::from(signed(B, x[0]) < 0))
}

/// x / 2^m as a function of the components, which must be within 1.5 of the quotient.
fn truncated(bits: u32, m: u32, x: [u64; 3]) -> u64 {
    if m == 0 {
        return Combination::Modulo { bits }.of(x);
    }
    // What is divided is not negative, and its components add up to it and some times 2^bits.
    let offset = (9 << (bits - 5)) >> m;
    let shifted = [(x[0] + (offset << m) + (1 << (m - 1)) - 1) & mask(bits), x[1], x[2]];
    let number = Combination::Modulo { bits }.of(shifted);
    let wraps = (shifted.iter().sum::<u64>() - number) >> bits;
    let parts: u64 = shifted.iter().map(|part| part >> m).sum();
    let quotient = parts.wrapping_sub(wraps << (bits - m)).wrapping_sub(offset).wrapping_add(1);
    let off = 2 * ((quotient as i64) << m) - 2 * signed(bits, x);
    assert!(-3 << m < off && off <= 3 << m, "{x:?} divided by 2^{m}");
    quotient & mask(bits)
}

/// What a truncation takes, and a comparison of k bits.
fn truncatable(bits: u32, k: u32) -> Input {
    let most = ((3i64 << (bits - 4)) - 1).min((1 << (k - 1)) - 1);
    Input::range(bits, -most, most)
}

pub(crate) fn truncation<const B: u32>(m: u32) -> Protocol {
    let run =
        move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| Ok(Output::numbers(&truncate::truncate(p, &s[0], m)?));
    on_ring(format!("truncation by {m}"), vec![truncatable(B, B)], run, move |x| truncated(B, m, x[0]))
}

/// The nearest integer, however the number is shared; of two the lower one.
pub(crate) fn rounding<const B: u32>(m: u32) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| Ok(Output::numbers(&round::round(p, &s[0], m)?));
    on_ring(format!("rounding by {m}"), vec![truncatable(B, B)], run, move |x| {
        ((signed(B, x[0]) + (1 << (m - 1)) - 1) >> m) as u64 & mask(B)
    })
}

pub(crate) fn bit_to_number<const B: u32>() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let bit = plane(p, &s[0]);
        let number = convert::to_arithmetic::<Small<B>>(p, &bit, s[0].len())?;
        Ok(Output::numbers(&number))
    };
    on_ring("bit to number".into(), vec![Input::bit()], run, |x| Combination::Boolean.of(x[0]))
}

pub(crate) fn injection<const B: u32>() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let bit = plane(p, &s[0]);
        Ok(Output::numbers(&convert::inject(p, &bit, &s[1])?))
    };
    on_ring("injection".into(), vec![Input::bit(), Input::ring(B)], run, bit_times::<B>)
}

fn bit_times<const B: u32>(x: &[[u64; 3]]) -> u64 {
    Combination::Boolean.of(x[0]) * Combination::Modulo { bits: B }.of(x[1])
}

pub(crate) fn later_injection<const B: u32>() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let bit = plane(p, &s[0]);
        let injection = convert::Injection::of(p, s[1].clone())?;
        Ok(Output::numbers(&injection.by(p, &bit)?))
    };
    on_ring("injection of a later bit".into(), vec![Input::bit(), Input::ring(B)], run, bit_times::<B>)
}

pub(crate) fn selection<const B: u32>() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let bit = plane(p, &s[0]);
        Ok(Output::numbers(&mpc_core::testing::protocols::select(p, &bit, &s[1], &s[2])?))
    };
    on_ring("selection".into(), vec![Input::bit(), Input::ring(B), Input::ring(B)], run, |x| {
        Combination::Modulo { bits: B }.of(if Combination::Boolean.of(x[0]) == 1 { x[1] } else { x[2] })
    })
}

/// max(x, 0) / 2^m, where the sign is that of x without its lowest `drop` bits.
pub(crate) fn relu<const B: u32>(width: Width, m: u32) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        Ok(Output::numbers(&relu::relu(p, &s[0], width, m, None)?))
    };
    let Width { bits: k, drop } = width;
    let name = match (m, drop) {
        (0, 0) => format!("ReLU, k = {k}"),
        (_, 0) => format!("ReLU, k = {k}, and truncation by {m}"),
        _ => format!("ReLU, k = {k}, without {drop} bit"),
    };
    let input = if m == 0 { Input::signed(B, k) } else { truncatable(B, k) };
    on_ring(name, vec![input], run, move |x| {
        let compared = signed(B - drop, x[0].map(|component| component >> drop));
        if compared < 0 { 0 } else { truncated(B, m, x[0]) }
    })
}

/// min(max(x, 0), ceiling).
pub(crate) fn clipped_relu<const B: u32>(k: u32, ceiling: u64) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let clipped = relu::relu(p, &s[0], Width::exact(k), 0, Some(Small::from_u64(ceiling)))?;
        Ok(Output::numbers(&clipped))
    };
    on_ring(format!("ReLU up to {ceiling}, k = {k}"), vec![Input::signed(B, k)], run, move |x| {
        (signed(B, x[0]).max(0) as u64).min(ceiling)
    })
}

pub(crate) fn maximum<const B: u32>(k: u32, candidates: usize) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        Ok(Output::numbers(&pool::max(p, s, Width::exact(k), &Levels::all_pairs(candidates))?))
    };
    let inputs = repeat_n((), candidates).map(|()| Input::signed(B, k)).collect();
    on_ring(format!("largest of {candidates}, k = {k}"), inputs, run, |x| {
        x.iter().map(|x| signed(B, *x)).max().expect("candidates") as u64 & mask(B)
    })
}

/// max(x, 0) / 2^m of the largest x.
pub(crate) fn maximum_relu<const B: u32>(k: u32, candidates: usize, m: u32) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        Ok(Output::numbers(&pool::max_relu(p, s, Width::exact(k), m, &Levels::all_pairs(candidates))?))
    };
    let input = || if m == 0 { Input::signed(B, k) } else { truncatable(B, k) };
    let name = format!("largest of {candidates} and ReLU, k = {k}");
    let name = if m == 0 { name } else { format!("{name}, and truncation by {m}") };
    on_ring(name, repeat_n((), candidates).map(|()| input()).collect(), run, move |x| {
        // Zero is the first candidate, and of equal ones the first wins.
        let first = x.iter().map(|x| signed(B, *x)).max().filter(|most| *most > 0);
        first.and_then(|most| x.iter().find(|x| signed(B, **x) == most)).map_or(0, |x| truncated(B, m, *x))
    })
}

pub(crate) fn argmax<const B: u32>(k: u32, levels: &Levels) -> Protocol {
    let (candidates, sizes, levels) = (levels.candidates(), levels.sizes().to_vec(), levels.clone());
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let n = s[0].len();
        let rows = |pick: fn(&ArithmeticShare<Small<B>>) -> &Tensor<Small<B>>| {
            let row = |i: usize| s.iter().map(move |s| pick(s)[i].to_u64());
            tensor(&[n, candidates], (0..n).flat_map(row))
        };
        let scores = ArithmeticShare::<Small<B>>::new(rows(Share::own), rows(Share::next));
        Ok(Output::bits(&argmax::argmax(p, &scores, Width::exact(k), &levels)?))
    };
    let name = format!("index of the largest of {candidates}, k = {k}");
    let name = if sizes.len() == 1 { name } else { format!("{name}, in {} levels", sizes.len()) };
    on_ring(name, repeat_n((), candidates).map(|()| Input::signed(B, k)).collect(), run, move |x| {
        let scores: Vec<_> = x.iter().map(|x| signed(B, *x)).collect();
        // Group j of a level has the candidates j, j + groups, and so on; of equal ones the first wins.
        let winners = |left: Vec<usize>, size: &usize| {
            let groups = left.len().div_ceil(*size);
            let first_largest = |j: usize| {
                let group = (0..*size).map(|i| left[(i * groups + j).min(left.len() - 1)]);
                group.reduce(|best, other| if scores[other] > scores[best] { other } else { best }).expect("a group")
            };
            (0..groups).map(first_largest).collect()
        };
        sizes.iter().fold((0..candidates).collect(), winners)[0] as u64
    })
}

/// x, by way of x + r.
pub(crate) fn masked_opening<const B: u32>() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<B>>]| {
        let (opened, mask) = mpc_core::testing::protocols::open_masked(p, &s[0])?;
        Ok(Output::numbers(&Share::public(p.role(), &opened).sub(&mask)))
    };
    on_ring("masked opening".into(), vec![Input::ring(B)], run, |x| Combination::Modulo { bits: B }.of(x[0]))
}

/// Inner products of two and two, modulo 2^64: as a convolution with a group for each case, so that both operands vary.
pub(crate) fn convolution() -> Protocol {
    let program = |p: &mut Party, inputs: &[Columns<2>]| {
        let n = inputs[0][0].len();
        let geometry = ConvGeometry { groups: n, ..geometry([2 * n, n], [1, 1], [1, 1]) };
        let pairs = |shape: [usize; 4], [a, b]: [&Columns<2>; 2]| {
            let component = |i: usize| tensor(&shape, a[i].iter().zip(&b[i]).flat_map(|(&a, &b)| [a, b]));
            ArithmeticShare::<u64>::new(component(0), component(1))
        };
        let x = pairs([1, 2 * n, 1, 1], [&inputs[0], &inputs[1]]);
        let w = pairs([n, 2, 1, 1], [&inputs[2], &inputs[3]]);
        Ok(Output::numbers(&product::conv(p, &geometry, &x, &w)?))
    };
    on_words("convolution", 4, program, |x| inner_product([x[0], x[1], x[2], x[3]]))
}

/// The same as a matrix product, where the first operand is fixed.
pub(crate) fn matrix_product() -> Protocol {
    const X: [[u64; 3]; 2] = [[3, 6, 2], [7, 1, 4]];
    let program = |p: &mut Party, inputs: &[Columns<2>]| {
        let n = inputs[0][0].len();
        let row = |role: Role| tensor(&[1, 2], X.iter().map(|x| x[role.index()]));
        let x = ArithmeticShare::<u64>::new(row(p.role()), row(p.role().next()));
        let columns = |i: usize| tensor(&[2, n], inputs[0][i].iter().chain(&inputs[1][i]).copied());
        let y = ArithmeticShare::new(columns(0), columns(1));
        Ok(Output::numbers(&product::matmul(p, &x, &y)?))
    };
    on_words("matrix product", 2, program, |y| inner_product([X[0], X[1], y[0], y[1]]))
}

/// A protocol modulo 2^64 whose components have three bits.
fn on_words(
    name: &str,
    inputs: usize,
    program: impl Fn(&mut Party, &[Columns<2>]) -> Result<Output> + Send + Sync + 'static,
    expected: impl Fn(&[[u64; 3]]) -> u64 + Send + Sync + 'static,
) -> Protocol {
    let inputs = repeat_n((), inputs).map(|()| Input::ring(3)).collect();
    Protocol { name: name.into(), ring: 64, inputs, program: Box::new(program), expected: Box::new(expected) }
}

fn inner_product(components: [[u64; 3]; 4]) -> u64 {
    let [a, b, c, d] = components.map(|x| x.iter().sum::<u64>());
    a * c + b * d
}
