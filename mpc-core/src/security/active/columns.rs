//! Elementwise claims before they are lifted: base values are multiplied at many points of their extension, while that is cheap.
//!
//! Claim a G + g stands in row a and column g of 2^l rows of G columns. For weights w_g from S, and for every row,
//! C_a = sum_g w_g z_ag is to be sum_g w_g x_ag y_ag. With X(e, g), Y(e, g) the multilinear extensions of the rows,
//! T(e) = sum_g w_g X(e, g) Y(e, g) is a table of products of base values, and T(a) = C_a on the cube if the claims hold.
//!
//! The l variables are bound in two steps, so that 3^(l/2) entries travel twice instead of 3^l once. The last variables, b, get weights
//! u_b from S, u_0 = 1, until they are bound:
//!
//! 1. First table: sum_b u_b T(e, b). On the cube it is sum_b u_b C_ab; the rest is reshared. Bound to t.
//! 2. Second table: T(t, e), where sum_b u_b T(t, b) = c is what step 1 has left. All but T(t, 0) is reshared. Bound to t'.
//!
//! What remains is <w X(t, t'), Y(t, t')> = c, G elements of E long. Source: small-value sum-check as in [`table`](super::table).

use super::elementwise::Elementwise;
use super::table::{beyond_cube, cube, extend, factors, from_rows, from_sum, interpolate};
use super::{Pair, draw};
use crate::kernel::Kernel;
use crate::kernel::extension::Extension;
use crate::link::coin::Coin;
use crate::ring::Word;

/// The claims, and how far they are bound.
pub(super) struct Columns<E: Extension> {
    kernel: Kernel,
    x: Pair<E::Word>,
    y: Pair<E::Word>,
    weights: Vec<E::Word>,
    /// Variables bound in the first and in the second step.
    levels: [usize; 2],
    /// This party's additive part of T.
    table: Vec<E::Word>,
    /// u_b.
    outer: Vec<E::Word>,
    /// sum_b u_b C_ab for every a, then c.
    claimed: Pair<E::Word>,
    /// The challenges so far.
    point: Vec<Vec<E::Word>>,
}

/// Columns that are multiplied at a time, so that 3^l rows of them stay in the second-level cache.
const STRIPE: usize = 64;

/// The most variables, and the least columns as a power of two that are worth another variable.
const MOST_LEVELS: usize = 6;
const LEAST_COLUMNS: usize = 5;

impl<E: Extension> Columns<E> {
    /// Draws the weights, and computes the table.
    pub(super) fn new(kernel: Kernel, coin: &mut Coin, claims: Elementwise<E>) -> Self {
        let levels = (claims.len().ilog2() as usize).saturating_sub(LEAST_COLUMNS).clamp(1, MOST_LEVELS);
        let rows = 1 << levels;
        let columns = claims.len().div_ceil(rows);
        let levels = [levels.div_ceil(2), levels / 2];
        let weights = draw::<E>(coin, columns);
        let outer = [E::one(), draw::<E>(coin, (1 << levels[1]) - 1)].concat();

        let pad = |mut component: Vec<E::Word>| {
            component.resize(rows * columns, E::Word::ZERO);
            component
        };
        let Elementwise { x, y, z } = claims;
        let sums = z.map(|z| {
            let mut sums = vec![E::Word::ZERO; rows * E::WORDS];
            E::add_weighted_sums(kernel, &pad(z), &weights, &mut sums);
            sums
        });
        let mut this = Self {
            kernel,
            x: x.map(pad),
            y: y.map(pad),
            weights,
            levels,
            table: Vec::new(),
            outer,
            claimed: [Vec::new(), Vec::new()],
            point: Vec::new(),
        };
        let width = 1 << levels[1];
        this.claimed = sums.each_ref().map(|sums| this.outer_sums(sums, width, 0..width));
        // The own components of C are an additive sharing of it.
        this.table = from_rows::<E>(levels[0] + levels[1], &this.beyond_cube(), &sums[0]);
        this
    }

    /// Whether all variables are bound.
    pub(super) fn is_bound(&self) -> bool {
        self.point.len() == self.levels[0] + self.levels[1]
    }

