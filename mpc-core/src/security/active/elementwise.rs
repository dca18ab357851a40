//! Elementwise claims of a batch, gathered.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Pair;
use crate::kernel::extension::Extension;
use crate::ring::{Domain, Word};
use crate::security::Operands;
use crate::sharing::slice;

/// Elementwise claims z = x_1 y_1 + .. + x_t y_t over the base ring of E, by their number of terms t.
pub(super) struct Elementwise<E: Extension> {
    pub(super) by_terms: BTreeMap<usize, Products<E>>,
}

/// The terms of the first claim, then those of the next one. The first term of each brings z along, the others zero.
pub(super) struct Products<E: Extension> {
    pub(super) x: Pair<E::Word>,
    pub(super) y: Pair<E::Word>,
    pub(super) z: Pair<E::Word>,
}

/// How many terms each of these claims has.
pub(super) fn terms<D: Domain, W: Word>(claims: &Operands<D, W>) -> usize {
    claims.x.len().checked_div(claims.z.len()).unwrap_or(1)
}

impl<E: Extension> Elementwise<E> {
    pub(super) fn new() -> Self {
        Self { by_terms: BTreeMap::new() }
    }

    /// The number of products.
    pub(super) fn len(&self) -> usize {
        self.by_terms.values().map(|products| products.x[0].len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the claims at `range` of some that were made modulo 2^w: as `(2^(W-w) x) y = 2^(W-w) z` modulo 2^W they say the same.
    pub(super) fn push<W: Word>(&mut self, claims: &Operands<E::Domain, W>, range: Range<usize>) {
        let (n, terms, shift) = (claims.z.len(), terms(claims), E::Word::BITS - W::BITS);
        let products = self.by_terms.entry(terms).or_insert_with(Products::new);
        for (columns, share, shift) in
            [(&mut products.x, &claims.x, shift), (&mut products.y, &claims.y, 0), (&mut products.z, &claims.z, shift)]
        {
            for (column, component) in columns.iter_mut().zip([share.own(), share.next()]) {
                let word = |x: &W| E::Word::from_u64(x.to_u64()).shl(shift);
                if terms == 1 {
                    column.extend(slice(component)[range.clone()].iter().map(word));
                    continue;
                }
                let start = column.len();
                column.resize(start + terms * range.len(), E::Word::ZERO);
                for (term, of) in slice(component).chunks_exact(n).enumerate() {
                    let to = column[start + term..].iter_mut().step_by(terms);
                    to.zip(&of[range.clone()]).for_each(|(to, x)| *to = word(x));
                }
            }
        }
    }
}

impl<E: Extension> Products<E> {
    fn new() -> Self {
        let pair = || [Vec::new(), Vec::new()];
        Self { x: pair(), y: pair(), z: pair() }
    }
}
