//! Rings of a few bits for the protocols that are written for any word.

pub use crate::kernel::small::Small;
use crate::ring::{Arithmetic, Word};
use crate::security::claim::Sealed;
use crate::security::{Claim, Claimable, Operands};
use crate::sharing::ArithmeticShare;

/// As `(2^(8-B) x) y = 2^(8-B) z` modulo 2^8 the claim says the same as modulo 2^B.
impl<const B: u32> Claimable for Small<B> {
    fn claim(Operands { x, y, z }: Operands<Arithmetic, Self>) -> Claim {
        let wide = |share: &ArithmeticShare<Small<B>>, shift: u32| {
            share.map(|t| t.mapv(|word| (word.to_u64() as u8) << shift).into_shared())
        };
        Claim::Mul8(Operands { x: wide(&x, 8 - B), y: wide(&y, 0), z: wide(&z, 8 - B) })
    }
}

impl<const B: u32> Sealed for Small<B> {}
