//! From bits to numbers.
//!
//! Pi holds (b_i, b_{i+1}) of a bit b = b0 ^ b1 ^ b2. Each b_j is known to two parties, so (b_j, 0, 0) in slot j is an
//! arithmetic sharing for free, and xor is a ^ b = a + b - 2ab.
//!
//! **B2A.**
//! 1. d = b0 ^ b1 = b0 + b1 - 2 b0 b1: P0 knows both factors, one element in total.
//! 2. b = d ^ b2 = d + b2 - 2 d b2: a trivial sharing times a full one, two elements in total.
//!
//! **Bit injection** b x:
//! 1. d as above and u = b2 x at the same time: three elements in total.
//! 2. b x = d (x - 2u) + u, because b = d + b2 - 2 d b2: one element per party.
//!
//! Two rounds each. Private because only reshares talk. Sources: Mohassel, Rindal, CCS'18, section 5.4, in the sparse
//! form of [`reshare`](crate::link::reshare).
//!
//! **Injection of a bit that is still being computed** ([`Injection`]), while x is known:
//! 1. and 2. r x as above for a random bit r from PRSS, beside what computes b.
//! 3. v = b ^ r is opened, and b x = v x + (1 - 2v) r x is local: b = v + r - 2 v r.
//!
//! One round after b instead of two. Private because v is uniform: r has a component that each party lacks, and it has
//! gone into nothing but r x, which reshares have masked anew. v is opened before the products are checked, as any
//! masked opening. Source: random bits in both sharings (daBits; Rotaru, Wood, INDOCRYPT'19), here without a check of
//! their own, since r x is a claim like others.

use super::bits::unpack;
use super::cost::Cost;
use super::open::{open_masked, random};
use super::product::{component, mul, send_component_pair, send_trivial_dot, send_trivial_times};
use super::rows;
use crate::error::Result;
use crate::party::Party;
use crate::ring::{Tensor, Word};
use crate::role::Role;
use crate::security::Claimable;
use crate::sharing::{ArithmeticShare, BitShare, Share, combine, slice, tensor};

/// The bits of every plane as numbers 0 or 1 of Z_2^w: shape `[planes, n]`. 2 rounds, 1 element.
pub fn to_arithmetic<W: Claimable>(party: &mut Party, bits: &BitShare, n: usize) -> Result<ArithmeticShare<W>> {
    let words = component_words::<W>(party, bits, n);
    let pair = party.round(|round| send_component_pair(round, Role::P0, &words))?;
    let role = party.role();
    let d = xor_of_first_two(role, &words, &pair);

    let product = party.round(|round| send_trivial_times(round, Role::P2, last_component(role, &words), &d))?;
    let is_last = [role == Role::P2, role.next() == Role::P2];
    Ok(Share::new(
        xor([Some(d.own()), is_last[0].then(|| words.own())], product.own()),
        xor([Some(d.next()), is_last[1].then(|| words.next())], product.next()),
    ))
}

/// Cost of [`to_arithmetic`] for n bits, to words of `bits` bits.
pub fn to_arithmetic_cost(n: usize, bits: u32) -> Cost {
    Cost::round(n, bits) + Cost::round(2 * n, bits)
}

/// The sum of 2^s b over planes of bits b, each with its shift s, modulo 2^w: shape `shape`. The bits become numbers in
/// words as small as the lowest shift allows, and their second products are summed before they are reshared. 2 rounds,
/// (planes + 2) / 3 such words.
pub(super) fn weigh<W: Word>(
    party: &mut Party,
    bits: &BitShare,
    shape: &[usize],
    shifts: &[u32],
) -> Result<ArithmeticShare<W>> {
    match word_bits::<W>(lowest(shifts)) {
        8 => weigh_in::<u8, W>(party, bits, shape, shifts),
        16 => weigh_in::<u16, W>(party, bits, shape, shifts),
        32 => weigh_in::<u32, W>(party, bits, shape, shifts),
        _ => weigh_in::<u64, W>(party, bits, shape, shifts),
    }
}

/// Cost of [`weigh`] for n numbers.
pub(super) fn weigh_cost<W: Word>(n: usize, shifts: &[u32]) -> Cost {
    let bits = word_bits::<W>(lowest(shifts));
    Cost::round(shifts.len() * n, bits) + Cost::round(2 * n, bits)
}

fn lowest(shifts: &[u32]) -> u32 {
    *shifts.iter().min().expect("planes")
}

/// The smallest word of at least w - `shift` bits.
pub(super) fn word_bits<W: Word>(shift: u32) -> u32 {
    (W::BITS - shift).next_power_of_two().max(u8::BITS)
}

/// As [`weigh`], in words N.
fn weigh_in<N: Claimable, W: Word>(
    party: &mut Party,
    bits: &BitShare,
    shape: &[usize],
    shifts: &[u32],
) -> Result<ArithmeticShare<W>> {
    let (role, n, lowest) = (party.role(), shape.iter().product(), lowest(shifts));
    let words = component_words::<N>(party, bits, n);
    let pair = party.round(|round| send_component_pair(round, Role::P0, &words))?;
    let d = xor_of_first_two(role, &words, &pair);
    let shifted = |t: &Tensor<N>| {
        let rows = slice(t).chunks_exact(n.max(1)).zip(shifts);
        tensor(t.shape(), rows.flat_map(|(row, shift)| row.iter().map(move |b| b.shl(shift - lowest))).collect())
    };

    // The sum of 2^s (d + b2 - 2 d b2).
    let (d, last) = (d.map(shifted), component(role, Role::P2, &words).map(shifted));
    let product = party.round(|round| send_trivial_dot(round, Role::P2, last_component(role, &words), &d))?;
    let sum = rows::sum(&d.add(&last)).sub(&product.scale(N::ONE.shl(1)));
    Ok(sum.map(|t| tensor(shape, slice(t).iter().map(|b| W::from_u64(b.to_u64()).shl(lowest)).collect())))
}

