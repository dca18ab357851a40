//! The functions that are approximated, over their whole range and its ends, against float64 of the value as encoded.

use mpc_core::Party;
use mpc_core::error::Result;
use mpc_core::model::Function;
use mpc_core::model::op::function::Exp;
use mpc_core::protocol::piecewise::{Argument, Piecewise};
use mpc_core::protocol::polynomial::polynomial;
use mpc_core::protocol::power::{Exponent, Octaves, power};
use mpc_core::ring::{Arithmetic, fixed};
use mpc_core::session::Mode;
use mpc_core::sharing::ArithmeticShare;
use mpc_core::testing::{deal, parties, revealed, run_verified, tensor};
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

const FRAC_BITS: u32 = 16;

fn table(function: Function) -> Piecewise {
    function.table().expect("a function that is a table")
}

fn exp(high: f64) -> Piecewise {
    table(Function::Exp(Exp { high }))
}

/// What three parties make of these ring integers.
fn run(
    mode: Mode,
    x: &[i64],
    protocol: impl Fn(&mut Party, &ArithmeticShare) -> Result<ArithmeticShare> + Sync,
) -> Vec<i64> {
    let dealt = deal::<Arithmetic, u64>(&tensor(&[x.len()], x.iter().map(|&x| x as u64).collect()));
    let run = |party: &mut Party| protocol(party, &dealt[party.role().index()]);
    revealed(run_verified(parties(1, mode), run, |_, y| Ok(y))).iter().map(|&y| y as i64).collect()
}

/// The largest distance from `expected`, and where it is.
fn largest_error(x: &[i64], y: &[i64], frac_bits: [u32; 2], expected: impl Fn(f64) -> f64) -> (f64, f64) {
    let real = |x: i64, frac_bits: u32| fixed::decode(x as u64, frac_bits);
    let errors = x.iter().zip(y).map(|(&x, &y)| {
        let x = real(x, frac_bits[0]);
        ((real(y, frac_bits[1]) - expected(x)).abs(), x)
    });
    errors.fold((0.0, 0.0), |worst, error| if error.0 > worst.0 { error } else { worst })
}

/// Every integer up to 2^10, then so many at random in every octave, and the ends of all of them.
fn octaves(low: u32, high: u32, each: usize) -> Vec<i64> {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let few = (1i64 << low)..(1 << high.min(10)).max(1 << low);
    let random = (low..high).flat_map(|j| {
        let mut inside: Vec<i64> = (0..each).map(|_| (1 << j) + (rng.next_u64() >> (64 - j.max(1))) as i64).collect();
        inside.extend([1 << j, (1 << (j + 1)) - 1]);
        inside
    });
    few.chain(random.collect::<Vec<_>>()).filter(|x| (1..1 << high).contains(x)).collect()
}

fn check_power(exponent: Exponent, octaves_: Octaves, limit: f64) {
    let x = octaves(octaves_.low, octaves_.high, 1500);
    let y = run(Mode::Passive, &x, |p, x| power(p, x, exponent, octaves_, FRAC_BITS, FRAC_BITS));
    let (error, at) = largest_error(&x, &y, [FRAC_BITS; 2], |x| exponent.of(x));
    eprintln!("{exponent:?}: {error:.2e} at {at} of {} numbers", x.len());
    assert!(error < limit, "{exponent:?} is off by {error} at {at}");
}

#[test]
fn reciprocal() {
    check_power(Exponent::Reciprocal, Octaves { low: 8, high: 30 }, 1e-3);
}

#[test]
fn inverse_square_root() {
    check_power(Exponent::InverseSqrt, Octaves { low: 0, high: 30 }, 1e-3);
}

#[test]
fn square_root() {
    check_power(Exponent::Sqrt, Octaves { low: 0, high: 30 }, 1e-3);
}

