//! Elementwise claims, laid out for the check: columns of base values.

use std::ops::Range;

use super::table::{cube, extend};
use super::{Pair, draw};
use crate::kernel::Kernel;
use crate::kernel::extension::Extension;
use crate::link::coin::Coin;
use crate::ring::Word;
use crate::security::Operands;
use crate::sharing::slice;

/// Elementwise claims z = x y. While they are checked, claim a G + g stands in row a, column g, of 2^levels rows of G.
pub(super) struct Columns<E: Extension> {
    x: Pair<E::Word>,
    y: Pair<E::Word>,
    z: Pair<E::Word>,
    weights: Vec<E::Word>,
    levels: usize,
}

/// Columns that are multiplied at a time, so that 3^l rows of them stay in the second-level cache.
const STRIPE: usize = 64;

/// The most variables bound at once.
const MAX_LEVELS: usize = 5;

impl<E: Extension> Columns<E> {
    pub(super) fn new() -> Self {
        let pair = || [Vec::new(), Vec::new()];
        Self { x: pair(), y: pair(), z: pair(), weights: Vec::new(), levels: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.x[0].len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many variables number the rows; set by [`Columns::weigh`].
    pub(super) fn levels(&self) -> usize {
        self.levels
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

    /// Draws a weight for each column. Returns C_a, the weighted sum of row a of z, for each a.
    pub(super) fn weigh(&mut self, kernel: Kernel, coin: &mut Coin) -> Pair<E::Word> {
        let bytes = |levels: usize| 3usize.pow(levels as u32) * E::WORDS * size_of::<E::Word>();
        // A table should not cost more traffic than two bytes a word.
        self.levels = (1..MAX_LEVELS).rev().find(|&l| bytes(l + 1) <= 2 * self.len()).map_or(1, |l| l + 1);
        let rows = 1 << self.levels;
        let columns = self.len().div_ceil(rows);
        for operand in [&mut self.x, &mut self.y, &mut self.z] {
            operand.iter_mut().for_each(|component| component.resize(rows * columns, E::Word::ZERO));
        }
        self.weights = draw::<E>(coin, columns);
        std::mem::take(&mut self.z).map(|z| {
            let mut sums = vec![E::Word::ZERO; rows * E::WORDS];
            E::add_weighted_sums(kernel, &z, &self.weights, &mut sums);
            sums
        })
    }

    /// This party's additive part of the table of sum_g w_g X(e, g) Y(e, g), without the points of the cube, where it is C.
    pub(super) fn table(&self, kernel: Kernel) -> Vec<E::Word> {
        let columns = self.len() >> self.levels;
        let index = positions_beyond(self.levels);
        let beyond = index.iter().flatten().count();
        let mut table = vec![E::Word::ZERO; beyond * E::WORDS];
        let mut products = vec![E::Word::ZERO; beyond * STRIPE];
        let mut stripes = [(); 4].map(|()| vec![E::Word::ZERO; STRIPE << self.levels]);
        for first in (0..columns).step_by(STRIPE) {
            let width = STRIPE.min(columns - first);
            for (stripe, component) in stripes.iter_mut().zip(self.x.iter().chain(&self.y)) {
                for (to, row) in stripe.chunks_exact_mut(width).zip(component.chunks_exact(columns)) {
                    to.copy_from_slice(&row[first..][..width]);
                }
            }
            let operands = stripes.each_ref().map(|stripe| &stripe[..width << self.levels]);
            extend::<E::Domain, _, 4>(operands, self.levels, |point, [x0, x1, y0, y1]| {
                if let Some(row) = index[point] {
                    kernel.cross_product_into::<E::Domain, _>(
                        [x0, x1],
                        [y0, y1],
                        &mut products[row * width..][..width],
                    );
                }
            });
            let weights = &self.weights[first * E::WORDS..][..width * E::WORDS];
            E::add_weighted_sums(kernel, &products[..beyond * width], weights, &mut table);
        }
        table
    }

    /// The vectors p = w X(t) and q = Y(t), whose inner product is what the table says at t. `factors` belong to t.
    pub(super) fn lift(&self, kernel: Kernel, factors: &[E::Word]) -> [Pair<E::Word>; 2] {
        let mut p = self.x.each_ref().map(|x| E::lift(kernel, x, factors));
        p.iter_mut().for_each(|p| E::weigh(kernel, p, &self.weights));
        [p, self.y.each_ref().map(|y| E::lift(kernel, y, factors))]
    }
}

/// For each point of a table, its position among those beyond the cube.
pub(super) fn positions_beyond(levels: usize) -> Vec<Option<usize>> {
    let cube = cube(levels);
    let mut positions = 0..;
    let position = |point| if cube.binary_search(&point).is_ok() { None } else { positions.next() };
    (0..3usize.pow(levels as u32)).map(position).collect()
}
