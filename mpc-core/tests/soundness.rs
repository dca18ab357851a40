//! A cheater that makes one error and then does the best it can inside the check, in the check as it is and with
//! challenges that the test chooses: all of them where there are 16, so that what gets through can be counted.
//!
//! The cheater adds errors to what it reshares. Its own component of the claim does not follow, so the previous party,
//! which holds the errors, judges: to the next one the cheater can tell what fits. Only the check of products is on.

use std::marker::PhantomData;

use mpc_core::error::Step;
use mpc_core::kernel::Kernel;
use mpc_core::kernel::extension::{Extension, Field, Galois};
use mpc_core::network::Network;
use mpc_core::protocol::product;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::security::{Active, Checks, Parameters};
use mpc_core::session::Branch;
use mpc_core::sharing::Share;
use mpc_core::testing::chosen::{self, Chosen};
use mpc_core::testing::fault::{Corrupt, Place, Recording, Script, Tampering, run_verified_with_cheater};
use mpc_core::testing::{deal, mesh, party};
use mpc_core::{Error, Party, Result, Role};
use ndarray::IxDyn;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// Checks products modulo 2^64 in `Chosen<E>`, and nothing else.
struct Only<E>(PhantomData<E>);

impl<E: Extension<Domain = Arithmetic, Word = u64>> Parameters for Only<E> {
    type Bits = Field;
    type Short = Galois<u16, 4>;
    type Narrow = Galois<u32, 4>;
    type Wide = Chosen<E>;
    const CHECKS: Checks = Checks { openings: false, transcript: false, ..Checks::ALL };
}

/// 16 challenges: 0, 1, X, X + 1 and so on up to X^3 + X^2 + X + 1.
type Tiny = Galois<u64, 4>;

/// An element of E.
type Element = Vec<u64>;

fn element<E: Extension<Word = u64>>(challenge: u64) -> Element {
    E::challenges(&[challenge])
}

fn times<E: Extension<Word = u64>>(a: &[u64], b: &[u64]) -> Element {
    E::mul(Kernel::Scalar, a, b)
}

fn minus(a: &[u64], b: &[u64]) -> Element {
    a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b)).collect()
}

fn negative(a: &[u64]) -> Element {
    a.iter().map(|a| a.wrapping_neg()).collect()
}

/// 1 / a, for a unit.
fn inverse<E: Extension<Word = u64>>(a: &[u64]) -> Element {
    // a^(2^d - 2) modulo 2, and twice as many bits with every step of Newton's.
    let (mut inverse, mut power) = (E::one(), a.to_vec());
    for _ in 1..E::CHALLENGE_BITS {
        power = times::<E>(&power, &power);
        inverse = times::<E>(&inverse, &power);
    }
    let two = minus(&E::one(), &negative(&E::one()));
    (0..6).fold(inverse, |x, _| times::<E>(&x, &minus(&two, &times::<E>(a, &x))))
}

/// What the cheater adds to the messages of its reshares: the first is the product's.
type Errors = Vec<Vec<u64>>;

