//! Every protocol offers its products as claims, in the same order at all parties, and each claim is true of the shares
//! it names.

use mpc_core::Party;
use mpc_core::error::Result;
use mpc_core::kernel::{ConvGeometry, Kernel};
use mpc_core::protocol::compare::Width;
use mpc_core::protocol::winner::Levels;
use mpc_core::protocol::{argmax::argmax, compare, pool, product, relu::relu};
use mpc_core::ring::{Arithmetic, Domain, Tensor, Word};
use mpc_core::security::{Claim, Operands};
use mpc_core::sharing::{ArithmeticShare, Share, reconstruct};
use mpc_core::testing::{self, Recorder, deal, geometry, mesh, party, run_parties};

/// The claims of all three parties, claim by claim.
fn claims_of(
    inputs: &[Tensor<u64>],
    protocol: impl Fn(&mut Party, &[ArithmeticShare]) -> Result<()> + Sync,
) -> Vec<[Claim; 3]> {
    let dealt: Vec<[ArithmeticShare; 3]> = inputs.iter().map(deal).collect();
    let parties = mesh().map(|network| party(network, 3, Box::new(Recorder::default())));
    let claims = run_parties(parties, |party| {
        let shares: Vec<_> = dealt.iter().map(|d| d[party.role().index()].clone()).collect();
        protocol(party, &shares)?;
        Ok(party.take_claims())
    });
    let [a, b, c] = claims.map(|claims| claims.expect("an honest run succeeds"));
    assert!(a.len() == b.len() && b.len() == c.len(), "all parties record the same claims");
    a.into_iter().zip(b).zip(c).map(|((a, b), c)| [a, b, c]).collect()
}

/// x, y and z of a claim in the clear.
fn clear<D: Domain, W: Word>(operands: [&Operands<D, W>; 3]) -> [Tensor<W>; 3] {
    let value = |pick: fn(&Operands<D, W>) -> &Share<D, W>| {
        reconstruct(&operands.map(|o| pick(o).clone())).expect("the operands of a claim are consistent sharings")
    };
    [value(|o| &o.x), value(|o| &o.y), value(|o| &o.z)]
}

fn assert_elementwise<D: Domain, W: Word>(operands: [&Operands<D, W>; 3]) {
    let [x, y, z] = clear(operands);
    let products: Vec<W> = x.iter().zip(&y).map(|(&x, &y)| D::mul(x, y)).collect();
    assert!(!z.is_empty() && products.len().is_multiple_of(z.len()), "as many products for each result");
    let sum = |i: usize| products.iter().skip(i).step_by(z.len()).fold(W::ZERO, |sum, &product| D::add(sum, product));
    assert!(z.iter().enumerate().all(|(i, &z)| sum(i) == z), "a false claim");
}

fn elements(t: &Tensor<u64>) -> &[u64] {
    t.as_slice().expect("standard layout")
}

/// Checks the claim; its kind and number of results.
fn check(claim: &[Claim; 3]) -> (&'static str, usize) {
    let kernel = Kernel::detect();
    match claim {
        [Claim::And(a), Claim::And(b), Claim::And(c)] => assert_elementwise([a, b, c]),
        [Claim::Mul16(a), Claim::Mul16(b), Claim::Mul16(c)] => assert_elementwise([a, b, c]),
        [Claim::Mul64(a), Claim::Mul64(b), Claim::Mul64(c)] => assert_elementwise([a, b, c]),
        [Claim::MatMul(a), Claim::MatMul(b), Claim::MatMul(c)] => {
            let [x, y, z] = clear::<Arithmetic, u64>([a, b, c]);
            let mut product = vec![0; z.len()];
            let shape = [x.shape()[0], x.shape()[1], y.shape()[1]];
            kernel.gemm(shape, elements(&x), elements(&y), &mut product);
            assert_eq!(elements(&z), product);
        }
        [Claim::Conv(g, a), Claim::Conv(_, b), Claim::Conv(_, c)] => {
            let [x, y, z] = clear::<Arithmetic, u64>([a, b, c]);
            let mut product = vec![0; z.len()];
            kernel.conv(g, x.shape()[0], elements(&x), elements(&y), &mut product);
            assert_eq!(elements(&z), product);
        }
        other => panic!("the parties recorded different claims: {other:?}"),
    }
    match &claim[0] {
        Claim::And(o) => ("and", o.z.len()),
        Claim::Mul16(o) => ("mul16", o.z.len()),
        Claim::Mul64(o) => ("mul64", o.z.len()),
        Claim::MatMul(o) => ("matmul", o.z.len()),
        Claim::Conv(_, o) => ("conv", o.z.len()),
        other => panic!("unexpected claim {other:?}"),
    }
}

