//! A network over the real numbers, with its weights: what the importer builds, the passes rewrite and
//! [`compile`](super::compile) turns into a [`Graph`](super::Graph).

use ndarray::ArrayD;

use super::graph::{MAX_NODES, Op, ValueId};
use super::shape::{self, Form};
use crate::error::{Error, Result};

/// Layers in topological order; layer 0 is the input.
///
/// ```
/// use mpc_core::model::{Network, Op};
/// use ndarray::ArrayD;
///
/// let mut network = Network::new(&[4])?;
/// let weight = network.weight("fc.weight", ArrayD::from_elem(vec![4, 2], 0.5))?;
/// let product = network.push("fc", Op::MatMul, &[0, weight])?;
/// network.push("relu", Op::Relu { rescale: 0, ceiling: None }, &[product])?;
/// assert_eq!(network.shape(network.output()), [2]);
/// # Ok::<(), mpc_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Network {
    pub(super) layers: Vec<Layer>,
    pub(super) weights: Vec<ArrayD<f64>>,
    pub(super) output: ValueId,
}

/// A node before fixed point.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub name: String,
    pub op: Op,
    pub inputs: Vec<ValueId>,
    pub form: Form,
}

impl Network {
    /// A network with only an input of this shape (per sample).
    ///
    /// # Errors
    /// [`Error::Model`] where the shape is empty or too large; likewise below.
    pub fn new(input: &[usize]) -> Result<Self> {
        shape::check_size(input).map_err(|reason| Error::model("input", "Input", reason))?;
        let form = Form { shape: input.to_vec(), batched: true, frac_bits: 0 };
        let layer = Layer { name: "input".into(), op: Op::Input, inputs: Vec::new(), form };
        Ok(Self { layers: vec![layer], weights: Vec::new(), output: 0 })
    }

    /// Adds a weight.
    ///
    /// # Errors
    /// [`Error::Model`], also where an element is not finite.
    pub fn weight(&mut self, name: impl Into<String>, value: ArrayD<f64>) -> Result<ValueId> {
        let name = name.into();
        shape::check_size(value.shape()).map_err(|reason| Error::model(&name, "Weight", reason))?;
        if value.iter().any(|w| !w.is_finite()) {
            return Err(Error::model(name, "Weight", "has an element that is not a finite number"));
        }
        let form = Form { shape: value.shape().to_vec(), batched: false, frac_bits: 0 };
        self.weights.push(value.as_standard_layout().into_owned());
        self.add(Layer { name, op: Op::Weight(self.weights.len() - 1), inputs: Vec::new(), form })
    }

    /// Appends an operation on earlier values; it becomes the output. Everything is in real numbers here: fractional
    /// bits in `op` are 0.
    ///
    /// # Errors
    /// [`Error::Model`] where the operands do not fit.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let name = name.into();
        let forms: Vec<Form> = inputs.iter().map(|&input| self.layers[input].form.clone()).collect();
        let form = shape::infer(&op, &forms).map_err(|reason| Error::model(&name, op.name(), reason))?;
        self.output = self.layers.len();
        self.add(Layer { name, op, inputs: inputs.to_vec(), form })
    }

    /// The value that the network computes: of a network built by hand, the one pushed last.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// Chooses another output.
    pub(super) fn set_output(&mut self, output: ValueId) {
        self.output = output;
    }

    /// Shape of a value, per sample unless it is a weight.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        &self.layers[value].form.shape
    }

    /// The elements of a weight, if the value is one.
    pub(super) fn constant(&self, value: ValueId) -> Option<&ArrayD<f64>> {
        match self.layers[value].op {
            Op::Weight(index) => Some(&self.weights[index]),
            _ => None,
        }
    }

    fn add(&mut self, layer: Layer) -> Result<ValueId> {
        if self.layers.len() >= MAX_NODES {
            return Err(Error::model(layer.name, layer.op.name(), format!("is one more than {MAX_NODES} nodes")));
        }
        self.layers.push(layer);
        Ok(self.layers.len() - 1)
    }
}
