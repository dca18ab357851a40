//! Elementwise claims before they are lifted: base values are multiplied at many points of their extension, while that is cheap.
//!
//! Claim a G + g stands in row a and column g of 2^l rows of G columns. For weights w_g from S, and for every row,
//! C_a = sum_g w_g z_ag is to be sum_g w_g x_ag y_ag. With X(e, g), Y(e, g) the multilinear extensions of the rows,
//! T(e) = sum_g w_g X(e, g) Y(e, g) is a table of products of base values, and T(a) = C_a on the cube if the claims hold.
//! The terms of a claim with several, z = x_1 y_1 + .. + x_t y_t, stand beside each other in columns of the same weight, and z in the
//! first of them.
//! [`Binding`] takes it from there, the rows of the second step joined by weights u_b from S; what remains is
//! <w X(t), Y(t)> = c, G elements of E long. Source: small-value sum-check as in [`table`](super::table).

use super::binding::{Binding, Claimed, outer_sums};
use super::elementwise::{Elementwise, Products};
use super::table::{beyond_cube, extend, factors, from_rows};
use super::{Pair, draw};
use crate::kernel::Kernel;
use crate::kernel::extension::Extension;
use crate::link::coin::Coin;
use crate::ring::Word;

/// The operands, in rows, and the weights of their columns.
pub(super) struct Columns<E: Extension> {
    x: Pair<E::Word>,
    y: Pair<E::Word>,
    weights: Vec<E::Word>,
}

/// Columns that are multiplied at a time, so that 3^l rows of them stay in the second-level cache.
const STRIPE: usize = 64;

/// The most variables, and the least columns as a power of two that are worth another variable.
const MOST_LEVELS: usize = 6;
const LEAST_COLUMNS: usize = 5;

impl<E: Extension> Columns<E> {
    /// Draws the weights, and computes the table.
    pub(super) fn new(kernel: Kernel, coin: &mut Coin, claims: Elementwise<E>) -> (Self, Binding<E>) {
        let levels = (claims.len().ilog2() as usize).saturating_sub(LEAST_COLUMNS).clamp(1, MOST_LEVELS);
        let rows = 1 << levels;
        let (mut weights, mut widths) = (Vec::new(), Vec::new());
        for (&terms, products) in &claims.by_terms {
            let claims = (products.x[0].len() / terms).div_ceil(rows);
            let of_claims = draw::<E>(coin, claims);
            weights.extend(of_claims.chunks_exact(E::WORDS).flat_map(|weight| weight.repeat(terms)));
            widths.push(claims * terms);
        }
        let pair = |of: fn(&Products<E>) -> &Pair<E::Word>| {
            let component = |i: usize| claims.by_terms.values().map(move |products| of(products)[i].as_slice());
            [0, 1].map(|i| in_rows(rows, component(i).zip(widths.iter().copied())))
        };
        let this = Self { x: pair(|products| &products.x), y: pair(|products| &products.y), weights };
        let sums = pair(|products| &products.z).map(|z| {
            let mut sums = vec![E::Word::ZERO; rows * E::WORDS];
            E::add_weighted_sums(kernel, &z, &this.weights, &mut sums);
            sums
        });

        let [first, second] = [levels.div_ceil(2), levels / 2];
        let outer = [E::one(), draw::<E>(coin, (1 << second) - 1)].concat();
        let row_sums = |sums| outer_sums::<E>(kernel, &outer, sums, 1 << second, (0..1 << second).collect());
        let claimed = Claimed::Rows([row_sums(&sums[0]), row_sums(&sums[1])]);
        // The own components of C are an additive sharing of it.
        let table = from_rows::<E>(levels, &this.beyond_cube(kernel, levels), &sums[0]);
        (this, Binding { kernel, levels: [first, second], table, outer, claimed, point: Vec::new() })
    }

    /// p = w X(t), q = Y(t), and c, where p and c are multiplied by `weight`.
    pub(super) fn lift(self, binding: Binding<E>, weight: &[E::Word]) -> [Pair<E::Word>; 3] {
        let kernel = binding.kernel;
        let factors = factors::<E>(kernel, &binding.point);
        let weighted = E::fold(kernel, &factors, weight);
        let mut p = self.x.map(|x| E::lift(kernel, &x, &weighted));
        p.iter_mut().for_each(|p| E::weigh(kernel, p, &self.weights));
        [p, self.y.map(|y| E::lift(kernel, &y, &factors)), binding.into_sum(weight)]
    }

    /// This party's additive part of T beyond the cube.
    fn beyond_cube(&self, kernel: Kernel, levels: usize) -> Vec<E::Word> {
        let columns = self.weights.len() / E::WORDS;
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
            extend::<E::Domain, _, 4>(kernel, operands, levels, |point, [x0, x1, y0, y1]| {
                if let Some(row) = index[point] {
                    let to = &mut products[row * width..][..width];
                    kernel.cross_product_into::<E::Domain, _>([x0, x1], [y0, y1], to);
                }
            });
            let weights = &self.weights[first * E::WORDS..][..width * E::WORDS];
            E::add_weighted_sums(kernel, &products[..beyond.len() * width], weights, &mut table);
        }
        table
    }
}

/// Groups of values side by side in rows, each row with the next values of every group, as many as the group is wide, or zeros.
fn in_rows<'a, W: Word>(rows: usize, groups: impl Iterator<Item = (&'a [W], usize)> + Clone) -> Vec<W> {
    let columns: usize = groups.clone().map(|(_, width)| width).sum();
    let mut all = Vec::with_capacity(rows * columns);
    for a in 0..rows {
        for (values, width) in groups.clone() {
            let filled = all.len() + width;
            all.extend_from_slice(&values[values.len().min(a * width)..values.len().min((a + 1) * width)]);
            all.resize(filled, W::ZERO);
        }
    }
    all
}
