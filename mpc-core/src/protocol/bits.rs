//! Local handling of bit planes: nothing here talks.

use crate::kernel::Kernel;
use crate::ring::{Boolean, Tensor, Word};
use crate::role::Role;
use crate::sharing::{ArithmeticShare, BitShare, Share, gather, slice, tensor};

/// The bits of the *components* of x as a Boolean sharing: planes `from..to` of x_0 ^ x_1 ^ x_2 (not of x).
pub fn component_planes<W: Word>(kernel: Kernel, x: &ArithmeticShare<W>, from: usize, to: usize) -> BitShare {
    let words = x.len().div_ceil(64);
    let planes = |component: &Tensor<W>| {
        let shifted: Vec<W> = slice(component).iter().map(|c| c.shr(from as u32)).collect();
        tensor(&[to - from, words], kernel.to_planes(&shifted, to - from))
    };
    Share::new(planes(x.own()), planes(x.next()))
}

/// The rows of `bits` (a `[planes, words]` sharing) with these indices, in this order.
pub fn select_planes(bits: &BitShare, planes: impl ExactSizeIterator<Item = usize> + Clone) -> BitShare {
    let words = bits.shape()[1];
    bits.map(|t| gather(&[planes.len(), words], planes.clone().map(|p| &slice(t)[p * words..][..words])))
}

/// The rows of several sharings below each other.
pub fn stack(parts: &[&BitShare]) -> BitShare {
    let shape = [parts.iter().map(|part| part.shape()[0]).sum(), parts[0].shape()[1]];
    Share::new(
        gather(&shape, parts.iter().map(|part| slice(part.own()))),
        gather(&shape, parts.iter().map(|part| slice(part.next()))),
    )
}

/// The complement of every bit.
pub fn not(role: Role, bits: &BitShare) -> BitShare {
    bits.add_constant(role, u64::MAX)
}

/// Every plane of `bits`, `n` elements each, as words 0 or 1: shape `[planes, n]`.
pub fn unpack<W: Word>(kernel: Kernel, bits: &BitShare, n: usize) -> Share<Boolean, W> {
    let (planes, words) = (bits.shape()[0], bits.shape()[1]);
    bits.map(|t| {
        let rows = slice(t).chunks_exact(words.max(1));
        tensor(&[planes, n], rows.flat_map(|row| kernel.from_planes::<W>(row, n)).collect())
    })
}

/// Words 0 or 1 of any shape as one plane.
pub fn pack<W: Word>(kernel: Kernel, words: &Share<Boolean, W>) -> BitShare {
    words.map(|t| tensor(&[1, t.len().div_ceil(64)], kernel.to_planes(slice(t), 1)))
}
