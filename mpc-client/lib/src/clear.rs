//! The same answers on this machine, in the clear: for the model's owner, to see the expected answers of the servers.

use mpc_core::inference::clear::evaluate_fixed;
use mpc_core::model;
use mpc_core::model::manifest::Reveal;
use mpc_core::ring::fixed;
use ndarray::{ArrayD, IxDyn};

use crate::error::{Error, Result};
use crate::session::{Encoded, Evaluation, Model, Rows};

impl Model {
    /// An owner's model, which no cluster serves.
    pub fn owned(model: &model::Model) -> Self {
        let model::Model { manifest, graph, .. } = model.clone();
        Self { publication: [0; 32], revision: 0, minimum: manifest.security, manifest, graph }
    }
}

/// The label of each input, as `Client::classify`, in the servers' fixed point.
///
/// # Errors
/// [`Error::WrongTask`] for a model that compares.
pub fn classify(model: &model::Model, inputs: &[Encoded]) -> Result<Evaluation> {
    if model.manifest.task.compares() {
        return Err(Error::WrongTask { model: model.manifest.name.clone(), compares: true });
    }
    Ok(rows(model, inputs)?.revealed(model).labels(&model.manifest, inputs))
}

/// Whether inputs 2i and 2i + 1 are of the same person, as `Client::compare`; the cosine is
/// always there.
///
/// # Errors
/// [`Error::WrongTask`] for a model with labels.
pub fn compare(model: &model::Model, inputs: &[Encoded]) -> Result<Evaluation> {
    let Some(embedding) = &model.manifest.embedding else {
        return Err(Error::WrongTask { model: model.manifest.name.clone(), compares: false });
    };
    let embeddings = rows(model, inputs)?;
    let length = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    let cosine = |pair: &[Vec<f64>]| {
        let product: f64 = pair[0].iter().zip(&pair[1]).map(|(a, b)| a * b).sum();
        vec![product / (length(&pair[0]) * length(&pair[1]))]
    };
    let cosines = embeddings.rows.chunks_exact(2).map(cosine).collect();
    Ok(Rows { rows: cosines, ..embeddings }.revealed(model).verdicts(embedding.threshold))
}

impl Rows {
    /// Rounds as the servers round what they reveal; keeps all bits where the servers reveal only labels.
    fn revealed(mut self, model: &model::Model) -> Self {
        if model.manifest.reveal == Reveal::Scores {
            let frac_bits = model.manifest.score_bits(&model.graph);
            self.rows.iter_mut().flatten().for_each(|score| *score = fixed::round(*score, frac_bits));
        }
        self
    }
}

/// The outputs of the network for each input.
fn rows(model: &model::Model, inputs: &[Encoded]) -> Result<Rows> {
    let (windows, words): (Vec<u32>, Vec<&[u64]>) =
        inputs.iter().map(|input| (input.windows, &input.words[..])).unzip();
    let facts = model.graph.input();
    let values = words.concat().into_iter().map(|word| fixed::decode(word, facts.frac_bits)).collect();
    let shape = facts.full_shape(windows.iter().map(|&n| n as usize).sum());
    let input = ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|e| Error::Internal(e.to_string()))?;
    let outputs = evaluate_fixed(&model.graph, &model.weights, &[input], &windows)?.swap_remove(0);
    let rows = outputs.outer_iter().map(|row| row.iter().copied().collect()).collect();
    Ok(Rows { rows, security: None, rounds: 0, bytes_sent: [0; 3] })
}
