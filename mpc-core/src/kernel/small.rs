//! Words of fewer than eight bits: rings on which a test goes through every value.

use std::fmt;

use bytemuck::{Pod, Zeroable};

use crate::ring::Word;

/// An element of Z_2^B, or a row of B bits, B from 1 to 8. Only the lowest B bits of its byte count, so that any byte
/// is one.
///
/// The vectorised kernels know the widths of machine words alone: a party that computes with these takes
/// [`Kernel::Scalar`].
///
/// [`Kernel::Scalar`]: super::Kernel::Scalar
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub struct Small<const B: u32>(u8);

// SAFETY: it is a byte, and zero is one of those that it may be.
unsafe impl<const B: u32> Zeroable for Small<B> {}
// SAFETY: it is a byte, and may be any.
unsafe impl<const B: u32> Pod for Small<B> {}

impl<const B: u32> Small<B> {
    const MASK: u8 = u8::MAX >> (u8::BITS - B);
}

impl<const B: u32> PartialEq for Small<B> {
    fn eq(&self, other: &Self) -> bool {
        self.to_u64() == other.to_u64()
    }
}

impl<const B: u32> Eq for Small<B> {}

impl<const B: u32> fmt::Debug for Small<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_u64().fmt(f)
    }
}

impl<const B: u32> fmt::LowerHex for Small<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.to_u64(), f)
    }
}

impl<const B: u32> Word for Small<B> {
    const BITS: u32 = B;
    const ZERO: Self = Self(0);
    const ONE: Self = Self(1);
    const MAX: Self = Self(Self::MASK);
    #[inline(always)]
    fn from_u64(x: u64) -> Self {
        Self(x as u8 & Self::MASK)
    }
    #[inline(always)]
    fn to_u64(self) -> u64 {
        u64::from(self.0 & Self::MASK)
    }
    #[inline(always)]
    fn wrapping_add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0) & Self::MASK)
    }
    #[inline(always)]
    fn wrapping_sub(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0) & Self::MASK)
    }
    #[inline(always)]
    fn wrapping_mul(self, other: Self) -> Self {
        Self(self.0.wrapping_mul(other.0) & Self::MASK)
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0 & Self::MASK)
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self((self.0 ^ other.0) & Self::MASK)
    }
    #[inline(always)]
    fn shr(self, by: u32) -> Self {
        Self((self.0 & Self::MASK) >> by)
    }
    #[inline(always)]
    fn shl(self, by: u32) -> Self {
        Self(self.0 << by & Self::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any two bytes, against the integers modulo 32.
    #[test]
    fn is_the_ring_whatever_the_bits_above() {
        for (a, b) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
            let (x, y, a, b) = (Small::<5>(a), Small::<5>(b), u64::from(a), u64::from(b));
            let values = [x.wrapping_add(y), x.wrapping_sub(y), x.wrapping_mul(y), x.and(y), x.xor(y)];
            let expected = [a + b, a.wrapping_sub(b), a * b, a & b, a ^ b].map(|value| value % 32);
            assert_eq!(values.map(Word::to_u64), expected);
            assert_eq!(x == y, a % 32 == b % 32);
        }
        for (a, by) in (0..=255u8).flat_map(|a| (0..5).map(move |by| (a, by))) {
            let shifted = [Small::<5>(a).shl(by), Small::<5>(a).shr(by)].map(Word::to_u64);
            assert_eq!(shifted, [(u64::from(a) << by) % 32, (u64::from(a) % 32) >> by]);
        }
    }
}