/// Squares often have more fractional bits, and what follows them may want more or less.
#[test]
fn powers_with_other_fractional_bits() {
    for (low, high, frac_bits, result_bits) in [(4, 30, 24, 20), (0, 26, 8, 16), (10, 11, 16, 12), (0, 12, 4, 4)] {
        let octaves_ = Octaves { low, high };
        for exponent in [Exponent::Reciprocal, Exponent::InverseSqrt, Exponent::Sqrt] {
            let x = octaves(low, high, 20);
            let y = run(Mode::Passive, &x, |p, x| power(p, x, exponent, octaves_, frac_bits, result_bits));
            let (expected, unit) = (|x| exponent.of(x), f64::from(result_bits).exp2());
            for (&x, &y) in x.iter().zip(&y) {
                let (x, y) = (fixed::decode(x as u64, frac_bits), fixed::decode(y as u64, result_bits));
                let allowed = 3e-6 * expected(x) + 2.0 / unit;
                assert!((y - expected(x)).abs() < allowed, "{exponent:?} of {x} with {frac_bits} bits: {y}");
            }
        }
    }
}

#[test]
fn numbers_below_the_range_count_as_its_lower_end() {
    let octaves = Octaves { low: 8, high: 20 };
    let x = [-70000, -256, -1, 0, 1, 255, 256];
    for (exponent, expected) in [(Exponent::Reciprocal, 256.0), (Exponent::InverseSqrt, 16.0), (Exponent::Sqrt, 0.0)] {
        let y = run(Mode::Passive, &x, |p, x| power(p, x, exponent, octaves, FRAC_BITS, FRAC_BITS));
        let (below, at) = (&y[..6], y[6]);
        let (error, _) = largest_error(&x[..6], below, [FRAC_BITS; 2], |_| expected);
        assert!(error < 1e-3, "{exponent:?}: {below:?}");
        assert!((fixed::decode(at as u64, FRAC_BITS) - exponent.of(1.0 / 256.0)).abs() < 1e-3);
    }
}

/// A grid over the range, and from 2^-7 above it to far beyond.
fn grid(low: f64, high: f64) -> Vec<i64> {
    let unit = f64::from(FRAC_BITS).exp2();
    let step = (high - low) / 20_000.0;
    let inside = (-200..=20_000).map(|i| ((low + step * f64::from(i)) * unit).floor() as i64);
    let near = (0..600).flat_map(|i| [(low * unit) as i64 - i, (high * unit) as i64 + 512 + i]);
    inside.chain(near).chain([1 - (1 << 40), -1 << 30, 1 << 30, (1 << 40) - 1, 0]).collect()
}

fn check_piecewise(name: &str, table: &Piecewise, [low, high]: [f64; 2], expected: impl Fn(f64) -> f64, limit: f64) {
    let x = grid(low, high);
    let y = run(Mode::Passive, &x, |p, x| table.evaluate(p, x, Argument { bits: 40, frac_bits: FRAC_BITS }, FRAC_BITS));
    let (error, at) = largest_error(&x, &y, [FRAC_BITS; 2], expected);
    eprintln!("{name}: {error:.2e} at {at} of {} numbers", x.len());
    assert!(error < limit, "{name} is off by {error} at {at}");
}

#[test]
fn exponential_function() {
    for (high, limit) in [(0.0, 6e-5), (0.75, 1.5e-4), (1.0, 1.5e-4), (3.3125, 5e-4), (Exp::MAX_HIGH, 6e-4)] {
        let name = format!("exp up to {high}");
        check_piecewise(&name, &exp(high), [-12.0, high], |x| x.min(high).exp(), limit);
    }
}

/// The upper end is compared without the lowest bits: a little above it there are two right answers.
#[test]
fn a_little_above_the_end_exp_goes_on_or_does_not() {
    let x: Vec<i64> = (0..512).collect();
    let y = run(Mode::Passive, &x, |p, x| exp(0.0).evaluate(p, x, Argument { bits: 20, frac_bits: 16 }, FRAC_BITS));
    for (&x, &y) in x.iter().zip(&y) {
        let [x, y] = [x, y].map(|number| fixed::decode(number as u64, FRAC_BITS));
        assert!(y > 1.0 - 1e-4 && y < x.exp() + 1e-4, "exp({x}) = {y}");
    }
}

