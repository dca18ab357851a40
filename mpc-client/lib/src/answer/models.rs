//! What `models` and `model show` answer.

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

/// What is public of one model.
#[derive(Debug, Serialize)]
pub struct ModelEntry {
    /// The name that requests give.
    pub name: String,
    /// The publisher's own count.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// The labels, by position.
    pub labels: Vec<String>,
    /// What leaves the servers.
    pub reveal: Reveal,
    /// The weakest security that it is evaluated with.
    pub security: Mode,
    /// Who may use it.
    pub licence: Licence,
    /// The shape of one window.
    pub input: Vec<usize>,
    /// How many weights it has.
    pub weights: usize,
    /// How many nodes its graph has.
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
            security: minimum,
            licence: manifest.licence,
            input: manifest.input.shape,
            revision,
            publication: HEXLOWER.encode(&publication),
        }
    }
}
