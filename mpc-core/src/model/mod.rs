//! A model: its manifest, its public graph and its weights.
//!
//! ONNX file -> [`FloatGraph`] over the reals -> passes -> fixed-point [`Graph`], whose every value has a bound.
//! Whoever owns the weights does all that in the clear; the parties only ever see the graph and shares of the weights.

mod bounds;
pub(crate) mod evaluate;
mod float_graph;
mod form;
pub mod graph;
pub mod manifest;
mod npy;
pub mod onnx;
pub mod op;
mod passes;

use std::path::Path;

use ndarray::ArrayD;

pub use float_graph::FloatGraph;
pub use graph::{Bound, Facts, Graph, Node, Source, ValueId, WeightSpec};
pub use manifest::Manifest;
pub use op::{FloatOp, Function, Op, PoolGeometry};

use crate::error::{Error, Result};
use crate::ring::{Tensor, fixed};
use crate::sharing::tensor;

/// File name of the network in a model's folder.
pub const ONNX_FILE: &str = "model.onnx";

/// File name of the samples for calibrated bounds in a model's folder: preprocessed inputs, batch first, a NumPy array.
pub const CALIBRATION_FILE: &str = "calibration.npy";

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

/// What [`compile`] must know about a network besides its float graph.
#[derive(Debug, Clone)]
pub struct Declared<'a> {
    /// Largest magnitude of a value of an input.
    pub range: f64,
    /// Fractional bits of inputs and of all activations.
    pub frac_bits: u32,
    /// Most windows per input where inputs are cut into windows: the outputs of the windows are then added up.
    pub max_windows: Option<u32>,
    /// Where bounds may come from.
    pub bounds: manifest::Bounds,
    /// A batch of typical samples of each input, for calibrated bounds.
    pub samples: Option<&'a [ArrayD<f64>]>,
}

impl Model {
    /// Reads `manifest.toml`, `model.onnx` and, for calibrated bounds, `calibration.npy` of a folder and compiles them.
    ///
    /// # Errors
    /// [`Error::File`] for a file, [`Error::Invalid`] for what it says, [`Error::Model`] with the node that cannot be
    /// imported or bounded.
    pub fn load(folder: &Path) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let read = |file: &str| {
            let path = folder.join(file);
            std::fs::read(&path).map_err(|e| Error::file(&path, e))
        };
        let samples = match manifest.bounds {
            manifest::Bounds::Calibrated { .. } => Some(npy::read(&read(CALIBRATION_FILE)?)?),
            manifest::Bounds::Proved => None,
        };
        Self::import(manifest, &read(ONNX_FILE)?, samples.as_ref())
    }

    /// Compiles an ONNX file; `samples` is a batch of typical inputs for calibrated bounds.
    ///
    /// # Errors
    /// [`Error::Model`] with the node that cannot be imported or bounded.
    pub fn import(manifest: Manifest, onnx: &[u8], samples: Option<&ArrayD<f64>>) -> Result<Self> {
        let network = onnx::import(onnx, &manifest.input.shape)?;
        let scores = network.shape(network.outputs()[0]);
        if scores != [manifest.outputs()] {
            let what = if manifest.task.compares() { "an embedding of" } else { "labels:" };
            let reason =
                format!("has shape {scores:?} per sample, but the manifest declares {what} {}", manifest.outputs());
            return Err(Error::model("output", "", reason));
        }
        let declared = Declared {
            range: manifest.input.range.into(),
            frac_bits: manifest.input.frac_bits,
            max_windows: manifest.windows.as_ref().map(|windows| windows.max as u32),
            bounds: manifest.bounds.clone(),
            samples: samples.map(std::slice::from_ref),
        };
        let (graph, weights) = compile(&network, &declared)?;
        Ok(Self { manifest, graph, weights })
    }

    /// The weights in fixed point, as they are shared.
    ///
    /// # Errors
    /// As [`encode_weights`].
    pub fn encode_weights(&self) -> Result<Vec<Tensor<u64>>> {
        encode_weights(&self.graph, &self.weights)
    }
}

/// Turns a float graph into a graph in fixed point, and the weights in the order of [`Graph::weights`].
///
/// # Errors
/// [`Error::Model`] with the node that cannot be bounded, and by how many bits it exceeds the ring.
pub fn compile(network: &FloatGraph, declared: &Declared<'_>) -> Result<(Graph, Vec<ArrayD<f64>>)> {
    let network = passes::simplify(network)?;
    let peaks = match (&declared.bounds, declared.samples) {
        (manifest::Bounds::Calibrated { .. }, Some(samples)) => {
            check_samples(&network, samples)?;
            Some(evaluate::peaks(&network, samples)?)
        }
        _ => None,
    };
    passes::quantize(&network, declared, peaks.as_deref())
}

/// Refuses batches that are not as many samples of each input, one at least.
fn check_samples(network: &FloatGraph, samples: &[ArrayD<f64>]) -> Result<()> {
    let batch = samples.first().and_then(|batch| batch.shape().first()).copied().unwrap_or(0).max(1);
    let expected = network.inputs().iter().map(|input| [&[batch], &input.facts.shape[..]].concat());
    let (expected, given): (Vec<_>, Vec<_>) =
        (expected.collect(), samples.iter().map(|x| x.shape().to_vec()).collect());
    if expected == given {
        return Ok(());
    }
    Err(Error::invalid("calibration samples", format!("have shapes {given:?}, expected {expected:?}")))
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
