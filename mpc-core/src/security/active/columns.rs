//! Elementwise claims before they are lifted: base values are multiplied at many points of their extension, while that
//! is cheap.
//!
//! The claims stand in 2^l rows a of G columns g, stripe by stripe of columns, so that a stripe's claims are
//! consecutive. For weights w_g from S, and for every row, C_a = sum_g w_g z_ag is to be sum_g w_g x_ag y_ag. With X(e,
//! g), Y(e, g) the multilinear extensions of the rows, T(e) = sum_g w_g X(e, g) Y(e, g) is a table of products of base
//! values, and T(a) = C_a on the cube if the claims hold. The terms of a claim with several, z = x_1 y_1 + .. + x_t
//! y_t, stand in columns of the same weight, and z in the first of them. [`Binding`] takes it from there, the rows of
//! the second step joined by weights u_b from S; what remains is <w X(t), Y(t)> = c, G elements of E long. Source:
//! small-value sum-check as in [`table`](super::table).

use super::binding::{Binding, Claimed, outer_sums};
use super::elementwise::{Elementwise, Operand};
use super::table::{beyond_cube, extend, factors, from_rows};
use super::{Pair, draw};
use crate::kernel::Kernel;
use crate::kernel::extension::Extension;
use crate::link::coin::Coin;
use crate::ring::Word;

/// The claims, and the weights of their columns.
pub(super) struct Columns<E: Extension> {
    claims: Elementwise<E>,
    levels: usize,
    /// For each number of terms, the weights of the first terms' columns.
    weights: Vec<(usize, Vec<E::Word>)>,
}

/// Bytes of a row in a stripe of columns: 3^l rows of them stay in the second-level cache.
const STRIPE: usize = 512;

/// The most variables, and the least columns as a power of two that are worth another variable.
const MOST_LEVELS: usize = 6;
const LEAST_COLUMNS: usize = 5;

impl<E: Extension> Columns<E> {
    /// Draws the weights, and computes the table.
    pub(super) fn new(kernel: Kernel, coin: &mut Coin, claims: Elementwise<E>) -> (Self, Binding<E>) {
        let levels = (claims.len().ilog2() as usize).saturating_sub(LEAST_COLUMNS).clamp(1, MOST_LEVELS);
        let draw_weights = |(terms, claims): (usize, usize)| (terms, draw::<E>(coin, claims.div_ceil(1 << levels)));
        let weights = claims.claims().map(draw_weights).collect();
        let this = Self { claims, levels, weights };
        let sums = this.sums(kernel);

        let [first, second] = [levels.div_ceil(2), levels / 2];
        let outer = [E::one(), draw::<E>(coin, (1 << second) - 1)].concat();
        let row_sums = |sums| outer_sums::<E>(kernel, &outer, sums, 1 << second, (0..1 << second).collect());
        let claimed = Claimed::Rows([row_sums(&sums[0]), row_sums(&sums[1])]);
        // The own components of C are an additive sharing of it.
        let table = from_rows::<E>(levels, &this.beyond_cube(kernel), &sums[0]);
        (this, Binding { kernel, levels: [first, second], table, outer, claimed, point: Vec::new() })
    }

    /// p = w X(t), q = Y(t), and c, where p and c are multiplied by `weight`.
    pub(super) fn lift(self, binding: Binding<E>, weight: &[E::Word]) -> [Pair<E::Word>; 3] {
        let kernel = binding.kernel;
        let factors = factors::<E>(kernel, &binding.point);
        let weighted = E::fold(kernel, &factors, weight);
        let p = self.lift_operand(kernel, |claims| &claims.x, &weighted, |p, weights| E::weigh(kernel, p, weights));
        let q = self.lift_operand(kernel, |claims| &claims.y, &factors, |_, _| ());
        [p, q, binding.into_sum(weight)]
    }

    /// The rows of an operand, multiplied by these factors and added up; `finish` gets the sums of a stripe with its
    /// weights.
    fn lift_operand(
        &self,
        kernel: Kernel,
        operand: Operand<E>,
        factors: &[E::Word],
        finish: impl Fn(&mut [E::Word], &[E::Word]),
    ) -> Pair<E::Word> {
        let columns: usize = self.weights.iter().map(|(terms, weights)| terms * weights.len()).sum();
        let mut lifted = [(); 2].map(|()| Vec::with_capacity(columns * E::LANES));
        self.for_each_stripe(
            [operand],
            |terms| terms,
            |weights, [components]| {
                for (lifted, rows) in lifted.iter_mut().zip(components) {
                    let mut sums = E::lift(kernel, rows, factors);
                    finish(&mut sums, weights);
                    lifted.extend(sums);
                }
            },
        );
        lifted
    }

    /// C_a: both components, row by row.
    fn sums(&self, kernel: Kernel) -> Pair<E::Word> {
        let mut sums = [(); 2].map(|()| vec![E::Word::ZERO; E::WORDS << self.levels]);
        self.for_each_stripe(
            [|claims| &claims.z],
            |_| 1,
            |weights, [components]| {
                for (sums, rows) in sums.iter_mut().zip(components) {
                    E::add_weighted_sums(kernel, rows, weights, sums);
                }
            },
        );
        sums
    }

    /// This party's additive part of T beyond the cube.
    fn beyond_cube(&self, kernel: Kernel) -> Vec<E::Word> {
        let mut index = vec![None; 3usize.pow(self.levels as u32)];
        let beyond = beyond_cube(self.levels);
        beyond.iter().enumerate().for_each(|(row, &point)| index[point] = Some(row));
        let mut table = vec![E::Word::ZERO; beyond.len() * E::WORDS];
        let mut products = Vec::new();
        let operands: [Operand<E>; 2] = [|claims| &claims.x, |claims| &claims.y];
        self.for_each_stripe(
            operands,
            |terms| terms,
            |weights, [[x0, x1], [y0, y1]]| {
                let width = weights.len() / E::WORDS;
                products.resize(beyond.len() * width, E::Word::ZERO);
                extend::<E::Domain, _, 4>(kernel, [x0, x1, y0, y1], self.levels, |point, [x0, x1, y0, y1]| {
                    if let Some(row) = index[point] {
                        let to = &mut products[row * width..][..width];
                        kernel.cross_product_into::<E::Domain, _>([x0, x1], [y0, y1], to);
                    }
                });
                E::add_weighted_sums(kernel, &products, weights, &mut table);
            },
        );
        table
    }

    /// Calls `at` with the weights of each stripe of columns and the rows of both components of these operands, for as
    /// many of the terms of a claim as `read` says.
    fn for_each_stripe<const N: usize>(
        &self,
        operands: [Operand<E>; N],
        read: fn(usize) -> usize,
        mut at: impl FnMut(&[E::Word], [[&[E::Word]; 2]; N]),
    ) {
        let columns = STRIPE / size_of::<E::Word>();
        let mut buffers = [(); N].map(|()| [(); 2].map(|()| vec![E::Word::ZERO; columns << self.levels]));
        for (terms, weights) in &self.weights {
            for (stripe, weights) in weights.chunks(columns * E::WORDS).enumerate() {
                let (start, words) = ((stripe * columns) << self.levels, (weights.len() / E::WORDS) << self.levels);
                for term in 0..read(*terms) {
                    for (operand, [own, next]) in operands.iter().zip(&mut buffers) {
                        self.claims.read(*operand, (*terms, term), start, [&mut own[..words], &mut next[..words]]);
                    }
                    at(weights, buffers.each_ref().map(|pair| pair.each_ref().map(|buffer| &buffer[..words])));
                }
            }
        }
    }
}
