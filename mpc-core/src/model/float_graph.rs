//! A network over the real numbers, with its weights: what the importer builds, the passes rewrite and
//! [`compile`](super::compile) turns into a [`Graph`](super::Graph).

use ndarray::ArrayD;

use super::evaluate::{Known, Operator};
use super::form::{Form, check_size};
use super::graph::{MAX_NODES, Node, ValueId};
use super::op::{FloatOp, Operation};
use crate::error::{Error, Result};

/// A network over the real numbers, with its weights. Nodes are in topological order; inputs come first.
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
/// assert_eq!(graph.shape(graph.outputs()[0]), [2]);
/// # Ok::<(), mpc_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FloatGraph {
    pub(super) nodes: Vec<FloatNode>,
    pub(super) weights: Vec<ArrayD<f64>>,
    pub(super) outputs: Vec<ValueId>,
}

/// A node of a float graph.
pub(super) type FloatNode = Node<FloatOp, Form>;

impl FloatGraph {
    /// A graph with only an input of this shape (per sample), value 0.
    ///
    /// # Errors
    /// [`Error::Model`] where the shape is empty or too large; likewise below.
    pub fn new(input: &[usize]) -> Result<Self> {
        Self::with_inputs(&[("input", input)])
    }

    /// A graph with only inputs of these names and shapes (per sample), values 0, 1, ...
    ///
    /// # Errors
    /// As [`FloatGraph::new`], and where two have one name or there is none.
    pub fn with_inputs(inputs: &[(&str, &[usize])]) -> Result<Self> {
        let mut graph = Self { nodes: Vec::new(), weights: Vec::new(), outputs: vec![0] };
        for (i, &(name, shape)) in inputs.iter().enumerate() {
            let refuse = |reason: String| Error::model(name, "Input", reason);
            check_size(shape).map_err(refuse)?;
            if inputs[..i].iter().any(|(other, _)| *other == name) {
                return Err(refuse("has the name of another input".into()));
            }
            let facts = Form::batched(shape.to_vec());
            graph.add(Node { name: name.into(), op: FloatOp::Input, inputs: Vec::new(), facts })?;
        }
        if inputs.is_empty() { Err(Error::model("graph", "", "has no input")) } else { Ok(graph) }
    }

    /// The inputs.
    pub(super) fn inputs(&self) -> &[FloatNode] {
        let given = self.nodes.iter().take_while(|node| node.op == FloatOp::Input).count();
        &self.nodes[..given]
    }

    /// A graph with only the inputs of this one.
    pub(super) fn emptied(&self) -> Self {
        Self { nodes: self.inputs().to_vec(), weights: Vec::new(), outputs: vec![0] }
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

    /// Appends an operation on earlier values; it becomes the only output.
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
        self.outputs = vec![self.nodes.len()];
        self.add(Node { name, op, inputs: inputs.to_vec(), facts })
    }

    /// The values that the graph computes: the one pushed last, unless others were chosen.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// Chooses what the graph computes, in the order in which an evaluation returns it.
    ///
    /// # Panics
    /// If there is no such value.
    pub fn set_outputs(&mut self, outputs: &[ValueId]) {
        assert!(outputs.iter().all(|&output| output < self.nodes.len()), "values of this graph");
        self.outputs = outputs.to_vec();
    }

    /// Shape of a value, per sample unless it is the same for all.
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
