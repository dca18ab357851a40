//! Which variant of a protocol suits the lines between the parties.
//!
//! A maximum of many can be sought with few comparisons one after the other or with many at once, and a ReLU behind a
//! pool can be a comparison of its own or one more candidate. Each variant declares its rounds and bytes; the plan
//! takes the one that is fastest under the [`Conditions`] that the parties have agreed on. All variants compute the
//! same function, under the same security; all three parties must follow the same plan.

use std::collections::HashMap;
use std::fmt;

use crate::model::{Facts, Graph, Node, Op, ValueId};
use crate::protocol::compare::Width;
use crate::protocol::cost::Cost;
use crate::protocol::winner::Levels;
use crate::protocol::{argmax, pool, relu};
use crate::session::{Conditions, Mode};

/// The choices for one graph and batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pools: HashMap<ValueId, Pool>,
    argmax: Levels,
}

/// A search for the largest number of each of several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// How many rows.
    pub rows: usize,
    /// Numbers in each.
    pub candidates: usize,
    /// How large they are.
    pub width: Width,
}

/// How a max-pool is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The search.
    pub levels: Levels,
    /// Whether the ReLU behind it is left out there and made part of the last level.
    pub with_relu: bool,
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.levels, if self.with_relu { ", with the ReLU" } else { "" })
    }
}

impl Plan {
    /// The fastest plan for `samples` samples, in whose outputs something is searched for, or nothing.
    pub fn new(graph: &Graph, samples: usize, search: Option<Search>, conditions: Conditions) -> Self {
        let pool = |(id, node): (ValueId, &Node)| {
            let Op::MaxPool(geometry) = &node.op else { return None };
            let n = samples * node.facts.shape.iter().product::<usize>();
            let (candidates, width) = (geometry.window(), width(graph, &graph.nodes[node.inputs[0]].facts));
            let relu = relu_behind(graph, id);
            let options = options(candidates, MAX_POOL_GROUP).flat_map(|levels| {
                let apart = Pool { levels: levels.clone(), with_relu: false };
                let with_relu = relu.map(|_| Pool { levels, with_relu: true });
                std::iter::once(apart).chain(with_relu)
            });
            let cost = |pool: &Pool| match (relu, pool.with_relu) {
                (Some(rescale), true) => pool::relu_cost(n, width, rescale, &pool.levels, u64::BITS),
                (Some(rescale), false) => {
                    pool::cost(n, width, &pool.levels, u64::BITS) + relu::cost(n, width, rescale, u64::BITS)
                }
                (None, _) => pool::cost(n, width, &pool.levels, u64::BITS),
            };
            options.min_by_key(|pool| nanoseconds(conditions, cost(pool))).map(|pool| (id, pool))
        };
        let pools = graph.nodes.iter().enumerate().filter_map(pool).collect();
        let argmax = search.and_then(|Search { rows, candidates, width }| {
            let cost = |levels: &Levels| argmax::cost(rows, width, levels, u64::BITS);
            options(candidates, MAX_ARGMAX_GROUP).min_by_key(|levels| nanoseconds(conditions, cost(levels)))
        });
        Self { pools, argmax: argmax.unwrap_or_else(|| Levels::all_pairs(1)) }
    }

    /// How the max-pool at `id` is computed.
    ///
    /// # Panics
    /// If the graph that this was made for has none there.
    pub fn pool(&self, id: ValueId) -> &Pool {
        &self.pools[&id]
    }

    /// How the largest number is sought; among one where nothing is.
    pub fn argmax(&self) -> &Levels {
        &self.argmax
    }
}

/// Nanoseconds on the line, and for what the processors do with each byte.
pub fn nanoseconds(conditions: Conditions, cost: Cost) -> u64 {
    /// Measured: comparisons and injections, passive, take a party 4 to 6 ns for each byte that they send, active four
    /// times as long.
    const PROCESSING: u64 = 8;
    let line = 8000 / u64::from(conditions.rate_mbit.max(1));
    let waiting = cost.rounds.saturating_mul(u64::from(conditions.latency_us) * 1000);
    waiting.saturating_add((cost.bytes / 3).saturating_mul(line + PROCESSING))
}

/// How much of such a value a comparison must look at. Activations have the fractional bits of the input; of a value
/// with more of them, which is going to be truncated, those are left out that are four bits and more below the last
/// place of an activation.
pub(crate) fn width(graph: &Graph, facts: &Facts) -> Width {
    const KEPT: u32 = 4;
    let bits = facts.bound.bits + 1;
    let drop = facts.frac_bits.saturating_sub(graph.input().frac_bits + KEPT);
    let possible = bits > drop + 2 && bits < u64::BITS - 2;
    Width { bits, drop: if possible { drop } else { 0 } }
}