#[test]
fn logistic_function() {
    check_piecewise("sigmoid", &table(Function::Sigmoid), [-12.0, 12.0], |x| 1.0 / (1.0 + (-x).exp()), 3e-4);
}

#[test]
fn hyperbolic_tangent() {
    check_piecewise("tanh", &table(Function::Tanh), [-6.0, 6.0], f64::tanh, 3.5e-4);
}

/// By Simpson's rule.
fn erf(x: f64) -> f64 {
    let density = |t: f64| std::f64::consts::FRAC_2_SQRT_PI * (-t * t).exp();
    let (n, end) = (64, x.clamp(-6.0, 6.0));
    let step = end / f64::from(n);
    let piece = |i: i32| {
        let t = f64::from(i) * step;
        density(t) + 4.0 * density(t + step / 2.0) + density(t + step)
    };
    (0..n).map(piece).sum::<f64>() * step / 6.0
}

#[test]
fn error_function() {
    check_piecewise("erf", &table(Function::Erf), [-4.0, 4.0], erf, 1.5e-4);
}

#[test]
fn with_active_security() {
    let x = octaves(8, 24, 4);
    for exponent in [Exponent::Reciprocal, Exponent::InverseSqrt, Exponent::Sqrt] {
        let octaves = Octaves { low: 8, high: 24 };
        let y = run(Mode::Active, &x, |p, x| power(p, x, exponent, octaves, FRAC_BITS, FRAC_BITS));
        let (error, at) = largest_error(&x, &y, [FRAC_BITS; 2], |x| exponent.of(x));
        assert!(error < 1e-3, "{exponent:?} is off by {error} at {at}");
    }
    let x: Vec<i64> = grid(-6.0, 6.0).into_iter().step_by(97).collect();
    let check = |table: Piecewise, expected: fn(f64) -> f64| {
        let argument = Argument { bits: 41, frac_bits: FRAC_BITS };
        let y = run(Mode::Active, &x, |p, x| table.evaluate(p, x, argument, FRAC_BITS));
        let (error, at) = largest_error(&x, &y, [FRAC_BITS; 2], expected);
        assert!(error < 3.5e-4, "off by {error} at {at}");
    };
    check(exp(0.0), |x| x.min(0.0).exp());
    check(table(Function::Sigmoid), |x| 1.0 / (1.0 + (-x).exp()));
    check(table(Function::Tanh), f64::tanh);
    check(table(Function::Erf), erf);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn polynomials(c in prop::array::uniform9(-0.3f64..0.3), t in prop::collection::vec(-1f64..1.0, 1..40)) {
        let encoded: Vec<i64> = t.iter().map(|t| (t * f64::from(1u32 << 30)) as i64).collect();
        let y = run(Mode::Passive, &encoded, |p, t| polynomial(p, t, &c));
        let (error, at) = largest_error(&encoded, &y, [30, 28], |t| c.iter().rev().fold(0.0, |sum, c| sum * t + c));
        prop_assert!(error < 1e-5, "{c:?} is off by {error} at {at}");
    }

    #[test]
    fn arguments_with_fewer_fractional_bits(frac_bits in 4u32..16, result_bits in 4u32..24) {
        let x: Vec<i64> = (-12 << frac_bits..12 << frac_bits).step_by(101).collect();
        let argument = Argument { bits: frac_bits + 4, frac_bits };
        let y = run(Mode::Passive, &x, |p, x| table(Function::Sigmoid).evaluate(p, x, argument, result_bits));
        let (error, at) = largest_error(&x, &y, [frac_bits, result_bits], |x| 1.0 / (1.0 + (-x).exp()));
        prop_assert!(error < 3e-4 + 2.0 / f64::from(result_bits).exp2(), "off by {error} at {at}");
    }
}