/// b x for one plane of bits, as many as x has elements. 2 rounds, 2 elements.
///
/// # Panics
/// If `bit` is not one plane for the elements of x.
pub fn inject<W: Claimable>(party: &mut Party, bit: &BitShare, x: &ArithmeticShare<W>) -> Result<ArithmeticShare<W>> {
    assert_eq!(bit.shape(), [1, x.len().div_ceil(64)], "one bit for each element");
    let words = component_words::<W>(party, bit, x.len()).reshape(x.shape());
    let role = party.role();
    let (pair, u) = party.round(|round| {
        let pair = send_component_pair(round, Role::P0, &words)?;
        Ok((pair, send_trivial_times(round, Role::P2, last_component(role, &words), x)?))
    })?;

    let d = xor_of_first_two(role, &words, &pair);
    let rest = x.zip(&u, |x, u| combine(x, u, |x, u| x.wrapping_sub(u.shl(1))));
    let product = mul(party, &d, &rest)?;
    Ok(product.add(&u))
}

/// The product of numbers with bits that are not known yet, but for one round: with random bits r in their place.
pub struct Injection<W: Word> {
    x: ArithmeticShare<W>,
    mask: BitShare,
    /// r x.
    product: ArithmeticShare<W>,
}

impl<W: Claimable> Injection<W> {
    /// Prepares b x. 2 rounds, 2 elements.
    pub fn of(party: &mut Party, x: ArithmeticShare<W>) -> Result<Self> {
        let mask = random(party, &[1, x.len().div_ceil(64)]);
        let product = inject(party, &mask, &x)?;
        Ok(Self { x, mask, product })
    }

    /// Prepares n bits as numbers, flat. 2 rounds, 1 element.
    pub fn of_ones(party: &mut Party, n: usize) -> Result<Self> {
        let mask = random(party, &[1, n.div_ceil(64)]);
        let product = to_arithmetic(party, &mask, n)?.reshape(&[n]);
        Ok(Self { x: Share::public(party.role(), &tensor(&[n], vec![W::ONE; n])), mask, product })
    }

    /// b x for one plane of bits. 1 round, 1 bit (active: 2).
    pub fn by(self, party: &mut Party, bit: &BitShare) -> Result<ArithmeticShare<W>> {
        let opened = open_masked(party, bit, &self.mask)?;
        let v: Vec<W> = party.kernel().from_planes(slice(&opened), self.x.len());
        Ok(self.x.zip(&self.product, |x, product| {
            let chosen =
                |(&v, (&x, &p)): (&W, (&W, &W))| p.wrapping_add(x.wrapping_sub(p.shl(1)).and(W::ZERO.wrapping_sub(v)));
            tensor(x.shape(), v.iter().zip(slice(x).iter().zip(slice(product))).map(chosen).collect())
        }))
    }
}

/// Cost of [`Injection::of`] and of [`Injection::by`] for n words of `bits` bits.
pub(super) fn injection_cost(n: usize, bits: u32) -> [Cost; 2] {
    [inject_cost(n, bits), Cost::planes(1, n)]
}

/// Cost of [`Injection::of_ones`] and of [`Injection::by`] for n words of `bits` bits.
pub(super) fn conversion_cost(n: usize, bits: u32) -> [Cost; 2] {
    [to_arithmetic_cost(n, bits), Cost::planes(1, n)]
}

/// Cost of [`inject`] for n words of `bits` bits.
pub fn inject_cost(n: usize, bits: u32) -> Cost {
    Cost::round(3 * n, bits) + Cost::round(3 * n, bits)
}

/// The components b_j as numbers; as an arithmetic sharing it stands for b0 + b1 + b2, not for b.
pub(super) fn component_words<W: Word>(party: &Party, bits: &BitShare, n: usize) -> ArithmeticShare<W> {
    let words = unpack::<W>(party.kernel(), bits, n);
    Share::new(words.own().clone(), words.next().clone())
}

/// b2 where this party knows it (P2 and P1), anything elsewhere.
pub(super) fn last_component<W: Word>(role: Role, words: &ArithmeticShare<W>) -> &Tensor<W> {
    if role == Role::P2 { words.own() } else { words.next() }
}

/// b0 + b1 - 2 b0 b1.
pub(super) fn xor_of_first_two<W: Word>(
    role: Role,
    words: &ArithmeticShare<W>,
    pair: &ArithmeticShare<W>,
) -> ArithmeticShare<W> {
    Share::new(
        xor([(role != Role::P2).then(|| words.own()), None], pair.own()),
        xor([(role.next() != Role::P2).then(|| words.next()), None], pair.next()),
    )
}

/// a + b - 2 `product` in one component; an operand that has nothing in it is left out.
fn xor<W: Word>(operands: [Option<&Tensor<W>>; 2], product: &Tensor<W>) -> Tensor<W> {
    let mut sum: Vec<W> = slice(product).iter().map(|p| W::ZERO.wrapping_sub(p.shl(1))).collect();
    for operand in operands.into_iter().flatten() {
        sum.iter_mut().zip(slice(operand)).for_each(|(sum, &x)| *sum = sum.wrapping_add(x));
    }
    tensor(product.shape(), sum)
}
