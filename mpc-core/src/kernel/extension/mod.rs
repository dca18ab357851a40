//! Extensions of the two base rings that are large enough to check products in.
//!
//! A random linear combination over Z_2^64 misses an error of 2^63 every other time, and over GF(2) it misses every
//! error every other time. Both rings embed for free in an extension with a set S of 2^d elements whose differences are
//! units (exceptional): a nonzero polynomial of degree n then has at most n roots in S. An element is a row of
//! [`Extension::WORDS`] words, added word by word; a vector of elements is one row after the other.
//!
//! No branch and no index depends on an element, except on weights and challenges, which are public.
//! Source: Abspoel, Cramer, Damgaard, Escudero, Yuan, TCC'19 (Galois rings); `docs/protocols.md`, "Active security".

mod field;
mod galois;

pub use field::Field;
pub use galois::Galois;

use super::Kernel;
use crate::ring::{Domain, Word};

/// An extension E of a base ring, with the operations that checks spend their time in.
///
/// A *column* is a word of the base: one element of Z_2^w, or [`Extension::LANES`] bits.
pub trait Extension: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// How words are added.
    type Domain: Domain;
    /// What elements are made of.
    type Word: Word;
    /// Words in an element.
    const WORDS: usize;
    /// Base values in a column: bit b of a column stands for X^b times that bit.
    const LANES: usize;
    /// d: S has 2^d elements.
    const CHALLENGE_BITS: u32;

    /// For each entry, the element of S with its low d bits as coefficients.
    fn challenges(bits: &[u64]) -> Vec<Self::Word>;

    /// `sums[r] += sum over g of weights[g] * values[r][g]`, values being columns and weights elements of S.
    fn add_weighted_sums(kernel: Kernel, values: &[Self::Word], weights: &[Self::Word], sums: &mut [Self::Word]);

    /// As [`Extension::add_weighted_sums`], for any elements.
    fn add_multiples(kernel: Kernel, values: &[Self::Word], elements: &[Self::Word], sums: &mut [Self::Word]);

    /// `sum over a of factors[a] * rows[a][g]` for every base value of every column g: [`Extension::LANES`] elements a
    /// column.
    fn lift(kernel: Kernel, rows: &[Self::Word], factors: &[Self::Word]) -> Vec<Self::Word>;

    /// Multiplies lane b of column g by `weights[g] * X^b`. The weights are elements of S.
    fn weigh(kernel: Kernel, elements: &mut [Self::Word], weights: &[Self::Word]);

    /// `sum += sum over i of x[i] * y[i]`.
    fn add_inner(kernel: Kernel, x: &[Self::Word], y: &[Self::Word], sum: &mut [Self::Word]);

    /// `sum over a of factors[a] * rows[a][i]` for every i.
    fn fold(kernel: Kernel, rows: &[Self::Word], factors: &[Self::Word]) -> Vec<Self::Word>;

    /// The product of two elements.
    fn mul(kernel: Kernel, a: &[Self::Word], b: &[Self::Word]) -> Vec<Self::Word> {
        let mut product = vec![Self::Word::ZERO; Self::WORDS];
        Self::add_inner(kernel, a, b, &mut product);
        product
    }

    /// The element 1.
    fn one() -> Vec<Self::Word> {
        Self::challenges(&[1])
    }
}

/// Elementwise sum.
pub(crate) fn add<E: Extension>(a: &[E::Word], b: &[E::Word]) -> Vec<E::Word> {
    a.iter().zip(b).map(|(&a, &b)| E::Domain::add(a, b)).collect()
}

/// Elementwise difference.
pub(crate) fn sub<E: Extension>(a: &[E::Word], b: &[E::Word]) -> Vec<E::Word> {
    a.iter().zip(b).map(|(&a, &b)| E::Domain::sub(a, b)).collect()
}

#[cfg(test)]
mod tests;
