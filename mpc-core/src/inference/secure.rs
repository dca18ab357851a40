//! Evaluation on shares by the three parties.

use super::clear::constant;
use super::head::{Head, Output};
use super::{Backend, Piece, Ready, check_input};
use crate::error::{Error, Result, Step};
use crate::link::round::Round;
use crate::model::function::Approximation;
use crate::model::rearrange::{broadcast, gather_windows, rearrange};
use crate::model::{Facts, Graph, Node, Op, PoolGeometry};
use crate::party::{Computed, Party};
use crate::plan::{Plan, Pool, width};
use crate::protocol::product::{self, PendingLinear};
use crate::protocol::winner::Levels;
use crate::protocol::{lift::lift, pool, power::power, relu::relu, truncate::truncate};
use crate::ring::Tensor;
use crate::role::Role;
use crate::security::Digests;
use crate::session::{Conditions, Id, Meter};
use crate::sharing::{ArithmeticShare, RangedShare, Share};

/// The shares of a model's weights, and their digests, which a party computes once for all sessions.
#[derive(Debug, Clone)]
pub struct Weights {
    shares: Vec<ArithmeticShare>,
    digests: Digests,
}

impl Weights {
    /// Weights in the order of [`Graph::weights`].
    pub fn new(shares: Vec<ArithmeticShare>) -> Self {
        Self { digests: Digests::of(&shares), shares }
    }

    /// Compares the components with those of their other holders, when they come to the parties, so that a wrong share is not
    /// found by the first who asks; and `public`, a digest of what else must be the same. 2 rounds, 128 bytes, after which all three know
    /// that all three agree.
    ///
    /// # Errors
    /// [`Error::Cheating`] with [`Step::Model`] where something differs; errors of the network.
    pub fn compare(&self, party: &mut Party, public: &Id) -> Result<()> {
        party.agree(&[(Step::Model, self.digests)])?;
        party.link().note(b"model", public);
        // What a peer says last tells that it has got this far.
        party.link().compare_transcripts(Step::Model)?;
        party.link().flush()
    }
}

/// Evaluates `graph` on a batch and makes of it what `head` says. `input` has shape `[sum of windows, ..]` and the
/// [range](Graph::input_range) of the graph, which it is lifted from: no share that a client can send is beyond the input's bound.
/// Entry i of `windows` says how many consecutive samples are windows of input i. The graph must be [valid](Graph::validate). All
/// three parties plan for the same `conditions`.
///
/// # Errors
/// [`Error::Invalid`] where shapes, range, windows or weights are not what the graph says; errors of the protocols.
pub fn evaluate(
    party: &mut Party,
    graph: &Graph,
    weights: &Weights,
    input: &RangedShare,
    windows: &[u32],
    head: &Head<'_>,
    conditions: Conditions,
) -> Result<Computed<Output>> {
    evaluate_observed(party, graph, weights, input, windows, (head, conditions), &mut |_, _| ())
}

