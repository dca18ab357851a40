//! Replicated 2-of-3 shares of tensors.
//!
//! A secret x is split as x = x0 + x1 + x2 (or with xor); party Pi holds (x_i, x_{i+1}), called `own` and
//! `next`. One component reveals nothing about x, and any two parties hold all three. Source: Araki et al.,
//! CCS'16, section 2.

mod dealer;
mod ranged;

use std::fmt;
use std::marker::PhantomData;

use ndarray::IxDyn;

pub use dealer::{Component, Dealt, Seed, expand, reconstruct, share, share_from};
pub use ranged::{InputRange, RangedShare, share_ranged};

use crate::ring::{Arithmetic, Boolean, Domain, Tensor, Word};
use crate::role::Role;

/// One party's part of a shared tensor: two components of the same shape, each contiguous.
pub struct Share<D, W> {
    own: Tensor<W>,
    next: Tensor<W>,
    domain: PhantomData<D>,
}

/// An additive sharing over Z_2^w, by default over Z_2^64.
pub type ArithmeticShare<W = u64> = Share<Arithmetic, W>;

/// A sharing of bits: shape `[planes, words]`, bit j of word i of plane p is bit p of element 64 i + j.
pub type BitShare = Share<Boolean, u64>;

impl<D, W: Word> Clone for Share<D, W> {
    fn clone(&self) -> Self {
        Self { own: self.own.clone(), next: self.next.clone(), domain: PhantomData }
    }
}

/// Prints the shape only: a share is secret.
impl<D, W: Word> fmt::Debug for Share<D, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share{:?}", self.own.shape())
    }
}

impl<D: Domain, W: Word> Share<D, W> {
    /// Joins two components.
    ///
    /// # Panics
    /// If the shapes differ or a component is not in standard layout: both are bugs of the caller.
    pub fn new(own: Tensor<W>, next: Tensor<W>) -> Self {
        assert_eq!(own.shape(), next.shape(), "components of one share have one shape");
        assert!(own.is_standard_layout() && next.is_standard_layout(), "components are contiguous");
        Self { own, next, domain: PhantomData }
    }

    /// The sharing of zero whose components are all zero.
    pub fn zeros(shape: &[usize]) -> Self {
        Self::new(Tensor::from_elem(IxDyn(shape), W::ZERO), Tensor::from_elem(IxDyn(shape), W::ZERO))
    }

    /// A public value, as component 0.
    pub fn public(role: Role, value: &Tensor<W>) -> Self {
        Self::trivial(role, Role::P0, value)
    }

    /// The sharing with `component` in slot `slot` and zeros elsewhere. The component of slot j is known to
    /// Pj and P(j-1); the third party passes any tensor of the right shape, which is ignored.
    pub fn trivial(role: Role, slot: Role, component: &Tensor<W>) -> Self {
        let zeros = || Tensor::from_elem(component.raw_dim(), W::ZERO);
        let own = if role == slot { component.clone() } else { zeros() };
        let next = if role.next() == slot { component.clone() } else { zeros() };
        Self::new(own, next)
    }

    /// The component x_i.
    pub fn own(&self) -> &Tensor<W> {
        &self.own
    }

    /// The component x_{i+1}.
    pub fn next(&self) -> &Tensor<W> {
        &self.next
    }

    /// Shape of the shared tensor.
    pub fn shape(&self) -> &[usize] {
        self.own.shape()
    }

    /// Number of shared elements.
    pub fn len(&self) -> usize {
        self.own.len()
    }

    /// Whether nothing is shared.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Applies a public linear map without constant term (reshape, permute, slice, sum, scale) to both components.
    pub fn map<V: Word>(&self, mut f: impl FnMut(&Tensor<W>) -> Tensor<V>) -> Share<D, V> {
        Share::new(f(&self.own), f(&self.next))
    }

    /// Combines two sharings component by component with `f`, which must be linear where both are secret.
    pub fn zip(&self, other: &Self, mut f: impl FnMut(&Tensor<W>, &Tensor<W>) -> Tensor<W>) -> Self {
        Share::new(f(&self.own, &other.own), f(&self.next, &other.next))
    }

    /// The same elements in another shape.
    ///
    /// # Panics
    /// If the number of elements differs.
    pub fn reshape(&self, shape: &[usize]) -> Self {
        self.map(|t| t.clone().into_shape_with_order(IxDyn(shape)).expect("same number of elements"))
    }

    /// Sum, elementwise, of two sharings of one shape.
    pub fn add(&self, other: &Self) -> Self {
        self.zip(other, |a, b| combine(a, b, D::add))
    }

    /// Difference, elementwise, of two sharings of one shape.
    pub fn sub(&self, other: &Self) -> Self {
        self.zip(other, |a, b| combine(a, b, D::sub))
    }

    /// Adds a public constant to every element.
    pub fn add_constant(&self, role: Role, constant: W) -> Self {
        let plus = |t: &Tensor<W>| t.mapv(|x| D::add(x, constant)).into_shared();
        match role {
            Role::P0 => Self::new(plus(&self.own), self.next.clone()),
            Role::P2 => Self::new(self.own.clone(), plus(&self.next)),
            Role::P1 => self.clone(),
        }
    }

    /// Multiplies every element by a public constant.
    pub fn scale(&self, constant: W) -> Self {
        self.map(|t| t.mapv(|x| D::mul(x, constant)).into_shared())
    }
}

/// Elementwise `f` of two tensors of one shape.
///
/// # Panics
/// If the shapes differ.
pub(crate) fn combine<W: Word>(a: &Tensor<W>, b: &Tensor<W>, f: impl Fn(W, W) -> W) -> Tensor<W> {
    assert_eq!(a.shape(), b.shape(), "operands have one shape");
    tensor(a.shape(), slice(a).iter().zip(slice(b)).map(|(&x, &y)| f(x, y)).collect())
}

/// The elements of a tensor as one slice.
///
/// # Panics
/// If the tensor is not in standard layout, which the constructors here rule out.
pub(crate) fn slice<W>(tensor: &Tensor<W>) -> &[W] {
    tensor.as_slice().expect("standard layout")
}

/// A tensor of `shape` over `data`.
///
/// # Panics
/// If the number of elements differs.
pub(crate) fn tensor<W: Word>(shape: &[usize], data: Vec<W>) -> Tensor<W> {
    Tensor::from_shape_vec(IxDyn(shape), data).expect("as many elements as the shape says")
}

/// A tensor of `shape` over the given pieces, one after the other.
///
/// # Panics
/// If the number of elements differs.
pub(crate) fn gather<'a, W: Word>(shape: &[usize], pieces: impl Iterator<Item = &'a [W]>) -> Tensor<W> {
    let mut data = Vec::with_capacity(shape.iter().product());
    pieces.for_each(|piece| data.extend_from_slice(piece));
    tensor(shape, data)
}
