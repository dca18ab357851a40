//! The answers of `models` and `model show`.

use data_encoding::HEXLOWER;
use mpc_core::model::manifest::{Licence, Reveal};
use mpc_core::session::Mode;
use serde::Serialize;

use crate::models::Models;
use crate::session::Model;

/// The models that all three parties serve.
#[derive(Debug, Serialize)]
pub struct ModelList {
    command: &'static str,
    models: Vec<ModelEntry>,
    problems: Vec<String>,
}

impl From<Models> for ModelList {
    fn from(Models { served, problems, .. }: Models) -> Self {
        Self { command: "models", models: served.into_iter().map(ModelEntry::from).collect(), problems }
    }
}

/// The public facts about one model.
#[derive(Debug, Serialize)]
pub struct ModelEntry {
    /// The name for requests.
    pub name: String,
    /// The publisher's version.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// The labels, by position.
    pub labels: Vec<String>,
    /// What the servers reveal.
    pub reveal: Reveal,
    /// Fractional bits of the scores that the servers reveal, where the manifest sets them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reveal_bits: Option<u32>,
    /// The weakest security for its evaluation.
    pub security: Mode,
    /// Who may use it.
    pub licence: Licence,
    /// The shape of one window.
    pub input: Vec<usize>,
    /// Number of weights.
    pub weights: usize,
    /// Number of nodes in its graph.
    pub operations: usize,
    /// The change that put it into service.
    pub revision: u64,
    /// The name of this publication, in hexadecimal digits.
    pub publication: String,
}

impl From<Model> for ModelEntry {
    fn from(Model { publication, revision, manifest, graph, minimum }: Model) -> Self {
        Self {
            weights: graph.weights.iter().map(|spec| spec.shape.iter().product::<usize>()).sum(),
            operations: graph.nodes.len(),
            name: manifest.name,
            version: manifest.version,
            title: manifest.title,
            labels: manifest.labels,
            reveal: manifest.reveal,
            reveal_bits: manifest.reveal_bits,
            security: minimum,
            licence: manifest.licence,
            input: manifest.input.shape,
            revision,
            publication: HEXLOWER.encode(&publication),
        }
    }
}