/// As [`evaluate`]; tells `observe` whenever a piece is done, and what the session has cost by then.
pub(super) fn evaluate_observed(
    party: &mut Party,
    graph: &Graph,
    weights: &Weights,
    input: &RangedShare,
    windows: &[u32],
    (head, conditions): (&Head<'_>, Conditions),
    observe: &mut dyn FnMut(Meter, Piece),
) -> Result<Computed<Output>> {
    check_input(graph, input.shape(), windows)?;
    head.check(graph)?;
    if input.range() != graph.input_range() {
        return Err(Error::invalid("input", "was dealt for another range than the graph's"));
    }
    if !graph.weights.iter().map(|spec| spec.shape.as_slice()).eq(weights.shares.iter().map(Share::shape)) {
        return Err(Error::invalid("weights", "are not those that the graph names"));
    }
    let templates = head.templates().map(|templates| (Step::Gallery, templates.digests));
    let given = [(Step::Model, weights.digests), (Step::Input, Digests::of([input.words()]))];
    party.agree(&given.into_iter().chain(templates).collect::<Vec<_>>())?;
    observe(party.meter(), Piece::Agreement);
    let input = lift(party, input)?;
    observe(party.meter(), Piece::Node(0));
    let weights = &weights.shares;
    let search = head.search(graph, windows.len());
    let plan = Plan::new(graph, input.shape()[0], search, conditions);
    let mut backend = Secure { party, graph, plan: &plan, weights, observe };
    let Value::Shared(outputs) = super::evaluate(&mut backend, graph, Value::Shared(input), windows)? else {
        unreachable!("only a pool in front of a ReLU leaves its candidates")
    };
    let output = head.apply(party, outputs, graph.output(), windows, (search, &plan))?;
    observe(party.meter(), Piece::Head);
    Ok(party.computed(output))
}

struct Secure<'a> {
    party: &'a mut Party,
    graph: &'a Graph,
    plan: &'a Plan,
    weights: &'a [ArithmeticShare],
    observe: &'a mut dyn FnMut(Meter, Piece),
}

/// What a node computes.
#[derive(Clone)]
enum Value {
    Shared(ArithmeticShare),
    /// Of a max-pool, what the ReLU behind it is to find the maximum of.
    Candidates(Vec<ArithmeticShare>, Levels),
}

impl Backend for Secure<'_> {
    type Value = Value;

    fn weight(&mut self, index: usize) -> Value {
        Value::Shared(self.weights[index].clone())
    }

    fn apply(&mut self, ready: &Ready<'_, Value>, windows: &[u32]) -> Result<Value> {
        self.party.checkpoint()?;
        let value = self.value(ready, windows)?;
        (self.observe)(self.party.meter(), Piece::Node(ready.id));
        Ok(value)
    }

    /// All in one round.
    fn products(&mut self, nodes: &[Ready<'_, Value>], _: &[u32]) -> Result<Vec<Value>> {
        self.party.checkpoint()?;
        let send =
            |round: &mut Round<'_>| nodes.iter().map(|ready| send_product(round, ready)).collect::<Result<Vec<_>>>();
        let products = self.party.round(send)?;
        let shaped = |(product, ready): (ArithmeticShare, &Ready<'_, Value>)| {
            (self.observe)(self.party.meter(), Piece::Node(ready.id));
            let batch = ready.operands[0].0.shared().shape()[0];
            Value::Shared(product.reshape(&ready.node.facts.full_shape(batch)))
        };
        Ok(products.into_iter().zip(nodes).map(shaped).collect())
    }
}

impl Value {
    /// What every operation but a ReLU works on.
    fn shared(&self) -> &ArithmeticShare {
        match self {
            Value::Shared(x) => x,
            Value::Candidates(..) => unreachable!("candidates are left to a ReLU"),
        }
    }
}

