//! Each step of the check against its own best cheater, by going through all challenges with d = 4, and the attacks on
//! how steps are put together.

use super::inner::{Base, InnerProduct};
use super::table::{cube, from_sum, interpolate};
use super::*;
use crate::kernel::Kernel;
use crate::kernel::extension::{add, sub};
use crate::link::reshare::{self, Contributors};
use crate::role::Role;
use crate::security::Operands;
use crate::sharing::{ArithmeticShare, slice};
use crate::testing::{deal, mesh, numbers, party, run_parties, tensor};
use elementwise::Elementwise;

/// Z_2^64 with 16 challenges.
type Tiny = Galois<u64, 4>;

fn challenges() -> Vec<Vec<u64>> {
    (0..16).map(|bits| Tiny::challenges(&[bits])).collect()
}

fn mul(a: &[u64], b: &[u64]) -> Vec<u64> {
    Tiny::mul(Kernel::Scalar, a, b)
}

/// The polynomial (X - a)(X - b) as its values at 0, 1 and infinity.
fn with_roots(a: &[u64], b: &[u64]) -> [Vec<u64>; 3] {
    let minus = |at: &[u64], root: &[u64]| sub::<Tiny>(at, root);
    let at = |x: &[u64]| mul(&minus(x, a), &minus(x, b));
    [at(&[0; 4]), at(&Tiny::one()), Tiny::one()]
}

/// A false product of rank one, a multiple of 2^63 included, is missed by r and s in 2 * 2^-d - 2^-2d of the cases.
#[test]
fn freivalds_misses_a_false_entry_as_often_as_its_bound_says() {
    for error in [1u64, 1 << 63, 5 << 61] {
        let error = [error, 0, 0, 0];
        let pairs = challenges().into_iter().flat_map(|r| challenges().into_iter().map(move |s| (r.clone(), s)));
        let missed = pairs.filter(|(r, s)| mul(&mul(r, &error), s) == [0; 4]).count();
        assert_eq!(missed, 2 * 16 - 1);
    }
}

/// One variable: an error with two roots in S is missed in 2 * 2^-d of the cases. Two at once: 2 * 2^-d - 2^-2d for one
/// root each.
#[test]
fn a_table_misses_errors_as_often_as_its_bound_says() {
    let challenges = challenges();
    let line = with_roots(&challenges[3], &challenges[9]);
    let zero = |table: Vec<u64>, point: &[Vec<u64>]| interpolate::<Tiny>(Kernel::Scalar, table, point) == [0; 4];
    let missed = challenges.iter().filter(|&t| zero(line.concat(), std::slice::from_ref(t))).count();
    assert_eq!(missed, 2);

    // (X - a)(Y - b): 0, 1 and infinity of a linear factor are -a, 1 - a and 0.
    let factor = |root: &[u64]| [sub::<Tiny>(&[0; 4], root), sub::<Tiny>(&Tiny::one(), root), vec![0; 4]];
    let (x, y) = (factor(&challenges[5]), factor(&challenges[12]));
    let table: Vec<u64> = x.iter().flat_map(|x| y.iter().flat_map(|y| mul(x, y))).collect();
    let points = challenges.iter().flat_map(|s| challenges.iter().map(move |t| [s.clone(), t.clone()]));
    assert_eq!(points.filter(|point| zero(table.clone(), point)).count(), 2 * 16 - 1);
}

/// c + t h1 + t^2 h2 - (p + t p')(q + t q') is a polynomial in t: two roots of 15.
#[test]
fn the_mask_misses_an_error_for_two_challenges() {
    let challenges = challenges();
    let [_, one, top] = with_roots(&challenges[2], &challenges[7]);
    let constant = mul(&challenges[2], &challenges[7]);
    let linear = sub::<Tiny>(&sub::<Tiny>(&one, &constant), &top);
    let error = |t: &[u64]| add::<Tiny>(&constant, &add::<Tiny>(&mul(t, &linear), &mul(&mul(t, t), &top)));
    assert_eq!(challenges[1..].iter().filter(|&t| error(t) == [0; 4]).count(), 2);
}

/// Errors of two claims cancel for one joining weight of 16.
#[test]
fn a_joining_weight_lets_errors_cancel_once() {
    let (first, second) = (Tiny::one(), Tiny::challenges(&[6]));
    let sum = |weight: &[u64]| add::<Tiny>(&mul(weight, &first), &sub::<Tiny>(&[0; 4], &second));
    assert_eq!(challenges().iter().filter(|&weight| sum(weight) == [0; 4]).count(), 1);
}

