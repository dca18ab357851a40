//! Products of two shared values under any bilinear map f: elementwise (arithmetic or and), matrix product,
//! convolution.
//!
//! Pi holds (x_i, x_{i+1}) and (y_i, y_{i+1}).
//!
//! 1. Pi computes z_i = f(x_i, y_i + y_{i+1}) + f(x_{i+1}, y_i) and the parties [`reshare`](crate::link::reshare) z.
//!
//! The nine terms f(x_a, y_b) occur once each. Local work is two calls of f; the message is one element of the
//! *result*, so a dot product costs one element however long it is, and so does an elementwise sum of products
//! ([`send_dot`]). Private because the reshare is. Every product is offered to the security mode as a claim. Source:
//! Araki et al., CCS'16; Mohassel, Rindal, CCS'18 (ABY3).
//!
//! **With a trivial operand.** A component u_j that Pj and P_{j-1} know is a sharing for free, (u_j, 0, 0) in slot j.
//! Then z_{j+1} is zero and two elements travel in total; if both operands are trivial, in slots j and j + 1, only Pj
//! contributes: one element.

use crate::error::Result;
use crate::kernel::ConvGeometry;
use crate::link::reshare::{Contributors, PendingReshare, send};
use crate::link::round::{Pending, Round};
use crate::party::Party;
use crate::ring::{Arithmetic, Domain, Tensor, Word};
use crate::role::Role;
use crate::security::{Claim, Claimable, Operands};
use crate::sharing::{ArithmeticShare, Share, combine, slice};

/// A product whose message is on its way.
#[must_use = "the peers have sent what this waits for"]
pub struct PendingProduct<D, W: Word> {
    x: Factor<D, W>,
    y: Factor<D, W>,
    z: PendingReshare<D, W>,
}

/// An operand, with its zeros left out: only a claim wants them.
enum Factor<D, W: Word> {
    Shared(Share<D, W>),
    /// The trivial sharing of a component in a slot.
    Trivial(Role, Tensor<W>),
}

impl<D: Domain, W: Word> Factor<D, W> {
    /// Component `slot` of `x`.
    fn component(role: Role, slot: Role, x: &Share<D, W>) -> Self {
        Self::Trivial(slot, if role == slot { x.own().clone() } else { x.next().clone() })
    }

    fn into_share(self, role: Role) -> Share<D, W> {
        match self {
            Self::Shared(share) => share,
            Self::Trivial(slot, component) => Share::trivial(role, slot, &component),
        }
    }
}

impl<D: Domain, W: Claimable<D>> Pending<Party> for PendingProduct<D, W> {
    type Value = Share<D, W>;

    /// Waits for the product and records the claim.
    fn receive(self, party: &mut Party) -> Result<Share<D, W>> {
        let Self { x, y, z } = self;
        let (role, z) = (party.role(), z.receive(party.link())?);
        party.record(|| W::claim(Operands { x: x.into_share(role), y: y.into_share(role), z: z.clone() }));
        Ok(z)
    }
}

/// Elementwise product of two sharings of one shape: modulo 2^w, or bitwise and. 1 round, 1 element.
///
/// # Panics
/// If the shapes differ.
pub fn mul<D: Domain, W: Claimable<D>>(party: &mut Party, x: &Share<D, W>, y: &Share<D, W>) -> Result<Share<D, W>> {
    party.round(|round| send_mul(round, x, y))
}

/// [`mul`] within a round.
///
/// # Panics
/// If the shapes differ.
pub fn send_mul<D: Domain, W: Word>(
    round: &mut Round<'_>,
    x: &Share<D, W>,
    y: &Share<D, W>,
) -> Result<PendingProduct<D, W>> {
    send_sums(round, x.shape(), x, y)
}

/// The sums x_1 y_1 + .. + x_t y_t, elementwise, within a round: x and y are `[t, ..]`, the result is `[..]`. 1
/// element, however many terms there are.
///
/// # Panics
/// If the shapes differ, or there is no term.
pub fn send_dot<D: Domain, W: Word>(
    round: &mut Round<'_>,
    x: &Share<D, W>,
    y: &Share<D, W>,
) -> Result<PendingProduct<D, W>> {
    send_sums(round, sum_shape(x), x, y)
}

