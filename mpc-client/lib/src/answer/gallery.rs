//! The answers of `face enrol`, `face list` and `face remove`.

use std::time::Duration;

use mpc_core::session::Mode;
use serde::Serialize;

use super::Cost;
use crate::gallery::{Gallery, Lost};
use crate::session::{Evaluation, Model};

/// The person enrolled.
#[derive(Debug, Serialize)]
pub struct Enrolled {
    command: &'static str,
    model: String,
    id: String,
    /// Number of pictures whose mean is the template.
    pub pictures: usize,
    /// The security of the template's computation, which may be stricter than asked for.
    security: Option<Mode>,
    #[serde(flatten)]
    cost: Cost,
}

impl Enrolled {
    /// The answer for `person`, enrolled with `pictures` pictures by this evaluation, which took `elapsed`.
    pub fn new(model: &Model, person: &str, pictures: usize, evaluation: &Evaluation, elapsed: Duration) -> Self {
        Self {
            command: "face enrol",
            model: model.manifest.name.clone(),
            id: person.into(),
            pictures,
            security: evaluation.security,
            cost: Cost::of(evaluation, elapsed),
        }
    }
}

/// The persons enrolled.
#[derive(Debug, Serialize)]
pub struct Persons {
    command: &'static str,
    model: String,
    /// Their names.
    pub persons: Vec<String>,
    /// The persons whose template a server has lost.
    pub lost: Vec<Lost>,
}

impl Persons {
    /// Everybody in the gallery of a model.
    pub fn new(model: &Model, Gallery { persons, lost, .. }: Gallery) -> Self {
        Self { command: "face list", model: model.manifest.name.clone(), persons, lost }
    }
}

/// The person removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    command: &'static str,
    model: String,
    id: String,
}

impl Removed {
    /// The answer for `person`, removed from the gallery of a model.
    pub fn new(model: &Model, person: &str) -> Self {
        Self { command: "face remove", model: model.manifest.name.clone(), id: person.into() }
    }
}
