//! A compressed matrix product whose one side has few rows: that side stays base values for the first variables.
//!
//! The claim is sum_j s_j <v_j, u> = c, for J rows v_j of base values, weights s_j of E and a vector u over E, all k
//! long. Cut into 2^l blocks, V_j and U are their extensions, and T(e) = sum_j s_j <V_j(e), U(e)> costs J words times
//! elements where a product of elements costs d. [`Binding`] takes it from there; what remains is <sum_j s_j V_j(t),
//! U(t)> = c, k / 2^l long.

use super::Pair;
use super::binding::{Binding, Claimed};
use super::table::{extend, factors};
use crate::kernel::Kernel;
use crate::kernel::extension::{Extension, add};
use crate::ring::Word;

/// Whether the traffic saved exceeds its cost for that many rows of that length; otherwise the rows are compressed to
/// one.
pub(super) fn is_worth(rows: usize, length: usize) -> bool {
    rows <= 16 && length >= 128
}

/// Variables that are bound, half of them in each step: more would cost more in extending u than they save.
const LEVELS: usize = 4;

/// The rows, block by block, their weights, and the vector.
pub(super) struct Mixed<E: Extension> {
    rows: Pair<E::Word>,
    weights: Vec<E::Word>,
    vector: Pair<E::Word>,
}

impl<E: Extension> Mixed<E> {
    /// Pads and cuts the operands, and computes the table. `rows` are `[J, k]`.
    pub(super) fn new(
        kernel: Kernel,
        rows: Pair<E::Word>,
        weights: Vec<E::Word>,
        mut vector: Pair<E::Word>,
        c: Pair<E::Word>,
    ) -> (Self, Binding<E>) {
        let k = vector[0].len() / E::WORDS;
        let block = k.div_ceil(1 << LEVELS);
        let rows = rows.map(|rows| {
            let blocks = (0..1 << LEVELS).flat_map(|a| {
                let cut = move |row: &[E::Word]| {
                    let mut cut = row[k.min(a * block)..k.min((a + 1) * block)].to_vec();
                    cut.resize(block, E::Word::ZERO);
                    cut
                };
                rows.chunks_exact(k).flat_map(cut).collect::<Vec<_>>()
            });
            blocks.collect()
        });
        vector.iter_mut().for_each(|vector| vector.resize((block << LEVELS) * E::WORDS, E::Word::ZERO));
        let this = Self { rows, weights, vector };
        let levels = [LEVELS.div_ceil(2), LEVELS / 2];
        let (table, outer) = (this.table(kernel, block), E::one().repeat(1 << levels[1]));
        (this, Binding { kernel, levels, table, outer, claimed: Claimed::Sum(c), point: Vec::new() })
    }

    /// p = sum_j s_j V_j(t), q = U(t), and c, where p and c are multiplied by `weight`.
    pub(super) fn lift(self, binding: Binding<E>, weight: &[E::Word]) -> [Pair<E::Word>; 3] {
        let kernel = binding.kernel;
        let factors = factors::<E>(kernel, &binding.point);
        let weights = E::fold(kernel, &self.weights, weight);
        let weighted = |factor| weights.chunks_exact(E::WORDS).flat_map(move |w| E::mul(kernel, factor, w));
        let weighted: Vec<_> = factors.chunks_exact(E::WORDS).flat_map(weighted).collect();
        let p = self.rows.map(|rows| E::lift(kernel, &rows, &weighted));
        let q = self.vector.map(|vector| E::fold(kernel, &vector, &factors));
        [p, q, binding.into_sum(weight)]
    }

    /// This party's additive part of T.
    fn table(&self, kernel: Kernel, block: usize) -> Vec<E::Word> {
        let mut table = vec![E::Word::ZERO; 3usize.pow(LEVELS as u32) * E::WORDS];
        let mut products = vec![E::Word::ZERO; self.weights.len()];
        let [u0, u1] = &self.vector;
        let polynomials = [&self.rows[0][..], &self.rows[1], &add::<E>(u0, u1), u0];
        extend::<E::Domain, _, 4>(kernel, polynomials, LEVELS, |point, [v0, v1, sum, u0]| {
            debug_assert_eq!(u0.len(), block * E::WORDS);
            products.fill(E::Word::ZERO);
            E::add_multiples(kernel, v0, sum, &mut products);
            E::add_multiples(kernel, v1, u0, &mut products);
            E::add_inner(kernel, &products, &self.weights, &mut table[point * E::WORDS..][..E::WORDS]);
        });
        table
    }
}
