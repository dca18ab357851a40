//! Evaluation on shares by the three parties.

use super::head::{Head, Output};
use super::{Piece, check_inputs};
use crate::error::{Error, Result, Step};
use crate::link::round::Round;
use crate::model::evaluate::{self, Backend, Ready};
use crate::model::op::{Place, Product, Shared};
use crate::model::{Facts, Graph, Op};
use crate::party::{Computed, Party};
use crate::plan::Plan;
use crate::protocol::lift::lift;
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

    /// Compares the components with those of their other holders, when they come to the parties, so that a wrong share
    /// is not found by the first who asks; and `public`, a digest of what else must be the same. 2 rounds, 128 bytes,
    /// after which all three know that all three agree.
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

/// Evaluates `graph` on a batch and makes of it what `head` says. `inputs` are those of the graph, each of shape
/// `[sum of windows, ..]` and of the [range](Facts::input_range) that it is lifted from: no share that a client can
/// send is beyond the input's bound. Entry i of `windows` says how many consecutive samples are windows of input i. The
/// graph must be [valid](Graph::validate). All three parties plan for the same `conditions`.
///
/// # Errors
/// [`Error::Invalid`] where shapes, ranges, windows or weights are not what the graph says; errors of the protocols.
pub fn evaluate(
    party: &mut Party,
    graph: &Graph,
    weights: &Weights,
    inputs: &[RangedShare],
    windows: &[u32],
    head: &Head<'_>,
    conditions: Conditions,
) -> Result<Computed<Output>> {
    evaluate_observed(party, graph, weights, inputs, windows, (head, conditions), &mut |_, _| ())
}

/// As [`evaluate`]; tells `observe` whenever a piece is done, and what the session has cost by then.
pub(super) fn evaluate_observed(
    party: &mut Party,
    graph: &Graph,
    weights: &Weights,
    inputs: &[RangedShare],
    windows: &[u32],
    (head, conditions): (&Head<'_>, Conditions),
    observe: &mut dyn FnMut(Meter, Piece),
) -> Result<Computed<Output>> {
    let samples = check_inputs(graph, inputs.iter().map(RangedShare::shape), windows)?;
    head.check(graph)?;
    if !graph.inputs().iter().map(|input| input.facts.input_range()).eq(inputs.iter().map(RangedShare::range)) {
        return Err(Error::invalid("input", "was dealt for another range than the graph's"));
    }
    if !graph.weights.iter().map(|spec| spec.shape.as_slice()).eq(weights.shares.iter().map(Share::shape)) {
        return Err(Error::invalid("weights", "are not those that the graph names"));
    }
    let templates = head.templates().map(|templates| (Step::Gallery, templates.digests));
    let given = [(Step::Model, weights.digests), (Step::Input, Digests::of(inputs.iter().map(RangedShare::words)))];
    party.agree(&given.into_iter().chain(templates).collect::<Vec<_>>())?;
    observe(party.meter(), Piece::Agreement);
    let mut values = Vec::with_capacity(inputs.len());
    for (id, input) in inputs.iter().enumerate() {
        values.push(Shared::Value(lift(party, input)?));
        observe(party.meter(), Piece::Node(id));
    }
    let weights = &weights.shares;
    let search = head.search(graph, windows.len());
    let plan = Plan::new(graph, samples, search, conditions);
    let mut backend = Secure { party, graph, plan: &plan, weights, windows, samples, observe };
    let outputs = evaluate::evaluate(&mut backend, &graph.nodes, &graph.outputs, values)?;
    let outputs: Vec<_> = outputs.iter().map(|output| output.share().clone()).collect();
    let output = head.apply(party, &outputs, graph.output(), windows, (search, &plan))?;
    observe(party.meter(), Piece::Head);
    Ok(party.computed(output))
}

struct Secure<'a> {
    party: &'a mut Party,
    graph: &'a Graph,
    plan: &'a Plan,
    weights: &'a [ArithmeticShare],
    windows: &'a [u32],
    samples: usize,
    observe: &'a mut dyn FnMut(Meter, Piece),
}

impl Backend<Op, Facts> for Secure<'_> {
    type Value = Shared;

    fn weight(&mut self, index: usize) -> Shared {
        Shared::Value(self.weights[index].clone())
    }

    fn reshape(value: &Shared, shape: &[usize]) -> Shared {
        match value {
            Shared::Value(value) => Shared::Value(value.reshape(shape)),
            // The ReLU that they are for gets them as the pool has left them.
            candidates @ Shared::Candidates(..) => candidates.clone(),
        }
    }

    fn apply(&mut self, ready: &Ready<'_, Op, Facts, Shared>) -> Result<Shared> {
        self.party.checkpoint()?;
        let values: Vec<&Shared> = ready.operands.iter().map(|(value, _)| value).collect();
        let place = place(self.graph, self.plan, self.windows, ready);
        let operation = ready.node.op.operation().expect("a computed value");
        let value = operation.secure(self.party, &values, &place)?;
        (self.observe)(self.party.meter(), Piece::Node(ready.id));
        Ok(value)
    }

    /// A matrix product or convolution is computed together with all others whose operands are there.
    fn is_joint(&self, op: &Op) -> bool {
        product(op).is_some()
    }

    /// All in one round.
    fn joint(&mut self, nodes: &[Ready<'_, Op, Facts, Shared>]) -> Result<Vec<Shared>> {
        self.party.checkpoint()?;
        let (graph, plan, windows) = (self.graph, self.plan, self.windows);
        let places: Vec<Place<'_>> = nodes.iter().map(|ready| place(graph, plan, windows, ready)).collect();
        let send = |round: &mut Round<'_>| {
            let sent = places.iter().zip(nodes).map(|(place, ready)| {
                let mut operands = ready.operands.iter().map(|(value, _)| value.share()).zip(place.batched());
                let operands = [(); 2].map(|()| operands.next().expect("a product has two operands"));
                product(&ready.node.op).expect("what is joint is a product").send(round, operands)
            });
            sent.collect::<Result<Vec<_>>>()
        };
        let products = self.party.round(send)?;
        let shaped = |(product, ready): (ArithmeticShare, &Ready<'_, Op, Facts, Shared>)| {
            (self.observe)(self.party.meter(), Piece::Node(ready.id));
            Shared::Value(product.reshape(&ready.node.facts.full_shape(self.samples)))
        };
        Ok(products.into_iter().zip(nodes).map(shaped).collect())
    }
}

fn product(op: &Op) -> Option<&dyn Product> {
    op.operation()?.product()
}

fn place<'a>(graph: &'a Graph, plan: &'a Plan, windows: &'a [u32], ready: &Ready<'a, Op, Facts, Shared>) -> Place<'a> {
    let operands = ready.operands.iter().map(|(_, facts)| *facts).collect();
    Place { graph, node: ready.node, operands, windows, pool: plan.pool(ready.id) }
}
