//! The carry out of the sum of two numbers whose bits are shared.
//!
//! Pi holds two planes of bits for each position, a and b; g = a & b generates a carry, p = a ^ b passes one on. For a
//! block of positions cut into its top bit t, the bits X below it and the bits Y below those,
//!
//!   G = g_t ^ p_t G_X ^ (p_t P_X) G_Y,
//!
//! three ands in the round after the one in which G_X and G_Y, of up to 2^r - 1 bits each, are known; p_t P_X is known
//! then too, because a product of propagates of 2^r bits takes r rounds. So blocks of 1, 3, 7, 15, .. bits take 1, 2,
//! 3, 4, .. rounds, g included:
//!
//! 1. ... In round r, the ands of all blocks of 2^(r-1) to 2^r - 1 bits, and the products of propagates that larger
//!    ones need.
//!
//! ceil(log2(n + 1)) rounds for n positions, one fewer than a tree over g and p that are computed first, and as many
//! ands except for one or two (about 3n - log2(n)). Private because only reshares talk. Source: the dot-product gates of
//! `docs/adr/0008`, each term a product of its own.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::cost::Cost;
use super::product::mul;
use crate::error::Result;
use crate::party::Party;
use crate::sharing::{BitShare, gather, slice, tensor};

/// The carry out of the top plane of a + b, without a carry in: one plane.
pub fn carry(party: &mut Party, a: &BitShare, b: &BitShare) -> Result<BitShare> {
    let circuit = Circuit::of(a.shape()[0]);
    let mut tables = vec![a.clone(), b.clone(), a.add(b)];
    for Round { ands, sums } in &circuit.rounds {
        let [left, right] = [|and: &[Plane; 2]| and[0], |and: &[Plane; 2]| and[1]]
            .map(|side| planes(&tables, &ands.iter().map(side).collect::<Vec<_>>()));
        let products = mul(party, &left, &right)?;
        let sums = products.map(|t| {
            let words = t.shape()[1];
            let row = |plane: usize| &slice(t)[plane * words..][..words];
            let mut data = Vec::with_capacity(sums.len() * words);
            for terms in sums {
                let (first, rest) = terms.split_first().expect("a sum has terms");
                let start = data.len();
                data.extend_from_slice(row(*first));
                rest.iter().for_each(|&term| {
                    data[start..].iter_mut().zip(row(term)).for_each(|(sum, &bit)| *sum ^= bit);
                });
            }
            tensor(&[sums.len(), words], data)
        });
        tables.extend([products, sums]);
    }
    Ok(planes(&tables, &[circuit.carry]))
}

/// Rounds that a block of `bits` positions waits for: the least r with bits < 2^r.
fn rounds(bits: usize) -> usize {
    (usize::BITS - bits.leading_zeros()) as usize
}

/// Cost of [`carry`] over `bits` planes of n bits.
pub(super) fn cost(bits: usize, n: usize) -> Cost {
    Circuit::of(bits).rounds.iter().map(|round| Cost::planes(round.ands.len(), n)).sum()
}

/// The given planes below each other.
fn planes(tables: &[BitShare], of: &[Plane]) -> BitShare {
    let words = tables[0].shape()[1];
    let row = |component: fn(&BitShare) -> &crate::ring::Tensor<u64>, plane: &Plane| {
        &slice(component(&tables[plane.table]))[plane.row * words..][..words]
    };
    let shape = [of.len(), words];
    BitShare::new(
        gather(&shape, of.iter().map(|plane| row(BitShare::own, plane))),
        gather(&shape, of.iter().map(|plane| row(BitShare::next, plane))),
    )
}

/// A row of one of the tables: a, b, a ^ b, then products and sums of each round.
#[derive(Debug, Clone, Copy)]
struct Plane {
    table: usize,
    row: usize,
}

/// What is computed in one round.
#[derive(Default)]
struct Round {
    ands: Vec<[Plane; 2]>,
    /// Each the xor of these ands of the round.
    sums: Vec<Vec<usize>>,
}

/// The public plan of all ands.
struct Circuit {
    rounds: Vec<Round>,
    /// Products of propagates, by top bit, lowest of the bits below it, and their number.
    passes: HashMap<[usize; 3], Plane>,
    carry: Plane,
}

impl Circuit {
    /// The circuit for so many positions, made once.
    fn of(bits: usize) -> &'static Self {
        static CIRCUITS: [OnceLock<Circuit>; 65] = [const { OnceLock::new() }; 65];
        CIRCUITS[bits].get_or_init(|| Self::new(bits))
    }

    fn new(bits: usize) -> Self {
        let rounds = (0..rounds(bits)).map(|_| Round::default()).collect();
        let mut circuit = Self { rounds, passes: HashMap::new(), carry: Plane { table: 0, row: 0 } };
        circuit.carry = circuit.generate(0, bits);
        circuit
    }

    /// Whether the `bits` positions from `low` on generate a carry.
    fn generate(&mut self, low: usize, bits: usize) -> Plane {
        let top = low + bits - 1;
        let [a, b, p] = [0, 1, 2].map(|table| Plane { table, row: top });
        let round = rounds(bits);
        let Some((x, y)) = cut(bits) else { return self.and(round, [a, b]) };
        let lower = self.generate(low, y);
        let mut terms = vec![[a, b]];
        if x == 0 {
            terms.push([p, lower]);
        } else {
            terms.push([p, self.generate(low + y, x)]);
            terms.push([self.pass(top, low + y, x), lower]);
        }
        let terms = terms.into_iter().map(|operands| self.and(round, operands).row).collect();
        let sums = &mut self.rounds[round - 1].sums;
        sums.push(terms);
        Plane { table: 2 * round + 2, row: sums.len() - 1 }
    }

    /// Whether position `top` and the `bits` positions from `low` on all pass a carry on.
    fn pass(&mut self, top: usize, low: usize, bits: usize) -> Plane {
        if let Some(&known) = self.passes.get(&[top, low, bits]) {
            return known;
        }
        let propagate = |row| Plane { table: 2, row };
        let (next, round) = (low + bits - 1, rounds(bits));
        let operands = match cut(bits) {
            None => [propagate(top), propagate(low)],
            Some((0, y)) => [propagate(next), self.pass(top, low, y)],
            Some((x, y)) => [self.pass(next, low + y, x), self.pass(top, low, y)],
        };
        let product = self.and(round, operands);
        self.passes.insert([top, low, bits], product);
        product
    }

    fn and(&mut self, round: usize, operands: [Plane; 2]) -> Plane {
        let ands = &mut self.rounds[round - 1].ands;
        ands.push(operands);
        Plane { table: 2 * round + 1, row: ands.len() - 1 }
    }
}

/// How many bits below the top one go to X and to Y, both known a round earlier than the block.
fn cut(bits: usize) -> Option<(usize, usize)> {
    let below = bits.checked_sub(1).filter(|&below| below > 0)?;
    let y = below.min((1 << (rounds(bits) - 1)) - 1);
    Some((below - y, y))
}
