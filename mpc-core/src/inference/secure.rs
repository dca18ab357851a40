//! Evaluation on shares by the three parties.

use super::clear::constant;
use super::{Backend, check_input};
use crate::error::{Error, Result, Step};
use crate::model::manifest::Reveal;
use crate::model::rearrange::{broadcast, gather_windows, rearrange};
use crate::model::{Facts, Graph, Node, Op, PoolGeometry};
use crate::party::Party;
use crate::protocol::{argmax::argmax, pool, product, relu::relu, truncate::truncate};
use crate::ring::{Boolean, Tensor};
use crate::role::Role;
use crate::security::{Digests, Verified};
use crate::sharing::{ArithmeticShare, Share};

/// What the client is to learn, still shared.
#[derive(Debug, Clone)]
pub enum Output {
    /// Position of the largest score, one word per input: shape `[inputs]`.
    Labels(Share<Boolean, u64>),
    /// The graph's output: shape `[inputs, ..]` with the fractional bits of [`Graph::output`].
    Scores(ArithmeticShare),
}

impl Output {
    /// Both components of this party, for the client: a value that leaves the sharing, so the session's products must have
    /// been checked.
    pub fn into_components(self, _: &Verified) -> [Tensor<u64>; 2] {
        match self {
            Output::Labels(labels) => [labels.own().clone(), labels.next().clone()],
            Output::Scores(scores) => [scores.own().clone(), scores.next().clone()],
        }
    }
}

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
}

/// Evaluates `graph` on a batch. `input` has shape `[sum of windows, ..]`; entry i of `windows` says how many
/// consecutive samples are windows of input i. The graph must be [valid](Graph::validate).
///
/// # Errors
/// [`Error::Invalid`] where shapes, windows or weights are not what the graph says; errors of the protocols.
pub fn evaluate(
    party: &mut Party,
    graph: &Graph,
    weights: &Weights,
    input: ArithmeticShare,
    windows: &[u32],
    reveal: Reveal,
) -> Result<Output> {
    check_input(graph, input.shape(), windows)?;
    if !graph.weights.iter().map(|spec| spec.shape.as_slice()).eq(weights.shares.iter().map(Share::shape)) {
        return Err(Error::invalid("weights", "are not those that the graph names"));
    }
    let output = graph.output();
    if reveal == Reveal::Label && output.shape.len() != 1 {
        let reason = format!("has shape {:?}; a label needs one row of scores", output.shape);
        return Err(Error::invalid("the graph's output", reason));
    }
    party.agree(|| [(Step::Model, weights.digests), (Step::Input, Digests::of([&input]))])?;
    let weights = &weights.shares;
    let scores = super::evaluate(&mut Secure { party, weights }, graph, input, windows)?;
    Ok(match reveal {
        Reveal::Label => Output::Labels(argmax(party, &scores, width(output))?),
        Reveal::Scores => Output::Scores(scores),
    })
}

struct Secure<'a> {
    party: &'a mut Party,
    weights: &'a [ArithmeticShare],
}

impl Backend for Secure<'_> {
    type Value = ArithmeticShare;

    fn weight(&mut self, index: usize) -> ArithmeticShare {
        self.weights[index].clone()
    }

    fn apply(
        &mut self,
        node: &Node,
        operands: &[(&ArithmeticShare, &Facts)],
        windows: &[u32],
    ) -> Result<ArithmeticShare> {
        let party = &mut *self.party;
        party.checkpoint()?;
        let (x, facts) = operands[0];
        match &node.op {
            Op::Conv(geometry) => product::conv(party, geometry, x, operands[1].0),
            Op::MatMul => {
                let (w, k) = (operands[1].0, facts.shape.last().copied().unwrap_or(1));
                let product = product::matmul(party, &x.reshape(&[x.len() / k, k]), w)?;
                Ok(product.reshape(&node.facts.full_shape(x.shape()[0])))
            }
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
                relu(party, x, width(facts), *rescale, ceiling)
            }
            Op::MaxPool(geometry) => {
                let candidates = candidates(party.role(), geometry, x, facts);
                pool::max(party, &candidates, width(facts))
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
            Op::Input | Op::Weight(_) => unreachable!("{} computes nothing", node.op.name()),
        }
    }
}

/// The comparison width k: |x| < 2^(k-1).
fn width(facts: &Facts) -> u32 {
    facts.bound.bits + 1
}

/// The positions of all windows; padding holds the least value within the bound, as component 0.
fn candidates(role: Role, geometry: &PoolGeometry, x: &ArithmeticShare, facts: &Facts) -> Vec<ArithmeticShare> {
    let least = 0u64.wrapping_sub((1 << facts.bound.bits) - 1);
    let fill = |holds: bool| if holds { least } else { 0 };
    let own = gather_windows(geometry, x.own(), fill(role == Role::P0));
    let next = gather_windows(geometry, x.next(), fill(role.next() == Role::P0));
    own.into_iter().zip(next).map(|(own, next)| Share::new(own, next)).collect()
}