    /// How many variables the next step binds, and this party's part of what is to be reshared for it.
    pub(super) fn parts(&self) -> (usize, Vec<E::Word>) {
        let [first, second] = self.levels;
        if self.point.is_empty() {
            let sums = self.outer_sums(&self.table, 3usize.pow(second as u32), cube(second).into_iter());
            let beyond = beyond_cube(first);
            (first, beyond.into_iter().flat_map(|e| &sums[e * E::WORDS..][..E::WORDS]).copied().collect())
        } else {
            (second, interpolate::<E>(self.kernel, self.table.clone(), &self.point)[E::WORDS..].to_vec())
        }
    }

    /// The whole table of the step, from what was reshared.
    pub(super) fn complete(&self, entries: Pair<E::Word>) -> Pair<E::Word> {
        let [first, second] = self.levels;
        let [own, next] = entries;
        let complete = |entries: Vec<E::Word>, claimed: &[E::Word]| {
            if self.point.is_empty() {
                from_rows::<E>(first, &entries, claimed)
            } else {
                from_sum::<E>(self.kernel, second, &entries, claimed, &self.outer)
            }
        };
        [complete(own, &self.claimed[0]), complete(next, &self.claimed[1])]
    }

    /// Binds the variables of the step.
    pub(super) fn bind(&mut self, table: Pair<E::Word>, point: Vec<Vec<E::Word>>) {
        self.claimed = table.map(|table| interpolate::<E>(self.kernel, table, &point));
        self.point.extend(point);
    }

    /// p = w X(t) and q = Y(t), and c, once all variables are bound.
    pub(super) fn lift(self) -> [Pair<E::Word>; 3] {
        let factors = factors::<E>(self.kernel, &self.point);
        let lift = |rows: &Vec<E::Word>| E::lift(self.kernel, rows, &factors);
        let mut p = self.x.each_ref().map(lift);
        p.iter_mut().for_each(|p| E::weigh(self.kernel, p, &self.weights));
        [p, self.y.each_ref().map(lift), self.claimed]
    }

    /// Of elements in rows of `width`, for every row the weighted sum of the entries at `positions`.
    fn outer_sums(&self, elements: &[E::Word], width: usize, positions: impl Iterator<Item = usize>) -> Vec<E::Word> {
        let column = |b: usize| elements[b * E::WORDS..].chunks(width * E::WORDS).flat_map(|row| &row[..E::WORDS]);
        let columns: Vec<_> = positions.flat_map(column).copied().collect();
        E::fold(self.kernel, &columns, &self.outer)
    }

    /// This party's additive part of T beyond the cube.
    fn beyond_cube(&self) -> Vec<E::Word> {
        let (levels, columns) = (self.levels[0] + self.levels[1], self.weights.len() / E::WORDS);
        let mut index = vec![None; 3usize.pow(levels as u32)];
        let beyond = beyond_cube(levels);
        beyond.iter().enumerate().for_each(|(row, &point)| index[point] = Some(row));
        let mut table = vec![E::Word::ZERO; beyond.len() * E::WORDS];
        let mut products = vec![E::Word::ZERO; beyond.len() * STRIPE];
        let mut stripes = [(); 4].map(|()| vec![E::Word::ZERO; STRIPE << levels]);
        for first in (0..columns).step_by(STRIPE) {
            let width = STRIPE.min(columns - first);
            for (stripe, component) in stripes.iter_mut().zip(self.x.iter().chain(&self.y)) {
                for (to, row) in stripe.chunks_exact_mut(width).zip(component.chunks_exact(columns)) {
                    to.copy_from_slice(&row[first..][..width]);
                }
            }
            let operands = stripes.each_ref().map(|stripe| &stripe[..width << levels]);
            extend::<E::Domain, _, 4>(operands, levels, |point, [x0, x1, y0, y1]| {
                if let Some(row) = index[point] {
                    let to = &mut products[row * width..][..width];
                    self.kernel.cross_product_into::<E::Domain, _>([x0, x1], [y0, y1], to);
                }
            });
            let weights = &self.weights[first * E::WORDS..][..width * E::WORDS];
            E::add_weighted_sums(self.kernel, &products[..beyond.len() * width], weights, &mut table);
        }
        table
    }
}
