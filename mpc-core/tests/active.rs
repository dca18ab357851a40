//! Active security: honest runs verify on every kernel and shape, and a single wrong product never does.

use mpc_core::error::{Error, Result, Step};
use mpc_core::kernel::{ConvGeometry, Kernel};
use mpc_core::protocol::compare::Width;
use mpc_core::protocol::winner::Levels;
use mpc_core::protocol::{argmax::argmax, pool, product, relu::relu};
use mpc_core::ring::{Arithmetic, Boolean, Domain, Tensor, Word};
use mpc_core::security::{Active, Claim, Claimable, Operands, Parameters, Standard, Strict};
use mpc_core::sharing::Share;
use mpc_core::testing::{deal, geometry, mesh, numbers, party, run_verified};
use mpc_core::{Party, Role};
use ndarray::IxDyn;
use proptest::prelude::*;

/// A product that is off by `error` at position `at`, as a cheater can bring about in a reshare: its shares are
/// consistent.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    at: usize,
    error: u64,
}

impl Wrong {
    fn falsify(self, role: Role, claim: Claim) -> Claim {
        fn falsified<D: Domain, W: Word>(wrong: Wrong, role: Role, claim: Operands<D, W>) -> Operands<D, W> {
            let mut error = Tensor::from_elem(IxDyn(claim.z.shape()), W::ZERO);
            let at = wrong.at % error.len();
            *error.iter_mut().nth(at).expect("a product") = W::from_u64(wrong.error);
            Operands { z: claim.z.add(&Share::public(role, &error)), ..claim }
        }
        match claim {
            Claim::And(o) => Claim::And(falsified(self, role, o)),
            Claim::Mul8(o) => Claim::Mul8(falsified(self, role, o)),
            Claim::Mul16(o) => Claim::Mul16(falsified(self, role, o)),
            Claim::Mul32(o) => Claim::Mul32(falsified(self, role, o)),
            Claim::Mul64(o) => Claim::Mul64(falsified(self, role, o)),
            Claim::MatMul(o) => Claim::MatMul(falsified(self, role, o)),
            Claim::Conv(g, o) => Claim::Conv(g, falsified(self, role, o)),
        }
    }
}

/// Runs `program` and verifies, its first product being wrong if that is asked for.
fn run<P: Parameters>(
    kernel: Kernel,
    wrong: Option<Wrong>,
    program: impl Fn(&mut Party) -> Result<()> + Sync,
) -> [Result<()>; 3] {
    let parties = mesh().map(|network| {
        let mut party = party(network, 5, Box::new(Active::<P>::new(&[7; 32])));
        party.link().set_kernel(kernel);
        party
    });
    let run = |party: &mut Party| {
        program(party)?;
        let mut wrong = wrong;
        for claim in party.take_claims() {
            let claim = match wrong.take() {
                Some(wrong) => wrong.falsify(party.role(), claim),
                None => claim,
            };
            party.record(|| claim);
        }
        Ok(())
    };
    run_verified(parties, run, |_, ()| Ok(()))
}

fn holds<P: Parameters>(program: impl Fn(&mut Party) -> Result<()> + Sync) {
    for kernel in Kernel::available() {
        for result in run::<P>(kernel, None, &program) {
            result.unwrap_or_else(|e| panic!("{kernel}: {e}"));
        }
    }
}

/// n products of words.
fn products<D: Domain, W: Claimable<D>>(n: usize, seed: u64) -> impl Fn(&mut Party) -> Result<()> + Sync {
    let (x, y) = (deal::<D, W>(&numbers(&[n], seed)), deal::<D, W>(&numbers(&[n], seed + 1)));
    move |party| {
        let i = party.role().index();
        product::mul(party, &x[i], &y[i]).map(drop)
    }
}

