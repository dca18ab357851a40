//! What protocols declare against what the meter says, and what plans make of it.

use mpc_core::Party;
use mpc_core::error::Result;
use mpc_core::model::Function;
use mpc_core::model::op::function::Exp;
use mpc_core::protocol::argmax::{self, argmax};
use mpc_core::protocol::compare::{self, Width};
use mpc_core::protocol::cost::Cost;
use mpc_core::protocol::piecewise::Argument;
use mpc_core::protocol::power::{self, Exponent, Octaves, power};
use mpc_core::protocol::relu::{self, relu};
use mpc_core::protocol::round::{self, round};
use mpc_core::protocol::truncate::{self, truncate};
use mpc_core::protocol::winner::Levels;
use mpc_core::protocol::{convert, lift, pool};
use mpc_core::ring::{Arithmetic, Boolean, Word};
use mpc_core::session::{Conditions, Meter};
use mpc_core::sharing::{InputRange, RangedShare, Share};
use mpc_core::testing::three_parties;
use proptest::prelude::*;

/// What the three parties spend on a protocol.
fn metered<T>(protocol: impl Fn(&mut Party) -> Result<T> + Sync) -> Cost {
    let meters = three_parties(0, |party| protocol(party).map(|_| party.meter())).map(|meter| meter.expect("a run"));
    let [Meter { rounds, .. }, ..] = meters;
    assert!(meters.iter().all(|meter| meter.rounds == rounds), "{meters:?}");
    Cost { rounds, bytes: meters.iter().map(|meter| meter.bytes_sent).sum() }
}

fn zeros<W: Word>(shape: &[usize]) -> Share<Arithmetic, W> {
    Share::zeros(shape)
}

/// Bits of a comparison, some of them left out or none.
fn widths() -> impl Strategy<Value = Width> {
    (1u32..62, 0u32..30).prop_map(|(bits, drop)| Width { bits, drop: if bits > drop + 2 { drop } else { 0 } })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn elementary(n in 1usize..200, k in 1u32..=64, m in 1u32..=61) {
        prop_assert_eq!(metered(|p| compare::msb(p, &zeros::<u64>(&[n]), k)), compare::cost(n, k));
        prop_assert_eq!(metered(|p| truncate(p, &zeros::<u64>(&[n]), m)), truncate::cost(n, m));
        prop_assert_eq!(metered(|p| round(p, &zeros::<u64>(&[n]), m)), round::cost(n, m));
        let bits = Share::<Boolean, u64>::zeros(&[1, n.div_ceil(64)]);
        let inject = metered(|p| convert::inject(p, &bits, &zeros::<u64>(&[n])));
        prop_assert_eq!(inject, convert::inject_cost(n, 64));
        let b2a = metered(|p| convert::to_arithmetic::<u16>(p, &bits, n));
        prop_assert_eq!(b2a, convert::to_arithmetic_cost(n, 16));
        let range = InputRange::within(k.clamp(3, 62)).expect("3 to 62 bits");
        let component = zeros::<u64>(&[n]).own().clone();
        let lifted = metered(|p| lift::lift(p, &RangedShare::new(&component, &component, range)));
        prop_assert_eq!(lifted, lift::cost(n, range));
    }

    #[test]
    fn maxima(n in 1usize..100, count in 1usize..12, levels in 1usize..4, width in widths(), rescale in 0u32..20) {
        let levels = Levels::new(count, levels);
        let candidates = vec![zeros::<u64>(&[n]); count];
        let max = metered(|p| pool::max(p, &candidates, width, &levels));
        prop_assert_eq!(max, pool::cost(n, width, &levels, 64));
        let max_relu = metered(|p| pool::max_relu(p, &candidates, width, rescale, &levels));
        prop_assert_eq!(max_relu, pool::relu_cost(n, width, rescale, &levels, 64));
        let sign = metered(|p| relu(p, &zeros::<u64>(&[n]), width, rescale, None));
        prop_assert_eq!(sign, relu::cost(n, width, rescale, 64));
        let best = metered(|p| argmax(p, &zeros::<u64>(&[n, count]), width, &levels));
        prop_assert_eq!(best, argmax::cost(n, width, &levels, 64));
    }

    #[test]
    fn levels_end_with_one(candidates in 1usize..2000, levels in 1usize..12) {
        let levels = Levels::new(candidates, levels);
        let left = levels.sizes().iter().fold(candidates, |left, size| left.div_ceil(*size));
        prop_assert_eq!(left, 1);
    }
}

#[test]
fn a_slow_line_is_worth_more_comparisons() {
    let width = Width { bits: 40, drop: 12 };
    let cost = |levels| pool::relu_cost(10_000, width, 16, &levels, 64);
    let (few_rounds, few_bytes) = (cost(Levels::all_pairs(8)), cost(Levels::tournament(8)));
    assert!(few_rounds.rounds < few_bytes.rounds && few_rounds.bytes > few_bytes.bytes);
    let far = Conditions { latency_us: 200_000, rate_mbit: 1000 };
    assert!(few_rounds.nanoseconds(far) < few_bytes.nanoseconds(far));
    let near = Conditions::LOOPBACK;
    assert!(few_rounds.nanoseconds(near) > few_bytes.nanoseconds(near));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn approximated(n in 1usize..100, low in 0u32..29, bits in 1u32..40, frac_bits in 8u32..16) {
        let x = zeros::<u64>(&[n]);
        for exponent in [Exponent::Reciprocal, Exponent::InverseSqrt, Exponent::Sqrt] {
            let octaves = Octaves { low, high: low + 1 + bits.min(29 - low) };
            let measured = metered(|p| power(p, &x, exponent, octaves, frac_bits, 16));
            prop_assert_eq!(measured, power::cost(n, exponent, octaves, frac_bits, 16));
        }
        for function in [Function::Exp(Exp { high: 1.0 }), Function::Sigmoid] {
            let table = function.table().expect("a table");
            let argument = Argument { bits, frac_bits };
            prop_assert_eq!(metered(|p| table.evaluate(p, &x, argument, 16)), table.cost(n, argument, 16));
        }
    }
}
