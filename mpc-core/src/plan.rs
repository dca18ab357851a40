//! Which variant of a protocol suits the lines between the parties.
//!
//! Operations and heads with several variants declare the rounds and bytes of each; the plan takes the fastest one
//! under the [`Conditions`] that the parties have agreed on. All variants compute the same function with the same
//! security; all three parties must follow the same plan.

use std::collections::HashMap;

use crate::model::evaluate::Uses;
use crate::model::op::Pool;
use crate::model::{Graph, Node, Op, ValueId};
use crate::protocol::argmax;
use crate::protocol::compare::Width;
use crate::protocol::winner::Levels;
use crate::session::{Conditions, Mode};

/// The choices for one graph and batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pools: HashMap<ValueId, Pool>,
    argmax: Levels,
}

/// A search for the largest number in each of several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// Number of rows.
    pub rows: usize,
    /// Numbers in each.
    pub candidates: usize,
    /// The width of the numbers.
    pub width: Width,
}

impl Plan {
    /// The fastest plan for `samples` samples, with a search in their outputs if there is one.
    pub fn new(graph: &Graph, samples: usize, search: Option<Search>, conditions: Conditions) -> Self {
        let pool =
            |(id, node): (ValueId, &Node)| Some((id, node.op.operation()?.plan(graph, id, samples, conditions)?));
        let pools = graph.nodes.iter().enumerate().filter_map(pool).collect();
        let argmax = search.and_then(|Search { rows, candidates, width }| {
            let cost = |levels: &Levels| argmax::cost(rows, width, levels, u64::BITS);
            Levels::options(candidates, MAX_ARGMAX_GROUP).min_by_key(|levels| cost(levels).nanoseconds(conditions))
        });
        Self { pools, argmax: argmax.unwrap_or_else(|| Levels::all_pairs(1)) }
    }

    /// The variant for the max-pool at `id`, if there is one.
    pub fn pool(&self, id: ValueId) -> Option<&Pool> {
        self.pools.get(&id)
    }

    /// How the largest number is found; without a search, among one.
    pub fn argmax(&self) -> &Levels {
        &self.argmax
    }
}

/// Largest group of an argmax in which all pairs are compared. P0 chooses the conditions, and this bounds a session's
/// memory under any.
const MAX_ARGMAX_GROUP: usize = 32;

/// The most bytes of differences compared at once, 16 each, under any conditions.
fn compared_bytes(graph: &Graph, samples: usize, search: Option<Search>) -> u64 {
    let bytes = |node: &Node| {
        let Some((operation, &x)) = node.op.operation().zip(node.inputs.first()) else { return 0 };
        let winners = node.facts.shape.iter().fold(samples as u64, |n, &side| n.saturating_mul(side as u64));
        winners.saturating_mul(operation.comparisons(&graph.nodes[x].facts)).saturating_mul(16)
    };
    let argmax = search.map_or(0, |Search { rows, candidates, .. }| {
        Levels::most_comparisons(candidates, MAX_ARGMAX_GROUP).max(candidates as u64).saturating_mul(16 * rows as u64)
    });
    graph.nodes.iter().map(bytes).max().unwrap_or(0).max(argmax)
}

/// Bytes of all shares that a party holds after each node of the graph, for `samples` samples, without the weights.
pub fn live_bytes(graph: &Graph, samples: usize) -> Vec<u64> {
    let size = |node: &Node| match node.op {
        Op::Weight(_) => 0,
        _ => node.facts.full_shape(samples).iter().fold(16u64, |n, &side| n.saturating_mul(side as u64)).into(),
    };
    let (mut uses, mut held) = (Uses::new(&graph.nodes, &graph.outputs), 0u128);
    let live = |id: ValueId| {
        held += size(&graph.nodes[id]);
        let now = held;
        held -= uses.spend(&graph.nodes, id).into_iter().map(|last| size(&graph.nodes[last])).sum::<u128>();
        u64::try_from(now).unwrap_or(u64::MAX)
    };
    (0..graph.nodes.len()).map(live).collect()
}

/// An upper estimate of the bytes that a party needs for a session besides the weights.
pub fn session_bytes(graph: &Graph, samples: usize, search: Option<Search>, mode: Mode) -> u64 {
    /// Messages in flight, and the thread.
    const BASE: u64 = 8 << 20;
    /// Planes, masks and messages of a comparison, relative to the values compared: at most 10, measured on whole
    /// networks.
    const FACTOR: u64 = 12;
    /// Claims that await their check, and the check itself: their number is bounded, but a single layer may exceed it.
    const CHECK: u64 = 48 << 20;
    let live = live_bytes(graph, samples).into_iter().max().unwrap_or(0);
    let most = live.max(compared_bytes(graph, samples, search)).saturating_mul(FACTOR);
    let passive = most.saturating_add(BASE);
    if mode == Mode::Passive { passive } else { passive.saturating_add(most).saturating_add(CHECK) }
}
