//! GF(2^64) = GF(2)[X] / (X^64 + X^4 + X^3 + X + 1).

use super::Extension;
use crate::kernel::Kernel;
use crate::ring::Boolean;

/// The field, with challenges of D bits. A column of 64 bits is an element as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Field<const D: u32 = 64>;

impl<const D: u32> Extension for Field<D> {
    type Domain = Boolean;
    type Word = u64;
    const WORDS: usize = 1;
    const LANES: usize = 64;
    const CHALLENGE_BITS: u32 = D;

    fn challenges(bits: &[u64]) -> Vec<u64> {
        bits.iter().map(|bits| bits & (u64::MAX >> (64 - D))).collect()
    }

    fn add_weighted_sums(kernel: Kernel, values: &[u64], weights: &[u64], sums: &mut [u64]) {
        for (values, sum) in values.chunks_exact(weights.len()).zip(sums) {
            Self::add_inner(kernel, values, weights, std::slice::from_mut(sum));
        }
    }

    fn add_multiples(kernel: Kernel, values: &[u64], elements: &[u64], sums: &mut [u64]) {
        Self::add_weighted_sums(kernel, values, elements, sums);
    }

    fn lift(kernel: Kernel, rows: &[u64], factors: &[u64]) -> Vec<u64> {
        let columns = rows.len() / factors.len();
        let mut lifted = vec![0; columns * Self::LANES];
        for (g, lanes) in lifted.as_chunks_mut().0.iter_mut().enumerate() {
            kernel.xor_bits(rows[g..].iter().step_by(columns).zip(factors), lanes);
        }
        lifted
    }

    fn weigh(kernel: Kernel, elements: &mut [u64], weights: &[u64]) {
        carryless!(kernel, weigh(elements, weights));
    }

    fn add_inner(kernel: Kernel, x: &[u64], y: &[u64], sum: &mut [u64]) {
        sum[0] ^= carryless!(kernel, inner(x, y));
    }

    fn fold(kernel: Kernel, rows: &[u64], factors: &[u64]) -> Vec<u64> {
        carryless!(kernel, fold(rows, factors))
    }
}

impl Kernel {
    /// Adds each factor to the lanes whose bits its word has.
    fn xor_bits<'a>(self, rows: impl Iterator<Item = (&'a u64, &'a u64)>, lanes: &mut [u64; 64]) {
        #[cfg(target_arch = "x86_64")]
        if let Kernel::Avx512(_) = self {
            // SAFETY: the kernel is AVX-512.
            return unsafe { x86::xor_bits(rows, lanes) };
        }
        self.run(
            #[inline(always)]
            || {
                for (bits, factor) in rows {
                    for (b, lane) in lanes.iter_mut().enumerate() {
                        *lane ^= factor & 0u64.wrapping_sub(bits >> b & 1);
                    }
                }
            },
        );
    }
}

/// Runs a function that is generic over the kind of carry-less product.
macro_rules! carryless {
    ($kernel:expr, $function:ident($($argument:expr),*)) => {
        match $kernel {
            Kernel::Scalar => $function::<Portable>($($argument),*),
            #[cfg(target_arch = "x86_64")]
            vectorised => vectorised.run(
                #[inline(always)]
                || $function::<x86::Instruction>($($argument),*),
            ),
        }
    };
}
use carryless;

/// Sums of products of polynomials over GF(2).
trait Carryless {
    /// A polynomial of degree below 127.
    type Sum: Copy;

    fn zero() -> Self::Sum;

    /// The sum plus a * b.
    fn add(sum: Self::Sum, a: u64, b: u64) -> Self::Sum;

    /// Low and high half.
    fn halves(sum: Self::Sum) -> [u64; 2];
}

#[inline(always)]
fn reduce<C: Carryless>(sum: C::Sum) -> u64 {
    let [low, high] = C::halves(sum);
    // X^64 = X^4 + X^3 + X + 1, and once more for what that lifts above X^63.
    let over = high >> 63 ^ high >> 61 ^ high >> 60;
    let high = high ^ over;
    low ^ high ^ high << 1 ^ high << 3 ^ high << 4
}