/// n sums of so many products of words each.
fn sums<D: Domain, W: Claimable<D>>(terms: usize, n: usize, seed: u64) -> impl Fn(&mut Party) -> Result<()> + Sync {
    let (x, y) = (deal::<D, W>(&numbers(&[terms, n], seed)), deal::<D, W>(&numbers(&[terms, n], seed + 1)));
    move |party| {
        let i = party.role().index();
        party.round(|round| product::send_dot(round, &x[i], &y[i])).map(drop)
    }
}

fn conv(groups: usize, batch: usize, seed: u64) -> impl Fn(&mut Party) -> Result<()> + Sync {
    let geometry = ConvGeometry {
        groups,
        stride: [1, 2],
        dilation: [2, 1],
        pad_begin: [1, 0],
        pad_end: [0, 2],
        ..geometry([2 * groups, 3 * groups], [5, 7], [2, 3])
    };
    let x: [Share<Arithmetic, u64>; 3] = deal(&numbers(&[batch, 2 * groups, 5, 7], seed));
    let w: [Share<Arithmetic, u64>; 3] = deal(&numbers(&[3 * groups, 2, 2, 3], seed + 1));
    move |party| {
        let i = party.role().index();
        product::conv(party, &geometry, &x[i], &w[i]).map(drop)
    }
}

fn dense(batch: usize, inputs: usize, seed: u64) -> impl Fn(&mut Party) -> Result<()> + Sync {
    let x: [Share<Arithmetic, u64>; 3] = deal(&numbers(&[batch, inputs], seed));
    let w: [Share<Arithmetic, u64>; 3] = deal(&numbers(&[inputs, 5], seed + 1));
    move |party| {
        let i = party.role().index();
        product::matmul(party, &x[i], &w[i]).map(drop)
    }
}

/// As many channels as it takes for few positions to be a side of their own.
fn wide_conv(seed: u64) -> impl Fn(&mut Party) -> Result<()> + Sync {
    let geometry =
        ConvGeometry { stride: [1, 2], pad_begin: [0, 1], pad_end: [0, 1], ..geometry([64, 3], [1, 9], [1, 3]) };
    let x: [Share<Arithmetic, u64>; 3] = deal(&numbers(&[2, 64, 1, 9], seed));
    let w: [Share<Arithmetic, u64>; 3] = deal(&numbers(&[3, 64, 1, 3], seed + 1));
    move |party| {
        let i = party.role().index();
        product::conv(party, &geometry, &x[i], &w[i]).map(drop)
    }
}

fn layers(seed: u64) -> impl Fn(&mut Party) -> Result<()> + Sync {
    let small = |shape: &[usize], seed| numbers::<u64>(shape, seed).mapv(|x| x >> 27).into_shared();
    let x: [Share<Arithmetic, u64>; 3] = deal(&small(&[4, 12], seed));
    let w: [Share<Arithmetic, u64>; 3] = deal(&small(&[12, 9], seed + 1));
    move |party| {
        let i = party.role().index();
        let scores = product::matmul(party, &x[i], &w[i])?;
        let scores = relu(party, &scores, Width::exact(45), 16, None)?;
        let halves = [scores.clone(), scores.clone()];
        let pooled = pool::max(party, &halves, Width::exact(30), &Levels::tournament(2))?;
        argmax(party, &pooled, Width::exact(30), &Levels::new(9, 2)).map(drop)
    }
}

#[test]
fn honest_runs_verify() {
    holds::<Standard>(layers(1));
    holds::<Strict>(layers(2));
    holds::<Standard>(|_| Ok(()));
    for n in [1, 2, 3, 7, 8, 9, 31, 32, 33, 1000] {
        holds::<Standard>(products::<Arithmetic, u64>(n, 3));
        holds::<Standard>(products::<Arithmetic, u8>(n, 4));
        holds::<Standard>(products::<Arithmetic, u16>(n, 5));
        holds::<Standard>(products::<Arithmetic, u32>(n, 6));
        holds::<Standard>(products::<Boolean, u64>(n, 7));
        for terms in [2, 3] {
            holds::<Standard>(sums::<Boolean, u64>(terms, n, 8));
            holds::<Standard>(sums::<Arithmetic, u16>(terms, n, 9));
            holds::<Standard>(sums::<Arithmetic, u64>(terms, n, 10));
        }
    }
}

