//! The one evaluator of both graphs, and its backend in float64. Backends in fixed point and on shares are in
//! [`inference`](crate::inference).

use ndarray::{ArrayD, IxDyn};

use super::float_graph::FloatGraph;
use super::graph::{Node, ValueId};
use super::op::{Args, Batch, Operation};
use crate::error::Result;

/// What the evaluator asks of an operation.
pub(crate) trait Operator {
    /// The number of the weight, if it is one.
    fn weight(&self) -> Option<usize>;

    /// The operation over the real numbers; `None` for inputs and weights.
    fn real(&self) -> Option<&dyn Operation>;
}

/// What the evaluator asks about a value.
pub(crate) trait Known {
    /// The shape per sample, or of what is the same for all.
    fn shape(&self) -> &[usize];

    /// Whether there is one such tensor per sample.
    fn batched(&self) -> bool;
}

/// How operations are computed. The graph was validated, so operands have the shapes that the operation expects.
pub(crate) trait Backend<O, F> {
    /// A batch, or what is the same for all samples.
    type Value: Clone;

    /// Weight number `index`.
    fn weight(&mut self, index: usize) -> Self::Value;

    /// The same elements in another shape.
    fn reshape(value: &Self::Value, shape: &[usize]) -> Self::Value;

    /// The result of a node.
    fn apply(&mut self, node: &Ready<'_, O, F, Self::Value>) -> Result<Self::Value>;

    /// Whether such nodes are computed together, as soon as their operands are there.
    fn is_joint(&self, op: &O) -> bool {
        let _ = op;
        false
    }

    /// The results of several such nodes.
    fn joint(&mut self, nodes: &[Ready<'_, O, F, Self::Value>]) -> Result<Vec<Self::Value>> {
        nodes.iter().map(|node| self.apply(node)).collect()
    }
}

/// A node whose operands have been computed. What is computed from weights only is computed as a batch of one sample.
pub(crate) struct Ready<'a, O, F, V> {
    pub id: ValueId,
    pub node: &'a Node<O, F>,
    pub operands: Vec<(V, &'a F)>,
}

/// Evaluates a graph from its inputs to its outputs; every value is dropped after its last use.
pub(crate) fn evaluate<O: Operator, F: Known, B: Backend<O, F>>(
    backend: &mut B,
    nodes: &[Node<O, F>],
    outputs: &[ValueId],
    inputs: Vec<B::Value>,
) -> Result<Vec<B::Value>> {
    let mut uses = Uses::new(nodes, outputs);
    let weights = nodes.iter().skip(inputs.len()).map(|node| node.op.weight().map(|index| backend.weight(index)));
    let weights: Vec<_> = weights.collect();
    let mut values: Vec<Option<B::Value>> = inputs.into_iter().map(Some).chain(weights).collect();
    let mut waiting: Vec<bool> = nodes.iter().map(|node| node.op.real().is_some()).collect();
    for id in 0..nodes.len() {
        if !waiting[id] || uses.of(id) == 0 {
            continue;
        }
        let together = |&other: &ValueId| {
            let is_ready = || nodes[other].inputs.iter().all(|&input| values[input].is_some());
            waiting[other] && uses.of(other) > 0 && backend.is_joint(&nodes[other].op) && is_ready()
        };
        let ids: Vec<ValueId> = match backend.is_joint(&nodes[id].op) {
            true => (id..nodes.len()).filter(together).collect(),
            false => vec![id],
        };
        let ready: Vec<_> = ids.iter().map(|&id| ready::<O, F, B>(nodes, id, &values)).collect();
        let results = match &ready[..] {
            [node] => vec![backend.apply(node)?],
            nodes => backend.joint(nodes)?,
        };
        for (id, result) in ids.into_iter().zip(results) {
            let known = &nodes[id].facts;
            values[id] = Some(if known.batched() { result } else { B::reshape(&result, known.shape()) });
            waiting[id] = false;
            uses.spend(nodes, id).into_iter().for_each(|last| values[last] = None);
        }
    }
    Ok(outputs.iter().map(|&output| values[output].clone().expect("outputs are kept")).collect())
}

/// Node `id` with its operands.
fn ready<'a, O, F: Known, B: Backend<O, F>>(
    nodes: &'a [Node<O, F>],
    id: ValueId,
    values: &[Option<B::Value>],
) -> Ready<'a, O, F, B::Value> {
    let node = &nodes[id];
    let operand = |&input: &ValueId| {
        let (value, known) = (values[input].as_ref().expect("alive until its last use"), &nodes[input].facts);
        let one_sample = || B::reshape(value, &[&[1], known.shape()].concat());
        (if node.facts.batched() { value.clone() } else { one_sample() }, known)
    };
    Ready { id, node, operands: node.inputs.iter().map(operand).collect() }
}