/// The shape of a sum over the first axis.
fn sum_shape<D: Domain, W: Word>(terms: &Share<D, W>) -> &[usize] {
    let (&count, shape) = terms.shape().split_first().expect("terms, one after the other");
    assert!(count > 0, "a sum has terms");
    shape
}

/// Products of as many operands as `shape` says, or sums of several times as many.
fn send_sums<D: Domain, W: Word>(
    round: &mut Round<'_>,
    shape: &[usize],
    x: &Share<D, W>,
    y: &Share<D, W>,
) -> Result<PendingProduct<D, W>> {
    assert_eq!(x.shape(), y.shape(), "operands have one shape");
    let (xs, ys) = ([slice(x.own()), slice(x.next())], [slice(y.own()), slice(y.next())]);
    let z = sum_of_terms::<D, W>(round.kernel().cross_product::<D, W>(xs, ys), shape.iter().product());
    let z = send(round, shape, Some(z), Contributors::ALL)?;
    Ok(PendingProduct { x: Factor::Shared(x.clone()), y: Factor::Shared(y.clone()), z })
}

/// Adds up terms of n elements each.
fn sum_of_terms<D: Domain, W: Word>(mut terms: Vec<W>, n: usize) -> Vec<W> {
    let (sum, rest) = terms.split_at_mut(n);
    for term in rest.chunks_exact(n.max(1)) {
        sum.iter_mut().zip(term).for_each(|(sum, &x)| *sum = D::add(*sum, x));
    }
    terms.truncate(n);
    terms
}

/// The product, within a round, of the trivial sharing of `component` in slot `slot` with `y`. 2 elements in total.
/// P(slot+1) passes anything of the right shape as `component`.
///
/// # Panics
/// If the shapes differ.
pub fn send_trivial_times<D: Domain, W: Word>(
    round: &mut Round<'_>,
    slot: Role,
    component: &Tensor<W>,
    y: &Share<D, W>,
) -> Result<PendingProduct<D, W>> {
    send_trivial_sums(round, y.shape(), slot, component, y)
}

/// The same, summed over the first axis as in [`send_dot`]. 2 elements in total, however many terms there are.
///
/// # Panics
/// If the shapes differ, or there is no term.
pub fn send_trivial_dot<D: Domain, W: Word>(
    round: &mut Round<'_>,
    slot: Role,
    component: &Tensor<W>,
    y: &Share<D, W>,
) -> Result<PendingProduct<D, W>> {
    send_trivial_sums(round, sum_shape(y), slot, component, y)
}

fn send_trivial_sums<D: Domain, W: Word>(
    round: &mut Round<'_>,
    shape: &[usize],
    slot: Role,
    component: &Tensor<W>,
    y: &Share<D, W>,
) -> Result<PendingProduct<D, W>> {
    assert_eq!(component.shape(), y.shape(), "operands have one shape");
    let role = round.role();
    let (known, own, next) = (slice(component).iter(), slice(y.own()), slice(y.next()));
    let terms: Option<Vec<W>> = if role == slot {
        Some(known.zip(own.iter().zip(next)).map(|(&u, (&a, &b))| D::mul(u, D::add(a, b))).collect())
    } else if role == slot.prev() {
        Some(known.zip(own).map(|(&u, &a)| D::mul(u, a)).collect())
    } else {
        None
    };
    let z = terms.map(|terms| sum_of_terms::<D, W>(terms, shape.iter().product()));
    let z = send(round, shape, z, Contributors::all_but(slot.next()))?;
    Ok(PendingProduct { x: Factor::Trivial(slot, component.clone()), y: Factor::Shared(y.clone()), z })
}

/// The product, within a round, of the components in slots `slot` and `slot + 1` of `x`, which P(slot) knows both.
/// 1 element in total.
pub fn send_component_pair<D: Domain, W: Word>(
    round: &mut Round<'_>,
    slot: Role,
    x: &Share<D, W>,
) -> Result<PendingProduct<D, W>> {
    let role = round.role();
    let z = (role == slot).then(|| slice(x.own()).iter().zip(slice(x.next())).map(|(&a, &b)| D::mul(a, b)).collect());
    let z = send(round, x.shape(), z, Contributors::only(slot))?;
    let [first, second] = [slot, slot.next()].map(|slot| Factor::component(role, slot, x));
    Ok(PendingProduct { x: first, y: second, z })
}