/// The bits that the ReLU drops which alone uses the value at `id`, if it has no ceiling.
fn relu_behind(graph: &Graph, id: ValueId) -> Option<u32> {
    let mut users = graph.nodes.iter().filter(|node| node.inputs.contains(&id));
    match (users.next(), users.next()) {
        (Some(Node { op: Op::Relu { rescale, ceiling: None }, .. }), None) if graph.output != id => Some(*rescale),
        _ => None,
    }
}

/// Largest group of a pool's window in which all pairs are compared, whatever the conditions, which P0 chooses: it bounds the
/// memory of a session.
const MAX_POOL_GROUP: usize = 9;

/// The same for the argmax, which has few columns.
const MAX_ARGMAX_GROUP: usize = 32;

/// All ways to search among so many in groups of at most `group`.
fn options(candidates: usize, group: usize) -> impl Iterator<Item = Levels> {
    let most = Levels::tournament(candidates).sizes().len().max(1);
    let levels = (1..=most).map(move |levels| Levels::new(candidates.max(1), levels));
    levels.filter(move |levels| levels.sizes().iter().all(|&size| size <= group))
}

/// Most comparisons at once for one winner among so many.
fn most_comparisons(candidates: usize, group: usize) -> u64 {
    let group = candidates.clamp(1, group) as u64;
    (candidates as u64).div_ceil(group).saturating_mul(group * (group - 1) / 2)
}

/// Bytes of the differences that are compared at once where most are, 16 each, for any conditions.
fn compared_bytes(graph: &Graph, samples: usize, search: Option<Search>) -> u64 {
    let compared = graph.nodes.iter().filter_map(|node| match &node.op {
        Op::MaxPool(geometry) => Some((&node.facts.shape, most_comparisons(geometry.window(), MAX_POOL_GROUP))),
        Op::Function { function, frac_bits } => {
            let approximation = function.approximation(&graph.nodes[node.inputs[0]].facts, *frac_bits).ok()?;
            Some((&node.facts.shape, approximation.thresholds() as u64))
        }
        _ => None,
    });
    let bytes = |(shape, each): (&Vec<usize>, u64)| {
        let winners = shape.iter().fold(samples as u64, |n, &side| n.saturating_mul(side as u64));
        winners.saturating_mul(each).saturating_mul(16)
    };
    let argmax = search.map_or(0, |Search { rows, candidates, .. }| {
        most_comparisons(candidates, MAX_ARGMAX_GROUP).max(candidates as u64).saturating_mul(16 * rows as u64)
    });
    compared.map(bytes).max().unwrap_or(0).max(argmax)
}

/// Bytes of all shares that a party holds when each node of the graph has been computed for `samples` samples, the
/// weights not included.
pub fn live_bytes(graph: &Graph, samples: usize) -> Vec<u64> {
    let size = |facts: &Facts| facts.full_shape(samples).iter().fold(16u64, |n, &side| n.saturating_mul(side as u64));
    let mut last_use: Vec<ValueId> = (0..graph.nodes.len()).collect();
    for (id, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|&input| last_use[input] = id);
    }
    last_use[graph.output] = graph.nodes.len();
    let live = |now: ValueId| {
        let values = graph.nodes[..=now].iter().zip(&last_use);
        let held = values.filter(|(node, last)| !matches!(node.op, Op::Weight(_)) && **last >= now);
        held.fold(0u64, |sum, (node, _)| sum.saturating_add(size(&node.facts)))
    };
    (0..graph.nodes.len()).map(live).collect()
}

/// About how many bytes a party needs for a session besides the weights, estimated from above.
pub fn session_bytes(graph: &Graph, samples: usize, search: Option<Search>, mode: Mode) -> u64 {
    /// Messages on their way, and the thread.
    const BASE: u64 = 8 << 20;
    /// Planes, masks and messages of a comparison beside the values compared: measured on whole networks, 10 at most.
    const FACTOR: u64 = 12;
    /// Claims that wait for their check, and the check itself: their number is bounded, the layer that exceeds it is not.
    const CHECK: u64 = 48 << 20;
    let live = live_bytes(graph, samples).into_iter().max().unwrap_or(0);
    let most = live.max(compared_bytes(graph, samples, search)).saturating_mul(FACTOR);
    let passive = most.saturating_add(BASE);
    if mode == Mode::Passive { passive } else { passive.saturating_add(most).saturating_add(CHECK) }
}
