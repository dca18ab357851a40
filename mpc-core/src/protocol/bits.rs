//! Local handling of bit planes: nothing here talks.

use crate::kernel::Kernel;
use crate::ring::{Boolean, Tensor, Word};
use crate::role::Role;
use crate::sharing::{ArithmeticShare, BitShare, Share, gather, slice, tensor};

/// The bits of the *components* of x as a Boolean sharing: planes `from..to` of x_0 ^ x_1 ^ x_2 (not of x).
pub fn component_planes<W: Word>(kernel: Kernel, x: &ArithmeticShare<W>, from: usize, to: usize) -> BitShare {
    let words = x.len().div_ceil(64);
    let planes = |component: &Tensor<W>| tensor(&[to - from, words], kernel.to_planes(slice(component), from..to));
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
        let mut numbers = vec![W::ZERO; planes * n];
        let rows = slice(t).chunks_exact(words.max(1));
        rows.zip(numbers.chunks_exact_mut(n.max(1))).for_each(|(row, numbers)| kernel.from_planes_into(row, numbers));
        tensor(&[planes, n], numbers)
    })
}

/// Words 0 or 1 of any shape as one plane.
pub fn pack<W: Word>(kernel: Kernel, words: &Share<Boolean, W>) -> BitShare {
    words.map(|t| tensor(&[1, t.len().div_ceil(64)], kernel.to_planes(slice(t), 0..1)))
}
