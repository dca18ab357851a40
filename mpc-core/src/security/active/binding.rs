//! Binding the first variables of an inner product in two steps, while operands are base values.
//!
//! Additively shared is a table T of an inner product's values on {0, 1, infinity}^l. The l variables are bound in two
//! steps, so that 3^(l/2) entries travel twice instead of 3^l once. The variables of the second step, b, have weights
//! u_b, u_0 = 1, until they are bound:
//!
//! 1. The first table is sum_b u_b T(e, b). Either each of its values on the cube is claimed ([`Claimed::Rows`]), or
//!    their sum; the rest is reshared. Bound to t.
//! 2. The second table is T(t, e). Claimed is sum_b u_b T(t, b), the value of the first table at t. All but T(t, 0) is
//!    reshared. Bound to t'.

use super::Pair;
use super::table::{beyond_cube, cube, from_rows, from_sum, interpolate};
use crate::kernel::Kernel;
use crate::kernel::extension::Extension;

/// How far the variables are bound.
pub(super) struct Binding<E: Extension> {
    pub(super) kernel: Kernel,
    /// Variables of the first and of the second step.
    pub(super) levels: [usize; 2],
    /// This party's additive part of T.
    pub(super) table: Vec<E::Word>,
    /// u_b.
    pub(super) outer: Vec<E::Word>,
    /// What the parties hold of the value of the current table.
    pub(super) claimed: Claimed<E>,
    /// The challenges so far.
    pub(super) point: Vec<Vec<E::Word>>,
}

/// What is known of a table because of the claims.
pub(super) enum Claimed<E: Extension> {
    /// Each value on the cube.
    Rows(Pair<E::Word>),
    /// Their weighted sum.
    Sum(Pair<E::Word>),
}

impl<E: Extension> Binding<E> {
    /// Whether all variables are bound.
    pub(super) fn is_complete(&self) -> bool {
        self.point.len() == self.levels[0] + self.levels[1]
    }

    /// How many variables the step binds.
    pub(super) fn levels(&self) -> usize {
        if self.point.is_empty() { self.levels[0] } else { self.levels[1] }
    }

    /// This party's additive part of what is to be reshared for the step.
    pub(super) fn parts(&self) -> Vec<E::Word> {
        let table = if self.point.is_empty() {
            let second = self.levels[1];
            outer_sums::<E>(self.kernel, &self.outer, &self.table, 3usize.pow(second as u32), cube(second))
        } else {
            interpolate::<E>(self.kernel, self.table.clone(), &self.point)
        };
        let points = match &self.claimed {
            Claimed::Rows(_) => beyond_cube(self.levels()),
            Claimed::Sum(_) => (1..3usize.pow(self.levels() as u32)).collect(),
        };
        points.into_iter().flat_map(|e| &table[e * E::WORDS..][..E::WORDS]).copied().collect()
    }

    /// Elements of [`Binding::parts`].
    pub(super) fn count(&self) -> usize {
        let all = 3usize.pow(self.levels() as u32);
        match &self.claimed {
            Claimed::Rows(_) => all - (1 << self.levels()),
            Claimed::Sum(_) => all - 1,
        }
    }

    /// Binds the variables of the step to `point`, with what was reshared.
    pub(super) fn bind(&mut self, entries: [&[E::Word]; 2], point: Vec<Vec<E::Word>>) {
        let levels = self.levels();
        let ones = E::one().repeat(1 << levels);
        let weights = if self.point.is_empty() { &ones } else { &self.outer };
        let whole = |i: usize| match &self.claimed {
            Claimed::Rows(rows) => from_rows::<E>(levels, entries[i], &rows[i]),
            Claimed::Sum(c) => from_sum::<E>(self.kernel, levels, entries[i], &c[i], weights),
        };
        let value = [0, 1].map(|i| interpolate::<E>(self.kernel, whole(i), &point));
        self.claimed = Claimed::Sum(value);
        self.point.extend(point);
    }

    /// What is left of the claim, multiplied by `weight`.
    ///
    /// # Panics
    /// If nothing was bound.
    pub(super) fn into_sum(self, weight: &[E::Word]) -> Pair<E::Word> {
        match self.claimed {
            Claimed::Sum(c) => c.map(|c| E::mul(self.kernel, &c, weight)),
            Claimed::Rows(_) => unreachable!("a step leaves a sum"),
        }
    }
}

/// The weighted sum of the entries at `positions`, for each row of `width` elements.
pub(super) fn outer_sums<E: Extension>(
    kernel: Kernel,
    weights: &[E::Word],
    elements: &[E::Word],
    width: usize,
    positions: Vec<usize>,
) -> Vec<E::Word> {
    let column = |b: usize| elements[b * E::WORDS..].chunks(width * E::WORDS).flat_map(|row| &row[..E::WORDS]);
    let columns: Vec<_> = positions.into_iter().flat_map(column).copied().collect();
    E::fold(kernel, &columns, weights)
}