/// The trivial sharing of component `slot` of `x`.
pub(super) fn component<D: Domain, W: Word>(role: Role, slot: Role, x: &Share<D, W>) -> Share<D, W> {
    Factor::component(role, slot, x).into_share(role)
}

/// A matrix product or convolution whose message is on its way.
#[must_use = "the peers have sent what this waits for"]
pub struct PendingLinear {
    /// `Some` for a convolution.
    geometry: Option<ConvGeometry>,
    x: ArithmeticShare,
    y: ArithmeticShare,
    z: PendingReshare<Arithmetic, u64>,
}

impl Pending<Party> for PendingLinear {
    type Value = ArithmeticShare;

    /// Waits for the product and records the claim.
    fn receive(self, party: &mut Party) -> Result<ArithmeticShare> {
        let Self { geometry, x, y, z } = self;
        let z = z.receive(party.link())?;
        party.record(|| {
            let operands = Operands { x, y, z: z.clone() };
            match geometry {
                Some(geometry) => Claim::Conv(Box::new(geometry), operands),
                None => Claim::MatMul(operands),
            }
        });
        Ok(z)
    }
}

/// Matrix product over Z_2^64: x is `[m, k]`, y is `[k, n]`, the result `[m, n]`. Fractional bits add up. 1 round, 1
/// element of the result.
///
/// # Panics
/// If the shapes do not fit.
pub fn matmul(party: &mut Party, x: &ArithmeticShare, y: &ArithmeticShare) -> Result<ArithmeticShare> {
    party.round(|round| send_matmul(round, x, y))
}

/// [`matmul`] within a round.
///
/// # Panics
/// If the shapes do not fit, or k is 0.
pub fn send_matmul(round: &mut Round<'_>, x: &ArithmeticShare, y: &ArithmeticShare) -> Result<PendingLinear> {
    let (&[m, k], &[rows, n]) = (x.shape(), y.shape()) else { panic!("matmul takes matrices") };
    assert_eq!(k, rows, "inner dimensions agree");
    // The check of a batch with nothing else in it would have nothing to open.
    assert!(k > 0, "an inner dimension");
    let kernel = round.kernel();
    send_bilinear(round, None, x, y, &[m, n], |a, b, c| kernel.gemm([m, k, n], a, b, c))
}

/// Convolution over Z_2^64: x is `[batch, in_channels, h, w]`, `w` as [`ConvGeometry`] says, the result
/// `[batch, out_channels, out_h, out_w]`. Fractional bits add up. 1 round, 1 element of the result.
///
/// # Panics
/// If the shapes do not fit the geometry.
pub fn conv(
    party: &mut Party,
    geometry: &ConvGeometry,
    x: &ArithmeticShare,
    w: &ArithmeticShare,
) -> Result<ArithmeticShare> {
    party.round(|round| send_conv(round, geometry, x, w))
}

/// [`conv`] within a round.
///
/// # Panics
/// If the shapes do not fit the geometry.
pub fn send_conv(
    round: &mut Round<'_>,
    geometry: &ConvGeometry,
    x: &ArithmeticShare,
    w: &ArithmeticShare,
) -> Result<PendingLinear> {
    let (batch, [h, width]) = (x.shape()[0], geometry.output());
    let kernel = round.kernel();
    let shape = [batch, geometry.out_channels, h, width];
    let add_product = |a: &[u64], b: &[u64], c: &mut [u64]| kernel.conv(geometry, batch, a, b, c);
    send_bilinear(round, Some(geometry.clone()), x, w, &shape, add_product)
}

/// Local part and first half of the reshare of a product whose kernel adds f(a, b) to c.
fn send_bilinear(
    round: &mut Round<'_>,
    geometry: Option<ConvGeometry>,
    x: &ArithmeticShare,
    y: &ArithmeticShare,
    shape: &[usize],
    add_product: impl Fn(&[u64], &[u64], &mut [u64]),
) -> Result<PendingLinear> {
    let mut z = vec![0; shape.iter().product()];
    let pair = combine(y.own(), y.next(), Arithmetic::add);
    add_product(slice(x.own()), slice(&pair), &mut z);
    add_product(slice(x.next()), slice(y.own()), &mut z);
    let z = send(round, shape, Some(z), Contributors::ALL)?;
    Ok(PendingLinear { geometry, x: x.clone(), y: y.clone(), z })
}
