//! The words that shares are made of, and the two ways to add and multiply them.
//!
//! A [`Word`] is an element of Z_2^w (w = 8, 16, 32 or 64) or a row of w bits. A [`Domain`] says which:
//! [`Arithmetic`] adds and multiplies modulo 2^w, [`Boolean`] uses xor and and. Everything above is written
//! once over both.

pub mod fixed;

use bytemuck::Pod;
use ndarray::{ArcArray, IxDyn};

/// A tensor of words in standard (row-major) layout, shared by reference count.
pub type Tensor<W> = ArcArray<W, IxDyn>;

/// An unsigned machine word: an element of Z_2^w, or w bits.
pub trait Word: Pod + Default + PartialEq + Eq + Send + Sync + std::fmt::Debug + std::fmt::LowerHex + 'static {
    /// w.
    const BITS: u32;
    /// Additive identity of both domains.
    const ZERO: Self;
    /// The integer one.
    const ONE: Self;
    /// All bits set.
    const MAX: Self;
    /// The low w bits of `x`.
    fn from_u64(x: u64) -> Self;
    /// Zero-extended to 64 bits.
    fn to_u64(self) -> u64;
    /// Sum modulo 2^w.
    fn wrapping_add(self, other: Self) -> Self;
    /// Difference modulo 2^w.
    fn wrapping_sub(self, other: Self) -> Self;
    /// Product modulo 2^w.
    fn wrapping_mul(self, other: Self) -> Self;
    /// Bitwise and.
    fn and(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    fn xor(self, other: Self) -> Self;
    /// Logical shift right; `by` < w.
    fn shr(self, by: u32) -> Self;
    /// Shift left; `by` < w.
    fn shl(self, by: u32) -> Self;
}

macro_rules! word {
    ($($t:ty),*) => {$(
        impl Word for $t {
            const BITS: u32 = <$t>::BITS;
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const MAX: Self = <$t>::MAX;
            #[inline(always)]
            fn from_u64(x: u64) -> Self { x as $t }
            #[inline(always)]
            fn to_u64(self) -> u64 { u64::from(self) }
            #[inline(always)]
            fn wrapping_add(self, other: Self) -> Self { <$t>::wrapping_add(self, other) }
            #[inline(always)]
            fn wrapping_sub(self, other: Self) -> Self { <$t>::wrapping_sub(self, other) }
            #[inline(always)]
            fn wrapping_mul(self, other: Self) -> Self { <$t>::wrapping_mul(self, other) }
            #[inline(always)]
            fn and(self, other: Self) -> Self { self & other }
            #[inline(always)]
            fn xor(self, other: Self) -> Self { self ^ other }
            #[inline(always)]
            fn shr(self, by: u32) -> Self { self >> by }
            #[inline(always)]
            fn shl(self, by: u32) -> Self { self << by }
        }
    )*};
}
word!(u8, u16, u32, u64);

/// How words are added and multiplied.
pub trait Domain: Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// The group operation of the sharing.
    fn add<W: Word>(a: W, b: W) -> W;
    /// The inverse of [`Domain::add`].
    fn sub<W: Word>(a: W, b: W) -> W;
    /// The product that distributes over [`Domain::add`].
    fn mul<W: Word>(a: W, b: W) -> W;
}

/// Z_2^w: addition and multiplication modulo 2^w.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arithmetic;

/// GF(2)^w: exclusive or and bitwise and.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Boolean;

impl Domain for Arithmetic {
    #[inline(always)]
    fn add<W: Word>(a: W, b: W) -> W {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn sub<W: Word>(a: W, b: W) -> W {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn mul<W: Word>(a: W, b: W) -> W {
        a.wrapping_mul(b)
    }
}

impl Domain for Boolean {
    #[inline(always)]
    fn add<W: Word>(a: W, b: W) -> W {
        a.xor(b)
    }
    #[inline(always)]
    fn sub<W: Word>(a: W, b: W) -> W {
        a.xor(b)
    }
    #[inline(always)]
    fn mul<W: Word>(a: W, b: W) -> W {
        a.and(b)
    }
}
