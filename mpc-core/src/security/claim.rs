//! What is claimed of each product.

use crate::kernel::ConvGeometry;
use crate::ring::{Arithmetic, Boolean, Word};
use crate::sharing::Share;

/// Operands and result of a product, by reference to the shares that the party holds anyway.
#[derive(Debug, Clone)]
pub struct Operands<D, W: Word> {
    /// Left operand.
    pub x: Share<D, W>,
    /// Right operand.
    pub y: Share<D, W>,
    /// What the parties say the product is.
    pub z: Share<D, W>,
}

/// "z is the product of x and y." Where an elementwise claim has t times as many operands as results, each result is a
/// sum of t terms: z = x_1 y_1 + .. + x_t y_t, and x holds x_1, then x_2, and so on.
#[derive(Debug, Clone)]
pub enum Claim {
    /// Bitwise and of bit planes.
    And(Operands<Boolean, u64>),
    /// Elementwise product over Z_2^8 (tests on small rings).
    Mul8(Operands<Arithmetic, u8>),
    /// Elementwise product over Z_2^16.
    Mul16(Operands<Arithmetic, u16>),
    /// Elementwise product over Z_2^32.
    Mul32(Operands<Arithmetic, u32>),
    /// Elementwise product over Z_2^64.
    Mul64(Operands<Arithmetic, u64>),
    /// Matrix product over Z_2^64: x is `[m, k]`, y is `[k, n]`.
    MatMul(Operands<Arithmetic, u64>),
    /// Convolution over Z_2^64: x is `[batch, in_channels, h, w]`, y are the weights.
    Conv(Box<ConvGeometry>, Operands<Arithmetic, u64>),
}

/// A word whose products in the domain D can be claimed.
pub trait Claimable<D = Arithmetic>: Word + Sealed {
    /// The claim that `operands` are a product, elementwise.
    fn claim(operands: Operands<D, Self>) -> Claim;
}

/// Keeps [`Claimable`] to the words that the check knows.
pub trait Sealed {}

macro_rules! claimable {
    ($($domain:ty, $word:ty => $variant:ident;)*) => {$(
        impl Claimable<$domain> for $word {
            fn claim(operands: Operands<$domain, $word>) -> Claim {
                Claim::$variant(operands)
            }
        }
    )*};
}
claimable! {
    Boolean, u64 => And;
    Arithmetic, u8 => Mul8;
    Arithmetic, u16 => Mul16;
    Arithmetic, u32 => Mul32;
    Arithmetic, u64 => Mul64;
}

impl Sealed for u8 {}
impl Sealed for u16 {}
impl Sealed for u32 {}
impl Sealed for u64 {}
