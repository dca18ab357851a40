//! What stands between a product and its opening.
//!
//! Every product is offered as a [`Claim`]; nothing unmasked is opened without the [`Verified`] token that
//! [`Security::verify`] hands out. Passive security keeps no claims. An active one records them and checks them in
//! batches; the protocols do not know which of the two they run under.

mod passive;

pub use passive::Passive;

use crate::error::Result;
use crate::kernel::ConvGeometry;
use crate::link::Link;
use crate::ring::{Arithmetic, Boolean};
use crate::sharing::Share;

/// Operands and result of a product, by reference to the shares that the party holds anyway.
#[derive(Debug, Clone)]
pub struct Operands<D, W: crate::ring::Word> {
    /// Left operand.
    pub x: Share<D, W>,
    /// Right operand.
    pub y: Share<D, W>,
    /// What the parties say the product is.
    pub z: Share<D, W>,
}

/// "z is the product of x and y."
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

macro_rules! claim_from {
    ($($domain:ty, $word:ty => $variant:ident;)*) => {$(
        impl From<Operands<$domain, $word>> for Claim {
            fn from(operands: Operands<$domain, $word>) -> Self {
                Claim::$variant(operands)
            }
        }
    )*};
}
claim_from! {
    Boolean, u64 => And;
    Arithmetic, u8 => Mul8;
    Arithmetic, u16 => Mul16;
    Arithmetic, u32 => Mul32;
    Arithmetic, u64 => Mul64;
}

/// Proof that every claim recorded so far was checked, or that the session is passive and has none.
#[derive(Debug)]
pub struct Verified(());

/// What a session does about cheating.
pub trait Security: Send {
    /// Whether [`Security::record`] wants to hear about products at all.
    fn wants_claims(&self) -> bool;

    /// Takes note of a product. Called only where [`Security::wants_claims`].
    fn record(&mut self, claim: Claim);

    /// An empty record for a branch of the same session.
    fn branch(&self) -> Box<dyn Security>;

    /// Hands over what was recorded and not yet checked, in order; a branch does so when it joins.
    fn take(&mut self) -> Vec<Claim>;

    /// Checks everything recorded and forgets it.
    ///
    /// # Errors
    /// [`Error::Cheating`](crate::Error::Cheating) where a claim is false.
    fn verify(&mut self, link: &mut Link) -> Result<Verified>;
}