/// Whether the previous party takes the product for right.
fn passes<E: Extension<Domain = Arithmetic, Word = u64>>(
    cheater: Role,
    shapes: [&[usize]; 2],
    errors: &Errors,
    challenges: &[u64],
) -> bool {
    let numbers = |shape: &[usize]| Tensor::from_shape_fn(IxDyn(shape), |i| (i[0] as u64 + 3) << 20 | 7);
    let [x, y]: [[Share<Arithmetic, u64>; 3]; 2] = shapes.map(|shape| deal(&numbers(shape)));
    let place = |position| Place { branch: Branch::ROOT, to: cheater.prev(), position };
    let script: Script =
        errors.iter().enumerate().map(|(i, error)| (place(i), Tampering::Add(error.clone()))).collect();
    let parties = mesh().map(|network| {
        let security = Box::new(Active::<Only<E>>::new(&[0; 32]));
        if network.role() != cheater {
            return party(network, 1, security);
        }
        party(Corrupt::new(Box::new(network), script.clone(), Recording::default()), 1, security)
    });
    let multiply = |party: &mut Party| -> Result<()> {
        chosen::choose(challenges.iter().copied());
        let [x, y] = [&x, &y].map(|dealt| &dealt[party.role().index()]);
        match shapes[0].len() {
            1 => product::mul(party, x, y)?,
            2 => product::matmul(party, x, y)?,
            _ => party.round(|round| product::send_dot(round, x, y))?,
        };
        Ok(())
    };
    let ends = run_verified_with_cheater(cheater, parties, multiply, |_, ()| {
        assert_eq!(chosen::left(), 0, "as many as are drawn");
        Ok(())
    });
    match &ends[cheater.prev().index()] {
        Ok(()) => true,
        Err(Error::Cheating { step: Step::Products }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// For how many of `challenges` a false product passes, in every role.
fn count(shapes: [&[usize]; 2], errors: &Errors, challenges: impl Iterator<Item = Vec<u64>>) -> usize {
    let challenges: Vec<_> = challenges.collect();
    let counts = Role::ALL.map(|cheater| {
        assert!(passes::<Tiny>(cheater, shapes, &Errors::new(), &challenges[0]), "a right product passes");
        challenges.iter().filter(|challenges| passes::<Tiny>(cheater, shapes, errors, challenges)).count()
    });
    assert!(counts[0] == counts[1] && counts[1] == counts[2], "{counts:?}");
    counts[0]
}

/// The errors in question: the top bit is the one that a combination over Z_2^64 misses.
const ERRORS: [u64; 2] = [1, 1 << 63];

fn scaled(a: &[u64], by: u64) -> Element {
    a.iter().map(|a| a.wrapping_mul(by)).collect()
}

/// r and s of 16 each: the error r s e vanishes where one of them does.
#[test]
fn freivalds_compression() {
    for e in ERRORS {
        let pairs = (0..16).flat_map(|r| (0..16).map(move |s| vec![r, s, 3]));
        assert_eq!(count([&[1, 1], &[1, 1]], &vec![vec![e]], pairs), 2 * 16 - 1);
    }
}

/// A table of one variable, of two elements' product, and one of two variables, of four elements' product. The error of
/// the sum is spread so that the polynomial vanishes at two challenges in each variable.
#[test]
fn tables() {
    for e in ERRORS {
        // -t (t - (X + 1)) adds up to X on 0 and 1.
        let [x, minus_one] = [element::<Tiny>(2), negative(&Tiny::one())];
        let line = [vec![0; 4], x, minus_one];
        let errors = vec![vec![e], scaled(&line[1..].concat(), e)];
        let all = (0..16).map(|t| vec![2, 1, t, 3]);
        assert_eq!(count([&[1, 2], &[2, 1]], &errors, all), 2);

        let plane: Vec<_> = line.iter().flat_map(|a| line.iter().map(|b| times::<Tiny>(a, b))).collect();
        let errors = vec![vec![e], scaled(&plane[1..].concat(), e)];
        let all = (0..16).flat_map(|t| (0..16).map(move |u| vec![4, 1, t, u, 3]));
        assert_eq!(count([&[1, 4], &[4, 1]], &errors, all), 256 - 14 * 14);
    }
}

/// An elementwise product: the weight of its column, the point at which its table is taken and the weight that joins it
/// to other claims.
#[test]
fn columns() {
    for e in ERRORS {
        let shapes: [&[usize]; 2] = [&[1], &[1]];
        assert_eq!(count(shapes, &vec![vec![e]], (0..16).map(|weight| vec![weight, 6, 7, 3])), 1);
        assert_eq!(count(shapes, &vec![vec![e]], (0..16).map(|joining| vec![5, 6, joining, 3])), 1);
        // The row's error 5 e and e at infinity: (1 - t) (5 - t) e.
        let errors = vec![vec![e], scaled(&Tiny::one(), e)];
        assert_eq!(count(shapes, &errors, (0..16).map(|t| vec![5, t, 7, 3])), 2);
    }
}

/// A sum of two products: one weight for both, and an inner product of two elements that is left to shorten.
#[test]
fn sums() {
    for e in ERRORS {
        let shapes: [&[usize]; 2] = [&[2, 1, 1], &[2, 1, 1]];
        assert_eq!(count(shapes, &vec![vec![e]], (0..16).map(|weight| vec![weight, 6, 7, 4, 3])), 1);
        // The row's error 5 e and e at infinity: (1 - t) (5 - t) e.
        let errors = vec![vec![e], scaled(&Tiny::one(), e)];
        assert_eq!(count(shapes, &errors, (0..16).map(|t| vec![5, t, 7, 4, 3])), 2);
    }
}

/// The mask of the last claim: (t - 2) (t - 5) e.
#[test]
fn masks() {
    for e in ERRORS {
        let sum = minus(&element::<Tiny>(2), &negative(&element::<Tiny>(5)));
        let errors = vec![vec![e], scaled(&[negative(&sum), Tiny::one()].concat(), e)];
        assert_eq!(count([&[1, 1], &[1, 1]], &errors, (1..16).map(|t| vec![2, 5, t])), 2);
    }
}

/// The best that a cheater can do with the challenges it has seen so far: one error in the product of [1, 2] and [2,
/// 1], then roots at challenges that it guesses. How often it gets through.
fn adaptive<E: Extension<Domain = Arithmetic, Word = u64>>(trials: u64) -> usize {
    let mut rng = ChaCha12Rng::seed_from_u64(1);
    let mut challenge = || rng.next_u64() & (u64::MAX >> (64 - E::CHALLENGE_BITS));
    let mut passed = 0;
    for trial in 0..trials {
        let [r, s, t] = [(); 3].map(|()| challenge());
        let last = std::iter::repeat_with(&mut challenge).find(|&t| t != 0).expect("endless");
        let e = 1 << 63 >> (trial % 64);
        // On 0 and 1, a t (t - 3) adds up to the error that is left.
        let left = scaled(&times::<E>(&element::<E>(r), &element::<E>(s)), e);
        let at_one = minus(&E::one(), &element::<E>(3));
        let a = times::<E>(&left, &inverse::<E>(&at_one));
        let table = [left, a.clone()].concat();
        // a' (t - 1) (t - 2) is the error at t where nothing is masked.
        let t_minus = minus(&element::<E>(t), &element::<E>(3));
        let left = times::<E>(&a, &times::<E>(&element::<E>(t), &t_minus));
        let a = times::<E>(&left, &inverse::<E>(&element::<E>(2)));
        let mask = [negative(&times::<E>(&a, &element::<E>(3))), a].concat();
        let errors = vec![vec![e], table, mask];
        let cheater = Role::from_index(trial as usize);
        passed += usize::from(passes::<E>(cheater, [&[1, 2], &[2, 1]], &errors, &[r, s, t, last]));
    }
    passed
}

#[test]
fn an_adaptive_cheater_gets_through_as_often_as_the_bound_says() {
    let trials = 3000;
    let rate = adaptive::<Tiny>(trials) as f64 / trials as f64;
    let missed = |challenges: f64, roots: f64| 1.0 - roots / challenges;
    let expected = 1.0 - missed(256.0, 31.0) * missed(16.0, 2.0) * missed(15.0, 2.0);
    assert!((rate - expected).abs() < 0.04, "{rate} where {expected} is expected");
    let bound = (2.0 + 2.0) / 16.0 + 2.0 / 15.0;
    assert!(rate <= bound, "{rate} above {bound}");
    assert_eq!(adaptive::<Galois<u64, 48>>(300), 0, "never where there are 2^48 challenges");
}
