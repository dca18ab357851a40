//! A network over the real numbers, with its weights: what the importer builds, the passes rewrite and
//! [`compile`](super::compile) turns into a [`Graph`](super::Graph).

use ndarray::ArrayD;

use super::evaluate::{Known, Operator};
use super::form::{Form, check_size};
use super::graph::{MAX_NODES, Node, ValueId};
use super::op::{FloatOp, Operation};
use crate::error::{Error, Result};

/// A network over the real numbers, with its weights. Nodes are in topological order; node 0 is the input.
///
/// ```
/// use mpc_core::model::op::Relu;
/// use mpc_core::model::{FloatGraph, FloatOp};
/// use ndarray::ArrayD;
///
/// let mut graph = FloatGraph::new(&[4])?;
/// let weight = graph.weight("fc.weight", ArrayD::from_elem(vec![4, 2], 0.5))?;
/// let product = graph.push("fc", FloatOp::MatMul, &[0, weight])?;
/// graph.push("relu", FloatOp::Relu(Relu::default()), &[product])?;
/// assert_eq!(graph.shape(graph.output()), [2]);
/// # Ok::<(), mpc_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FloatGraph {
    pub(super) nodes: Vec<FloatNode>,
    pub(super) weights: Vec<ArrayD<f64>>,
    pub(super) output: ValueId,
}

/// A node of a float graph.
pub(super) type FloatNode = Node<FloatOp, Form>;

impl FloatGraph {
    /// A graph with only an input of this shape (per sample).
    ///
    /// # Errors
    /// [`Error::Model`] where the shape is empty or too large; likewise below.
    pub fn new(input: &[usize]) -> Result<Self> {
        check_size(input).map_err(|reason| Error::model("input", "Input", reason))?;
        let facts = Form::batched(input.to_vec());
        let node = Node { name: "input".into(), op: FloatOp::Input, inputs: Vec::new(), facts };
        Ok(Self { nodes: vec![node], weights: Vec::new(), output: 0 })
    }

    /// Adds a weight.
    ///
    /// # Errors
    /// [`Error::Model`], also where an element is not finite.
    pub fn weight(&mut self, name: impl Into<String>, value: ArrayD<f64>) -> Result<ValueId> {
        let name = name.into();
        check_size(value.shape()).map_err(|reason| Error::model(&name, "Weight", reason))?;
        if value.iter().any(|w| !w.is_finite()) {
            return Err(Error::model(name, "Weight", "has an element that is not a finite number"));
        }
        let facts = Form { shape: value.shape().to_vec(), batched: false };
        self.weights.push(value.as_standard_layout().into_owned());
        self.add(Node { name, op: FloatOp::Weight(self.weights.len() - 1), inputs: Vec::new(), facts })
    }

    /// Appends an operation on earlier values; it becomes the output.
    ///
    /// # Errors
    /// [`Error::Model`] where the operands do not fit.
    pub fn push(&mut self, name: impl Into<String>, op: FloatOp, inputs: &[ValueId]) -> Result<ValueId> {
        let name = name.into();
        let forms: Vec<Form> = inputs.iter().map(|&input| self.nodes[input].facts.clone()).collect();
        let form = match op.real() {
            Some(operation) => operation.checked_form(&forms),
            None => Err("is given, not computed".into()),
        };
        let facts = form.map_err(|reason| Error::model(&name, op.name(), reason))?;
        self.output = self.nodes.len();
        self.add(Node { name, op, inputs: inputs.to_vec(), facts })
    }

    /// The value that the graph computes: of one built by hand, the one pushed last.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// Chooses another output.
    pub(super) fn set_output(&mut self, output: ValueId) {
        self.output = output;
    }

    /// Shape of a value, per sample unless it is a weight.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        &self.nodes[value].facts.shape
    }

    /// The elements of a weight, if the value is one.
    pub(super) fn constant(&self, value: ValueId) -> Option<&ArrayD<f64>> {
        match self.nodes[value].op {
            FloatOp::Weight(index) => Some(&self.weights[index]),
            _ => None,
        }
    }

    fn add(&mut self, node: FloatNode) -> Result<ValueId> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Error::model(node.name, node.op.name(), format!("is one more than {MAX_NODES} nodes")));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }
}

impl Operator for FloatOp {
    fn weight(&self) -> Option<usize> {
        if let FloatOp::Weight(index) = self { Some(*index) } else { None }
    }

    fn real(&self) -> Option<&dyn Operation> {
        self.operation().map(|operation| operation as &dyn Operation)
    }
}

impl Known for Form {
    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn batched(&self) -> bool {
        self.batched
    }
}