fn count(claims: &[(&str, usize)], kind: &str) -> usize {
    claims.iter().filter(|(k, _)| *k == kind).map(|(_, n)| n).sum()
}

/// Numbers of 24 bits, with a sign.
fn numbers(shape: &[usize]) -> Tensor<u64> {
    testing::numbers::<u64>(shape, 0).mapv(|x| (x % (1 << 24)).wrapping_sub(1 << 23)).into_shared()
}

#[test]
fn a_truncated_relu_makes_six_claims_and_its_ands() {
    let n = 128;
    let claims = claims_of(&[numbers(&[n])], |p, s| relu(p, &s[0], Width::exact(40), 16, None).map(drop));
    let claims: Vec<_> = claims.iter().map(check).collect();
    assert_eq!([count(&claims, "mul16") / n, count(&claims, "mul64") / n], [3, 3]);
    assert_eq!(count(&claims, "and"), (109 + 5) * n / 64);
}

/// The gates of a carry: their terms are summed before they are reshared, and claimed together.
#[test]
fn a_comparison_claims_sums_of_up_to_three_ands() {
    let n = 64;
    let claims = claims_of(&[numbers(&[n])], |p, s| compare::msb(p, &s[0], 40).map(drop));
    let mut sums = [0; 3];
    for claim in &claims {
        check(claim);
        let Claim::And(o) = &claim[0] else { panic!("a comparison is made of ands") };
        sums[o.x.len() / o.z.len() - 1] += o.z.len();
    }
    assert_eq!((sums.iter().sum::<usize>(), sums[0] + 2 * sums[1] + 3 * sums[2]), (109, 146));
}

#[test]
fn linear_layers_make_one_claim_each() {
    let claims = claims_of(&[numbers(&[3, 4]), numbers(&[4, 5])], |p, s| product::matmul(p, &s[0], &s[1]).map(drop));
    assert_eq!(claims.iter().map(check).collect::<Vec<_>>(), [("matmul", 15)]);

    let geometry =
        ConvGeometry { stride: [1, 2], pad_begin: [0, 1], pad_end: [0, 1], ..geometry([2, 3], [1, 9], [1, 3]) };
    let inputs = [numbers(&[2, 2, 1, 9]), numbers(&[3, 2, 1, 3])];
    let claims = claims_of(&inputs, |p, s| product::conv(p, &geometry, &s[0], &s[1]).map(drop));
    assert_eq!(claims.iter().map(check).collect::<Vec<_>>(), [("conv", 2 * 3 * 5)]);
}

#[test]
fn pooling_and_argmax_claims_are_true() {
    let candidates: Vec<_> =
        (0..5).map(|i| numbers(&[20]).mapv(|x| x.rotate_left(i) % (1 << 20)).into_shared()).collect();
    let claims = claims_of(&candidates, |p, s| pool::max(p, s, Width::exact(25), &Levels::new(5, 2)).map(drop));
    assert!(claims.iter().map(check).any(|(kind, _)| kind == "mul64"));
    let claims =
        claims_of(&[numbers(&[6, 8])], |p, s| argmax(p, &s[0], Width::exact(25), &Levels::all_pairs(8)).map(drop));
    assert!(claims.iter().map(check).all(|(kind, _)| kind == "and"));
}