#[inline(always)]
fn inner<C: Carryless>(x: &[u64], y: &[u64]) -> u64 {
    // Four sums, so that no product waits for the one before it.
    let mut sums = [C::zero(); 4];
    let (xs, ys) = (x.chunks_exact(4), y.chunks_exact(4));
    let rest =
        xs.remainder().iter().zip(ys.remainder()).fold(0, |sum, (&x, &y)| sum ^ reduce::<C>(C::add(C::zero(), x, y)));
    for (x, y) in xs.zip(ys) {
        for (sum, (&x, &y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum = C::add(*sum, x, y);
        }
    }
    sums.into_iter().fold(rest, |total, sum| total ^ reduce::<C>(sum))
}

#[inline(always)]
fn fold<C: Carryless>(rows: &[u64], factors: &[u64]) -> Vec<u64> {
    /// Elements that are summed up side by side, so that no product waits for the one before it.
    const SIDE: usize = 4;
    let width = rows.len() / factors.len();
    let mut folded = vec![0; width];
    for (i, folded) in folded.chunks_mut(SIDE).enumerate() {
        let mut sums = [C::zero(); SIDE];
        for (row, factor) in rows.chunks_exact(width).zip(factors) {
            let row = &row[i * SIDE..][..folded.len()];
            sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum = C::add(*sum, x, *factor));
        }
        folded.iter_mut().zip(sums).for_each(|(folded, sum)| *folded = reduce::<C>(sum));
    }
    folded
}

#[inline(always)]
fn weigh<C: Carryless>(elements: &mut [u64], weights: &[u64]) {
    for (lanes, weight) in elements.chunks_exact_mut(64).zip(weights) {
        let mut weight = *weight;
        for lane in lanes {
            *lane = reduce::<C>(C::add(C::zero(), *lane, weight));
            // Times X; weights are public, but a mask costs no more than a branch.
            weight = weight << 1 ^ (0x1b & 0u64.wrapping_sub(weight >> 63));
        }
    }
}

/// Shift and add under a mask.
struct Portable;

impl Carryless for Portable {
    type Sum = u128;

    fn zero() -> u128 {
        0
    }

    #[inline(always)]
    fn add(sum: u128, a: u64, b: u64) -> u128 {
        (0..64).fold(sum, |sum, i| sum ^ (u128::from(a) << i & 0u128.wrapping_sub(u128::from(b >> i & 1))))
    }

    fn halves(sum: u128) -> [u64; 2] {
        [sum as u64, (sum >> 64) as u64]
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Carryless;

    #[target_feature(enable = "avx512f")]
    pub(super) fn xor_bits<'a>(rows: impl Iterator<Item = (&'a u64, &'a u64)>, lanes: &mut [u64; 64]) {
        let mut sums = [_mm512_setzero_si512(); 8];
        for (bits, factor) in rows {
            let factor = _mm512_set1_epi64(factor.cast_signed());
            for (sum, mask) in sums.iter_mut().zip(bits.to_le_bytes()) {
                *sum = _mm512_mask_xor_epi64(*sum, mask, *sum, factor);
            }
        }
        for (lanes, sum) in lanes.chunks_exact_mut(8).zip(sums) {
            // SAFETY: eight words.
            unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), sum) };
        }
    }

    /// The processor's carry-less product. Only for use inside [`Kernel::run`](crate::kernel::Kernel::run) of a
    /// vectorised kernel.
    pub(super) struct Instruction;

    impl Carryless for Instruction {
        type Sum = __m128i;

        #[inline(always)]
        fn zero() -> __m128i {
            // SAFETY: part of every x86-64.
            unsafe { _mm_setzero_si128() }
        }

        #[inline(always)]
        fn add(sum: __m128i, a: u64, b: u64) -> __m128i {
            // SAFETY: reached through `carryless!` only, with a vectorised kernel, whose features include pclmulqdq.
            unsafe {
                let (a, b) = (_mm_cvtsi64_si128(a.cast_signed()), _mm_cvtsi64_si128(b.cast_signed()));
                _mm_xor_si128(sum, _mm_clmulepi64_si128::<0>(a, b))
            }
        }

        #[inline(always)]
        fn halves(sum: __m128i) -> [u64; 2] {
            // SAFETY: part of every x86-64.
            let (low, high) = unsafe { (_mm_cvtsi128_si64(sum), _mm_cvtsi128_si64(_mm_unpackhi_epi64(sum, sum))) };
            [low.cast_unsigned(), high.cast_unsigned()]
        }
    }
}
