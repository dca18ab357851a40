//! Elementwise claims of a batch.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::kernel::extension::Extension;
use crate::ring::{Domain, Word};
use crate::security::Operands;
use crate::sharing::{Share, slice};

/// What is claimed of elementwise products over the base ring of E.
type Products<E> = Operands<<E as Extension>::Domain, <E as Extension>::Word>;

/// One of its three shares.
pub(super) type Operand<E> = fn(&Products<E>) -> &Share<<E as Extension>::Domain, <E as Extension>::Word>;

/// Some claims, and which of them are in the batch.
type Part<E> = (Products<E>, Range<usize>);

/// Elementwise claims z = x_1 y_1 + .. + x_t y_t over the base ring of E, by reference to the shares that they are
/// about.
pub(super) struct Elementwise<E: Extension> {
    /// By their number of terms t.
    groups: BTreeMap<usize, Vec<Part<E>>>,
}

/// How many terms each of these claims has.
pub(super) fn terms<D: Domain, W: Word>(claims: &Operands<D, W>) -> usize {
    claims.x.len().checked_div(claims.z.len()).unwrap_or(1)
}

impl<E: Extension> Elementwise<E> {
    pub(super) fn new() -> Self {
        Self { groups: BTreeMap::new() }
    }

    /// The number of products.
    pub(super) fn len(&self) -> usize {
        self.claims().map(|(terms, claims)| terms * claims).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each number of terms, how many claims have it.
    pub(super) fn claims(&self) -> impl Iterator<Item = (usize, usize)> {
        self.groups.iter().map(|(&terms, claims)| (terms, claims.iter().map(|(_, range)| range.len()).sum()))
    }

    /// Adds the claims at `range`.
    pub(super) fn push(&mut self, claims: &Products<E>, range: Range<usize>) {
        self.groups.entry(terms(claims)).or_default().push((claims.clone(), range));
    }

    /// As [`Elementwise::push`], for claims modulo 2^w: as `(2^(W-w) x) y = 2^(W-w) z` modulo 2^W they say the same.
    pub(super) fn push_narrower<W: Word>(&mut self, claims: &Operands<E::Domain, W>, range: Range<usize>) {
        let widened = |share: &Share<E::Domain, W>, shift| {
            share.map(|words| words.mapv(|word| E::Word::from_u64(word.to_u64()).shl(shift)).into_shared())
        };
        let shift = E::Word::BITS - W::BITS;
        let Operands { x, y, z } = claims;
        self.push(&Operands { x: widened(x, shift), y: widened(y, 0), z: widened(z, shift) }, range);
    }

    /// Writes both components of an operand, in term `term` of the claims with `terms` terms, from claim `start` on,
    /// and zeros after the last claim.
    pub(super) fn read(
        &self,
        operand: Operand<E>,
        (terms, term): (usize, usize),
        mut start: usize,
        [mut own, mut next]: [&mut [E::Word]; 2],
    ) {
        for (claims, range) in &self.groups[&terms] {
            let from = range.start + start.min(range.len());
            let end = range.end.min(from + own.len());
            start -= from - range.start;
            let (share, first) = (operand(claims), term * claims.z.len());
            for (to, component) in [(&mut own, share.own()), (&mut next, share.next())] {
                let (words, rest) = std::mem::take(to).split_at_mut(end - from);
                words.copy_from_slice(&slice(component)[first + from..first + end]);
                *to = rest;
            }
        }
        [own, next].into_iter().for_each(|rest| rest.fill(E::Word::ZERO));
    }
}