/// How often each value of a graph is still going to be used.
pub(crate) struct Uses(Vec<usize>);

impl Uses {
    /// The uses before anything is computed. An output has one use that is never spent.
    pub(crate) fn new<O, F>(nodes: &[Node<O, F>], outputs: &[ValueId]) -> Self {
        let mut uses = vec![0; nodes.len()];
        nodes.iter().flat_map(|node| &node.inputs).chain(outputs).for_each(|&value| uses[value] += 1);
        Self(uses)
    }

    /// How often the value is still going to be used.
    pub(crate) fn of(&self, id: ValueId) -> usize {
        self.0[id]
    }

    /// Node `id` has been computed: the values that nothing is going to use any more.
    pub(crate) fn spend<O, F>(&mut self, nodes: &[Node<O, F>], id: ValueId) -> Vec<ValueId> {
        let mut last: Vec<ValueId> = (self.0[id] == 0).then_some(id).into_iter().collect();
        for &operand in &nodes[id].inputs {
            self.0[operand] -= 1;
            last.extend((self.0[operand] == 0).then_some(operand));
        }
        last
    }
}

/// What every operation means, in float64.
pub(crate) struct Float<'a> {
    pub weights: &'a [ArrayD<f64>],
    pub windows: &'a [u32],
    /// Sees every value that is computed.
    pub observe: &'a mut dyn FnMut(ValueId, &Batch<f64>),
}

impl<O: Operator, F: Known> Backend<O, F> for Float<'_> {
    type Value = Batch<f64>;

    fn weight(&mut self, index: usize) -> Batch<f64> {
        self.weights[index].to_shared()
    }

    fn reshape(value: &Batch<f64>, shape: &[usize]) -> Batch<f64> {
        value.clone().into_shape_with_order(IxDyn(shape)).expect("as many elements")
    }

    fn apply(&mut self, ready: &Ready<'_, O, F, Batch<f64>>) -> Result<Batch<f64>> {
        let Ready { id, node, operands } = ready;
        let one_sample = !node.facts.batched();
        let operands = operands.iter().map(|(value, known)| (value, known.batched() || one_sample)).collect();
        let args = Args::new(operands, node.facts.shape(), self.windows);
        let value = node.op.real().expect("a computed value").float(&args);
        (self.observe)(*id, &value);
        Ok(value)
    }
}

/// The largest magnitude of every value that `graph` computes from batches of samples, one for each input.
pub(super) fn peaks(graph: &FloatGraph, samples: &[ArrayD<f64>]) -> Result<Vec<f64>> {
    let mut peaks = vec![0.0; graph.nodes.len()];
    let windows = vec![1; samples[0].shape()[0]];
    let observe = &mut |id: ValueId, value: &Batch<f64>| {
        peaks[id] = value.iter().fold(0.0, |peak: f64, x| peak.max(x.abs()));
    };
    let mut backend = Float { weights: &graph.weights, windows: &windows, observe };
    let inputs = samples.iter().map(|batch| batch.to_shared()).collect();
    evaluate(&mut backend, &graph.nodes, &graph.outputs, inputs)?;
    Ok(peaks)
}