/// More than a batch holds: a claim is cut where the batch is full.
#[test]
fn long_claims_are_cut() {
    let n = (1 << 18) + 77;
    for wrong in [None, Some(Wrong { at: n - 1, error: 1 << 15 })] {
        let results = run::<Standard>(Kernel::detect(), wrong, products::<Arithmetic, u16>(n, 8));
        assert!(results.iter().all(|result| result.is_ok() == wrong.is_none()), "{results:?}");
        // Three products each: the batch is full within one.
        let results = run::<Standard>(Kernel::detect(), wrong, sums::<Arithmetic, u16>(3, n / 3, 8));
        assert!(results.iter().all(|result| result.is_ok() == wrong.is_none()), "{results:?}");
    }
}

/// Claims of one, two and three terms in a batch: each operand of each counts.
#[test]
fn a_false_operand_is_caught() {
    let counts = [2, 1, 3, 2];
    let operands = |terms: usize| [terms, 3];
    let dealt = counts.map(|terms| deal::<Boolean, u64>(&numbers(&operands(terms), 11)));
    for changed in 0..counts.iter().sum::<usize>() * 3 {
        let parties = mesh().map(|network| party(network, 5, Box::new(Active::<Standard>::new(&[7; 32]))));
        let run = |party: &mut Party| {
            let role = party.role();
            let mut before = 0;
            for (terms, x) in counts.into_iter().zip(&dealt) {
                let x = &x[role.index()];
                let ones = Share::public(role, &Tensor::from_elem(IxDyn(&operands(terms)), u64::MAX));
                let z = party.round(|round| product::send_dot(round, x, &ones))?;
                let mut claims = party.take_claims();
                let mut error = Tensor::from_elem(IxDyn(&operands(terms)), 0);
                error.iter_mut().skip(changed.wrapping_sub(before)).take(1).for_each(|x| *x = 1 << changed);
                claims.pop().expect("the last product");
                claims.push(Claim::And(Operands { x: x.add(&Share::public(role, &error)), y: ones, z }));
                claims.into_iter().for_each(|claim| party.record(|| claim));
                before += x.len();
            }
            Ok(())
        };
        let results = run_verified(parties, run, |_, ()| Ok(()));
        assert_eq!(results, [(); 3].map(|()| Err(Error::Cheating { step: Step::Products })), "operand {changed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// One wrong product is never missed, multiples of 2^63 included; without it there is no alarm.
    #[test]
    fn a_wrong_product_is_caught(seed in 0u64..1 << 40, n in 1usize..200, groups in 1usize..3, at: usize, bit in 0u32..64) {
        let check = |program: &(dyn Fn(&mut Party) -> Result<()> + Sync), bits: u32| {
            let error = 1 << (bit % bits);
            for result in run::<Standard>(Kernel::detect(), None, program) {
                prop_assert_eq!(result, Ok(()));
            }
            for result in run::<Standard>(Kernel::detect(), Some(Wrong { at, error }), program) {
                prop_assert_eq!(result, Err(Error::Cheating { step: Step::Products }));
            }
            Ok(())
        };
        check(&products::<Arithmetic, u8>(n, seed), 8)?;
        check(&products::<Arithmetic, u16>(n, seed), 16)?;
        check(&products::<Arithmetic, u32>(n, seed), 32)?;
        check(&products::<Arithmetic, u64>(n, seed), 64)?;
        check(&products::<Boolean, u64>(n, seed), 64)?;
        check(&sums::<Boolean, u64>(1 + n % 3, n, seed), 64)?;
        check(&sums::<Arithmetic, u64>(1 + n % 4, n, seed), 64)?;
        check(&conv(groups, 1 + n % 3, seed), 64)?;
        check(&layers(seed), 64)?;
        check(&wide_conv(seed), 64)?;
        check(&dense(1 + n % 18, 100 + n, seed), 64)?;
    }
}
