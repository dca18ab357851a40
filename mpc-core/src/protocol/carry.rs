//! The carry out of the sum of two numbers whose bits are shared.
//!
//! Pi holds two planes of bits for each position, a and b; g = a & b generates a carry, p = a ^ b passes one on. For a
//! block of positions cut into its top bit t, the bits X below it and the bits Y below those,
//!
//!   G = g_t ^ p_t G_X ^ (p_t P_X) G_Y,
//!
//! a gate of up to three terms in the round after the one in which G_X and G_Y, of up to 2^r - 1 bits each, are known;
//! p_t P_X is known then too, because a product of propagates of 2^r bits takes r rounds. Its terms are added up before
//! they are reshared ([`send_dot`]), so a gate costs one bit. So blocks of 1, 3, 7, 15, .. bits take 1, 2, 3, 4, ..
//! rounds, g included:
//!
//! 1. ... In round r, the gates of all blocks of 2^(r-1) to 2^r - 1 bits, and the products of propagates that larger
//!    ones need.
//!
//! ceil(log2(n + 1)) rounds for n positions, one fewer than a tree over g and p that are computed first; about 2n bits
//! and 3n ands. Private because only reshares talk. Source: `docs/adr/0008` and `docs/adr/0024`.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::cost::Cost;
use super::product::{PendingProduct, send_dot};
use crate::error::Result;
use crate::link::round::Round;
use crate::party::Party;
use crate::ring::{Boolean, Tensor};
use crate::sharing::{BitShare, gather, slice};

/// The carry out of the top plane of a + b, without a carry in: one plane.
pub fn carry(party: &mut Party, a: &BitShare, b: &BitShare) -> Result<BitShare> {
    let circuit = Circuit::of(a.shape()[0]);
    let none = BitShare::zeros(&[0, a.shape()[1]]);
    let mut tables = vec![a.clone(), b.clone(), a.add(b)];
    for gates in &circuit.rounds {
        let sums = party.round(|round| {
            let mut send =
                |gates: &Vec<Gate>| (!gates.is_empty()).then(|| send_gates(round, &tables, gates)).transpose();
            gates.iter().map(&mut send).collect::<Result<Vec<_>>>()
        })?;
        tables.extend(sums.into_iter().map(|sums| sums.unwrap_or_else(|| none.clone())));
    }
    Ok(planes(&tables, [circuit.carry].iter()))
}

/// Gates of as many terms, within a round.
fn send_gates(round: &mut Round<'_>, tables: &[BitShare], gates: &[Gate]) -> Result<PendingProduct<Boolean, u64>> {
    let (terms, words) = (gates[0].len(), tables[0].shape()[1]);
    let [left, right] = [0, 1].map(|side| {
        let operands = (0..terms).flat_map(|term| gates.iter().map(move |gate| &gate[term][side]));
        planes(tables, operands).reshape(&[terms, gates.len(), words])
    });
    send_dot(round, &left, &right)
}

/// Rounds that a block of `bits` positions waits for: the least r with bits < 2^r.
fn rounds(bits: usize) -> usize {
    (usize::BITS - bits.leading_zeros()) as usize
}

/// Cost of [`carry`] over `bits` planes of n bits.
pub(super) fn cost(bits: usize, n: usize) -> Cost {
    Circuit::of(bits).rounds.iter().map(|gates| Cost::planes(gates.iter().map(Vec::len).sum(), n)).sum()
}

/// The given planes below each other.
fn planes<'a>(tables: &[BitShare], of: impl Iterator<Item = &'a Plane> + Clone) -> BitShare {
    let words = tables[0].shape()[1];
    let row = |component: fn(&BitShare) -> &Tensor<u64>, plane: &Plane| {
        &slice(component(&tables[plane.table]))[plane.row * words..][..words]
    };
    let shape = [of.clone().count(), words];
    BitShare::new(
        gather(&shape, of.clone().map(|plane| row(BitShare::own, plane))),
        gather(&shape, of.map(|plane| row(BitShare::next, plane))),
    )
}

/// A row of one of the tables: a, b, a ^ b, then the gates of each round by their number of terms.
#[derive(Debug, Clone, Copy)]
struct Plane {
    table: usize,
    row: usize,
}

/// The most terms of a gate.
const TERMS: usize = 3;

/// The xor of the ands of these operands.
type Gate = Vec<[Plane; 2]>;

/// The public plan of all gates.
struct Circuit {
    /// The gates of each round, those of one term first.
    rounds: Vec<[Vec<Gate>; TERMS]>,
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
        let rounds = (0..rounds(bits)).map(|_| Default::default()).collect();
        let mut circuit = Self { rounds, passes: HashMap::new(), carry: Plane { table: 0, row: 0 } };
        circuit.carry = circuit.generate(0, bits);
        circuit
    }

    /// Whether the `bits` positions from `low` on generate a carry.
    fn generate(&mut self, low: usize, bits: usize) -> Plane {
        let top = low + bits - 1;
        let [a, b, p] = [0, 1, 2].map(|table| Plane { table, row: top });
        let round = rounds(bits);
        let Some((x, y)) = cut(bits) else { return self.gate(round, vec![[a, b]]) };
        let lower = self.generate(low, y);
        let mut terms = vec![[a, b]];
        if x == 0 {
            terms.push([p, lower]);
        } else {
            terms.push([p, self.generate(low + y, x)]);
            terms.push([self.pass(top, low + y, x), lower]);
        }
        self.gate(round, terms)
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
        let product = self.gate(round, vec![operands]);
        self.passes.insert([top, low, bits], product);
        product
    }

    fn gate(&mut self, round: usize, terms: Gate) -> Plane {
        let table = TERMS * round + terms.len() - 1;
        let gates = &mut self.rounds[round - 1][terms.len() - 1];
        gates.push(terms);
        Plane { table, row: gates.len() - 1 }
    }
}

/// How many bits below the top one go to X and to Y, both known a round earlier than the block.
fn cut(bits: usize) -> Option<(usize, usize)> {
    let below = bits.checked_sub(1).filter(|&below| below > 0)?;
    let y = below.min((1 << (rounds(bits) - 1)) - 1);
    Some((below - y, y))
}
