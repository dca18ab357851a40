//! Which of several numbers is the largest, for many groups of numbers at once.
//!
//! Pi holds (x_i, x_{i+1}) of m candidates, each a row of n numbers.
//!
//! 1. ... All pairs at once: l_ab = 1 where x_a < x_b, for a < b ([`msb`] of the difference).
//! 2. ... A candidate wins that loses no pair: for each candidate a tree of ands over its m - 1 pairs, ceil(log2(m -
//!    1)) rounds.
//!
//! Equal numbers go to the lower candidate, so exactly one wins. Nobody needs to know whether the first one does: where
//! no other wins, it has. m (m - 1) / 2 comparisons in one level. Larger sets are searched in [`Levels`]: the winners
//! of groups meet in the next level. Private because its parts are and nothing is opened.

use std::fmt;

use super::bits::{pack, unpack};
use super::compare::{self, msb};
use super::cost::Cost;
use super::product::mul;
use crate::error::Result;
use crate::party::Party;
use crate::ring::{Boolean, Tensor, Word};
use crate::role::Role;
use crate::sharing::{ArithmeticShare, BitShare, Share, gather, slice, tensor};

/// The plan of a maximum of n candidates: each level has a group size, and compares all pairs of a group at once. Fewer
/// levels take fewer rounds and more comparisons.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Levels {
    candidates: usize,
    sizes: Vec<usize>,
}

impl Levels {
    /// The smallest groups that make do with so many levels, which may turn out to be fewer.
    ///
    /// # Panics
    /// If there is no candidate or no level.
    pub fn new(candidates: usize, levels: usize) -> Self {
        assert!(candidates > 0 && levels > 0, "a maximum has candidates and levels");
        let suffices = |size: &usize| size.checked_pow(levels as u32).is_none_or(|most| most >= candidates);
        let size = (1..).find(suffices).unwrap_or(candidates);
        let (mut sizes, mut left) = (Vec::new(), candidates);
        while left > 1 {
            sizes.push(size.min(left));
            left = left.div_ceil(size);
        }
        Self { candidates, sizes }
    }

    /// Two by two: the fewest comparisons.
    pub fn tournament(candidates: usize) -> Self {
        Self::new(candidates, candidates.next_power_of_two().ilog2().max(1) as usize)
    }

    /// All pairs at once: the fewest rounds.
    pub fn all_pairs(candidates: usize) -> Self {
        Self::new(candidates, 1)
    }

    /// All ways to search among so many in groups of at most `group`.
    pub(crate) fn options(candidates: usize, group: usize) -> impl Iterator<Item = Self> {
        let most = Self::tournament(candidates).sizes().len().max(1);
        let levels = (1..=most).map(move |levels| Self::new(candidates.max(1), levels));
        levels.filter(move |levels| levels.sizes().iter().all(|&size| size <= group))
    }

    /// Most comparisons at once for one winner among so many, in groups of at most `group`.
    pub(crate) fn most_comparisons(candidates: usize, group: usize) -> u64 {
        let group = candidates.clamp(1, group) as u64;
        (candidates as u64).div_ceil(group).saturating_mul(group * (group - 1) / 2)
    }

    /// The number of candidates.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// Size of the groups of each level; none where there is one candidate.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.sizes.iter().map(usize::to_string).collect();
        write!(f, "{} candidates in groups of {}", self.candidates, sizes.join(", then "))
    }
}

/// For each candidate but the first one and each column of `[m, n]`, whether it is the largest there: one plane of (m -
/// 1) n bits. The difference of two candidates is less than 2^(k-1).
///
/// # Panics
/// If `candidates` is no matrix of two rows or more, or k exceeds the word.
pub fn winners<W: Word>(party: &mut Party, candidates: &ArithmeticShare<W>, k: u32) -> Result<BitShare> {
    let &[m, n] = candidates.shape() else { panic!("candidates are rows") };
    let pairs: Vec<(usize, usize)> = (0..m).flat_map(|a| (a + 1..m).map(move |b| (a, b))).collect();
    let differences = candidates.map(|t| {
        let row = |candidate: usize| &slice(t)[candidate * n..][..n];
        let pairs = pairs.iter().flat_map(|&(a, b)| row(a).iter().zip(row(b)));
        tensor(&[pairs.clone().count()], pairs.map(|(&a, &b)| a.wrapping_sub(b)).collect())
    });
    let less = msb(party, &differences, k)?;
    if m == 2 {
        return Ok(less);
    }
    let less = unpack::<u8>(party.kernel(), &less, pairs.len() * n);
    let mut wins = duels(party.role(), &less, m, n);
    let (mut factors, length) = (m - 1, (m - 1) * n);
    while factors > 1 {
        let half = factors / 2;
        let part = |from: usize, to: usize| {
            wins.map(|t| tensor(&[(to - from) * length], slice(t)[from * length..to * length].to_vec()))
        };
        let (left, right) = (pack(party.kernel(), &part(0, half)), pack(party.kernel(), &part(half, 2 * half)));
        let joined = unpack::<u8>(party.kernel(), &mul(party, &left, &right)?, half * length);
        let rest = part(2 * half, factors);
        wins = joined.zip(&rest, |a, b| gather(&[a.len() + b.len()], [slice(a), slice(b)].into_iter()));
        factors -= half;
    }
    Ok(pack(party.kernel(), &wins))
}

/// Cost of [`winners`] of m candidates in n columns.
pub(super) fn cost(m: usize, n: usize, k: u32) -> Cost {
    let mut cost = compare::cost(m * (m - 1) / 2 * n, k);
    let mut factors = m - 1;
    while factors > 1 {
        cost += Cost::planes(1, factors / 2 * (m - 1) * n);
        factors -= factors / 2;
    }
    cost
}

/// Whether candidate 1 + c beats its f-th opponent in column e, at position `[f, c, e]`: `less`, `[pair, e]`, or its
/// complement.
fn duels(role: Role, less: &Share<Boolean, u8>, m: usize, n: usize) -> Share<Boolean, u8> {
    // Pair (a, b), a < b, in the order of enumeration.
    let pair = |a: usize, b: usize| a * (2 * m - a - 1) / 2 + b - a - 1;
    let duels = (0..m - 1).flat_map(|f| (1..m).map(move |c| (c, if f < c { f } else { f + 1 })));
    let duels: Vec<(usize, u8)> = duels.map(|(c, j)| if c < j { (pair(c, j), 1) } else { (pair(j, c), 0) }).collect();
    let rows = |t: &Tensor<u8>| gather(&[duels.len() * n], duels.iter().map(|&(pair, _)| &slice(t)[pair * n..][..n]));
    let complement = duels.iter().flat_map(|&(_, flip)| std::iter::repeat_n(flip, n)).collect();
    less.map(rows).add(&Share::public(role, &tensor(&[duels.len() * n], complement)))
}
