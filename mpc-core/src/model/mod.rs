//! A model: its manifest, its public graph and its weights.
//!
//! ONNX file -> [`Network`] over the reals -> passes -> fixed-point [`Graph`], whose every value has a bound. Whoever
//! owns the weights does all that in the clear; the parties only ever see the graph and shares of the weights.

pub mod graph;
pub mod manifest;
mod network;
mod shape;

use std::path::Path;

use ndarray::ArrayD;

pub use graph::{Bound, Facts, Graph, Node, Op, PoolGeometry, Source, ValueId, WeightSpec};
pub use manifest::Manifest;
pub use network::Network;

use crate::error::{Error, Result};
use crate::ring::{Tensor, fixed};
use crate::sharing::tensor;

/// File name of the network in a model's folder.
pub const ONNX_FILE: &str = "model.onnx";

/// A model as its owner has it, weights in the clear.
#[derive(Debug, Clone)]
pub struct Model {
    /// What is declared.
    pub manifest: Manifest,
    /// The public graph.
    pub graph: Graph,
    /// The weights, in the order of [`Graph::weights`].
    pub weights: Vec<ArrayD<f64>>,
}

/// What [`compile`] must know about a network besides its layers.
#[derive(Debug, Clone)]
pub struct Declared<'a> {
    /// Largest magnitude of an input value.
    pub range: f64,
    /// Fractional bits of the input and of all activations.
    pub frac_bits: u32,
    /// Most windows per input where inputs are cut into windows: the outputs of the windows are then added up.
    pub max_windows: Option<u32>,
    /// Where bounds may come from.
    pub bounds: manifest::Bounds,
    /// A batch of typical inputs, for calibrated bounds.
    pub samples: Option<&'a ArrayD<f64>>,
}

impl Model {
    /// Reads `manifest.toml` and `model.onnx` of a folder and compiles them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a file, [`Error::Model`] with the node that cannot be imported or bounded.
    pub fn load(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let path = folder.join(ONNX_FILE);
        let onnx = std::fs::read(&path).map_err(|e| Error::invalid(path.display().to_string(), e.to_string()))?;
        Self::import(manifest, &onnx, None)
    }

    /// Compiles an ONNX file; `samples` is a batch of typical inputs for calibrated bounds.
    ///
    /// # Errors
    /// [`Error::Model`] with the node that cannot be imported or bounded.
    pub fn import(_manifest: Manifest, _onnx: &[u8], _samples: Option<&ArrayD<f64>>) -> Result<Self> {
        Err(Error::invalid("model", "import is not built yet"))
    }

    /// The weights in fixed point, as they are shared.
    ///
    /// # Errors
    /// As [`encode_weights`].
    pub fn encode_weights(&self) -> Result<Vec<Tensor<u64>>> {
        encode_weights(&self.graph, &self.weights)
    }
}

/// Turns a network into a graph in fixed point, and the weights in the order of [`Graph::weights`].
///
/// # Errors
/// [`Error::Model`] with the node that cannot be bounded, and by how many bits it exceeds the ring.
pub fn compile(_network: Network, _declared: &Declared<'_>) -> Result<(Graph, Vec<ArrayD<f64>>)> {
    Err(Error::invalid("model", "compilation is not built yet"))
}

/// Every weight with the fractional bits that the graph states.
///
/// # Errors
/// [`Error::Model`] where an element is too large.
pub fn encode_weights(graph: &Graph, weights: &[ArrayD<f64>]) -> Result<Vec<Tensor<u64>>> {
    graph
        .weights
        .iter()
        .zip(weights)
        .map(|(spec, weight)| {
            let encoded: Option<Vec<u64>> = weight.iter().map(|&w| fixed::encode(w, spec.frac_bits)).collect();
            let too_large = || Error::model(&spec.name, "Weight", "has an element too large for fixed point");
            Ok(tensor(weight.shape(), encoded.ok_or_else(too_large)?))
        })
        .collect()
}
