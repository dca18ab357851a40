//! Elementwise claims of a batch, gathered.

use std::ops::Range;

use super::Pair;
use crate::kernel::extension::Extension;
use crate::ring::Word;
use crate::security::Operands;
use crate::sharing::slice;

/// Elementwise claims z = x y over the base ring of E.
pub(super) struct Elementwise<E: Extension> {
    pub(super) x: Pair<E::Word>,
    pub(super) y: Pair<E::Word>,
    pub(super) z: Pair<E::Word>,
}

impl<E: Extension> Elementwise<E> {
    pub(super) fn new() -> Self {
        let pair = || [Vec::new(), Vec::new()];
        Self { x: pair(), y: pair(), z: pair() }
    }

    pub(super) fn len(&self) -> usize {
        self.x[0].len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the claims at `range` of some that were made modulo 2^w: as `(2^(W-w) x) y = 2^(W-w) z` modulo 2^W they say the same.
    pub(super) fn push<W: Word>(&mut self, claims: &Operands<E::Domain, W>, range: Range<usize>) {
        let shift = E::Word::BITS - W::BITS;
        for (columns, share, shift) in
            [(&mut self.x, &claims.x, shift), (&mut self.y, &claims.y, 0), (&mut self.z, &claims.z, shift)]
        {
            for (column, component) in columns.iter_mut().zip([share.own(), share.next()]) {
                let words = slice(component)[range.clone()].iter();
                column.extend(words.map(|word| E::Word::from_u64(word.to_u64()).shl(shift)));
            }
        }
    }
}
