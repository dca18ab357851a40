//! Which cases a false claim is about.

use mpc_core::kernel::Kernel;
use mpc_core::ring::{Domain, Word};
use mpc_core::security::{Claim, Operands};
use mpc_core::sharing::Share;

use crate::session::LANES;

/// Marks the cases about which a claim is false, by what P_{c+1} and P_{c-1} hold.
pub(crate) fn mark_false(claims: (&Claim, &Claim), marks: &mut [u64]) {
    let kernel = Kernel::Scalar;
    let n = marks.len() * LANES;
    match claims {
        (Claim::And(a), Claim::And(b)) => {
            for (i, wrong) in errors(a, b).into_iter().enumerate() {
                // Planes, or a word for each case.
                if a.z.len() < n {
                    marks[i % (n / LANES)] |= wrong;
                } else {
                    mark(marks, i, wrong != 0);
                }
            }
        }
        (Claim::Mul8(a), Claim::Mul8(b)) => {
            errors(a, b).into_iter().enumerate().for_each(|(i, wrong)| mark(marks, i, wrong != 0));
        }
        (Claim::MatMul(a), Claim::MatMul(b)) => {
            let ([x, y, z], mut product) = (values(a, b), vec![0; a.z.len()]);
            kernel.gemm([a.x.shape()[0], a.x.shape()[1], a.y.shape()[1]], &x, &y, &mut product);
            product.iter().zip(z).enumerate().for_each(|(i, (xy, z))| mark(marks, i, *xy != z));
        }
        (Claim::Conv(geometry, a), Claim::Conv(_, b)) => {
            let ([x, y, z], mut product) = (values(a, b), vec![0; a.z.len()]);
            kernel.conv(geometry, a.x.shape()[0], &x, &y, &mut product);
            product.iter().zip(z).enumerate().for_each(|(i, (xy, z))| mark(marks, i, *xy != z));
        }
        other => panic!("claims of no protocol here, or of two: {other:?}"),
    }
}

fn mark(marks: &mut [u64], i: usize, wrong: bool) {
    let case = i % (marks.len() * LANES);
    marks[case / LANES] |= u64::from(wrong) << (case % LANES);
}

/// What the products of an elementwise claim, summed, are off by.
fn errors<D: Domain, W: Word>(next: &Operands<D, W>, prev: &Operands<D, W>) -> Vec<W> {
    let [x, y, z] = values(next, prev);
    let products: Vec<W> = x.into_iter().zip(y).map(|(x, y)| D::mul(x, y)).collect();
    let terms = |i: usize| products.iter().skip(i).step_by(z.len());
    z.iter().enumerate().map(|(i, &z)| terms(i).fold(z, |off, &product| D::sub(off, product))).collect()
}

/// x, y and z from the components that P_{c+1} and P_{c-1} hold.
fn values<D: Domain, W: Word>(next: &Operands<D, W>, prev: &Operands<D, W>) -> [Vec<W>; 3] {
    [(&next.x, &prev.x), (&next.y, &prev.y), (&next.z, &prev.z)].map(|(next, prev): (&Share<D, W>, &Share<D, W>)| {
        assert_eq!(next.next(), prev.own(), "the component that both honest parties hold");
        let sum = |((&a, &b), &c): ((&W, &W), &W)| D::add(D::add(a, b), c);
        next.own().iter().zip(next.next()).zip(prev.next()).map(sum).collect()
    })
}