/// Why there is a joining weight: what a constant f with 4 f = 0 does to a true table goes unnoticed.
#[test]
fn a_sum_over_the_cube_does_not_see_a_constant_of_order_four() {
    let f = [1u64 << 62, 3 << 62, 0, 1 << 63];
    let c = [7u64, 0, 5, 1];
    let mut entries = vec![0u64; 8 * 4];
    for point in cube(2).into_iter().skip(1) {
        entries[(point - 1) * 4..][..4].copy_from_slice(&f);
    }
    let honest = from_sum::<Tiny>(Kernel::Scalar, 2, &vec![0; 8 * 4], &c, &Tiny::one().repeat(4));
    let shifted = from_sum::<Tiny>(Kernel::Scalar, 2, &entries, &c, &Tiny::one().repeat(4));
    for t in challenges() {
        let point = [t.clone(), Tiny::challenges(&[11])];
        let [honest, shifted] =
            [&honest, &shifted].map(|table| interpolate::<Tiny>(Kernel::Scalar, table.clone(), &point));
        assert_eq!(sub::<Tiny>(&shifted, &honest), f);
    }
}

type Wide = <Standard as Parameters>::Wide;

/// The claim that the product of two random matrices is what it is, plus `error` in its first entry.
fn matrix_claim(shape: [usize; 3], seed: u64, error: u64) -> [Claim; 3] {
    let [m, k, n] = shape;
    let (x, y) = (numbers(&[m, k], seed), numbers(&[k, n], seed + 1));
    let mut z = vec![0; m * n];
    Kernel::detect().gemm(shape, slice(&x), slice(&y), &mut z);
    z[0] = z[0].wrapping_add(error);
    let [x, y, z]: [[ArithmeticShare; 3]; 3] = [deal(&x), deal(&y), deal(&tensor(&[m, n], z))];
    Role::ALL.map(|role| {
        let i = role.index();
        Claim::MatMul(Operands { x: x[i].clone(), y: y[i].clone(), z: z[i].clone() })
    })
}

/// A false product beside a true one whose rows are few. P0 knows by how much the false one is off under its
/// challenges, and hides that in the table of the true one, in its own reshare.
#[test]
fn a_false_claim_cannot_hide_in_the_table_of_a_true_one() {
    for error in [1 << 63, 1 << 62, 3 << 62] {
        let (lie, truth) = (matrix_claim([17, 10, 5], 3, error), matrix_claim([2, 300, 5], 9, 0));
        let parties = mesh().map(|network| party(network, 5, Box::new(crate::security::Passive)));
        let results = run_parties(parties, |party| {
            let (i, link) = (party.role().index(), party.link());
            let kernel = link.kernel();
            let mut coin = toss(link)?;
            let mut foresight = coin.clone();
            let mut inner = InnerProduct::<Wide>::new(kernel, &mut coin, Elementwise::new());
            linear::compress(&mut inner, kernel, &mut coin, &lie[i]);
            linear::compress(&mut inner, kernel, &mut coin, &truth[i]);
            // r^T E s, with r and s as the compression drew them.
            let (r, s) = (draw::<Wide>(&mut foresight, 17), draw::<Wide>(&mut foresight, 5));
            let product = Wide::mul(kernel, &r[..Wide::WORDS], &s[..Wide::WORDS]);
            let off: Vec<u64> = product.iter().map(|word| word.wrapping_mul(error)).collect();
            for step in 0.. {
                if !inner.is_long() {
                    break;
                }
                let table = link.round(|round| match &inner.unlifted[..] {
                    [(Base::Mixed(_), binding)] if step == 1 => {
                        let mut parts = binding.parts();
                        if round.role() == Role::P0 {
                            for point in cube(2).into_iter().skip(1) {
                                let part = parts[(point - 1) * Wide::WORDS..][..Wide::WORDS].iter_mut();
                                part.zip(&off).for_each(|(part, off)| *part = part.wrapping_add(*off));
                            }
                        }
                        reshare::send(round, &[parts.len()], Some(parts), Contributors::ALL).map(Some)
                    }
                    _ => inner.send_table(round),
                })?;
                inner.bind(table, &mut toss(link)?);
            }
            let claim = link.round(|round| inner.send_mask(round))?.expect("not empty");
            let mut coin = toss(link)?;
            let opened = link.round(|round| claim.open(round, &mut coin, Copies::Both))?;
            Ok(inner::stands::<Wide>(kernel, Some(opened)))
        });
        assert_eq!(results, [Ok(false), Ok(false), Ok(false)], "an error of {error:#x}");
    }
}