impl Secure<'_> {
    fn value(&mut self, ready: &Ready<'_, Value>, windows: &[u32]) -> Result<Value> {
        let Ready { id, node, operands } = ready;
        let value = match (&node.op, operands[0]) {
            (Op::MaxPool(geometry), (x, facts)) => {
                return self.max_pool(self.plan.pool(*id), geometry, x.shared(), facts);
            }
            (Op::Relu { rescale, .. }, (Value::Candidates(candidates, levels), facts)) => {
                pool::max_relu(self.party, candidates, width(self.graph, facts), *rescale, levels)
            }
            _ => {
                let operands: Vec<_> = operands.iter().map(|(value, facts)| (value.shared(), *facts)).collect();
                self.compute(node, &operands, windows)
            }
        };
        value.map(Value::Shared)
    }

    /// A max-pool, or its candidates if its maximum is found with the ReLU behind it.
    fn max_pool(&mut self, plan: &Pool, geometry: &PoolGeometry, x: &ArithmeticShare, facts: &Facts) -> Result<Value> {
        let candidates = candidates(self.party.role(), geometry, x, facts);
        if plan.with_relu {
            return Ok(Value::Candidates(candidates, plan.levels.clone()));
        }
        pool::max(self.party, &candidates, width(self.graph, facts), &plan.levels).map(Value::Shared)
    }

    /// Every other operation.
    fn compute(
        &mut self,
        node: &Node,
        operands: &[(&ArithmeticShare, &Facts)],
        windows: &[u32],
    ) -> Result<ArithmeticShare> {
        let (party, graph) = (&mut *self.party, self.graph);
        let (x, facts) = operands[0];
        match &node.op {
            Op::Add | Op::Sub | Op::Mul => {
                let batch = operands.iter().find(|(_, facts)| facts.batched).map_or(1, |(value, _)| value.shape()[0]);
                let shape = node.facts.full_shape(batch);
                let [x, y] =
                    [0, 1].map(|i| operands[i].0.map(|component| broadcast(component, operands[i].1.batched, &shape)));
                match node.op {
                    Op::Add => Ok(x.add(&y)),
                    Op::Sub => Ok(x.sub(&y)),
                    _ => product::mul(party, &x, &y),
                }
            }
            Op::Scale { factor, frac_bits } => Ok(match constant(*factor, *frac_bits)? {
                1 => x.clone(),
                factor => x.scale(factor),
            }),
            Op::Offset { constant: c } => Ok(x.add_constant(party.role(), constant(*c, facts.frac_bits)?)),
            Op::Rescale { bits } => truncate(party, x, *bits),
            Op::Relu { rescale, ceiling } => {
                let ceiling = ceiling.map(|c| constant(c, node.facts.frac_bits)).transpose()?;
                relu(party, x, width(graph, facts), *rescale, ceiling)
            }
            Op::Function { function, frac_bits } => {
                let refuse = |reason| Error::model(&node.name, node.op.name(), reason);
                match function.approximation(facts, *frac_bits).map_err(refuse)? {
                    Approximation::Power(exponent, octaves) => {
                        power(party, x, exponent, octaves, facts.frac_bits, *frac_bits)
                    }
                    Approximation::Piecewise(table, argument) => table.evaluate(party, x, argument, *frac_bits),
                }
            }
            op @ (Op::SumPool(_)
            | Op::ReduceSum { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::SumWindows { .. }) => {
                let component = |component: fn(&ArithmeticShare) -> &Tensor<u64>| {
                    let components: Vec<_> = operands.iter().map(|(share, _)| component(share)).collect();
                    rearrange(op, &components, windows)
                };
                Ok(Share::new(component(Share::own), component(Share::next)))
            }
            Op::Conv(_) | Op::MatMul | Op::MaxPool(_) | Op::Input | Op::Weight(_) => {
                unreachable!("{} is not computed here", node.op.name())
            }
        }
    }
}

fn send_product(round: &mut Round<'_>, ready: &Ready<'_, Value>) -> Result<PendingLinear> {
    let [(x, facts), (w, _)] = ready.operands[..] else { unreachable!("a product has two operands") };
    let (x, w) = (x.shared(), w.shared());
    match &ready.node.op {
        Op::Conv(geometry) => product::send_conv(round, geometry, x, w),
        _ => {
            let k = facts.shape.last().copied().unwrap_or(1);
            product::send_matmul(round, &x.reshape(&[x.len() / k, k]), w)
        }
    }
}

/// The positions of all windows; padding holds the least value within the bound, as component 0.
fn candidates(role: Role, geometry: &PoolGeometry, x: &ArithmeticShare, facts: &Facts) -> Vec<ArithmeticShare> {
    let least = 0u64.wrapping_sub((1 << facts.bound.bits) - 1);
    let fill = |holds: bool| if holds { least } else { 0 };
    let own = gather_windows(geometry, x.own(), fill(role == Role::P0));
    let next = gather_windows(geometry, x.next(), fill(role.next() == Role::P0));
    own.into_iter().zip(next).map(|(own, next)| Share::new(own, next)).collect()
}
