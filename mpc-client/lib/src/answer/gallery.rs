//! What `face enrol`, `face list` and `face remove` answer.

use std::time::Duration;

use mpc_core::session::Mode;
use serde::Serialize;

use super::Cost;
use crate::gallery::{Gallery, Lost};
use crate::session::{Evaluation, Model};

/// Who was enrolled.
#[derive(Debug, Serialize)]
pub struct Enrolled {
    command: &'static str,
    model: String,
    id: String,
    /// How many pictures the template is the mean of.
    pub pictures: usize,
    /// What the template was computed with, which may be stricter than what was asked for.
    security: Option<Mode>,
    #[serde(flatten)]
    cost: Cost,
}

impl Enrolled {
    /// `person`, enrolled with so many pictures by this evaluation, for which somebody has waited for `elapsed`.
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

/// Who is enrolled.
#[derive(Debug, Serialize)]
pub struct Persons {
    command: &'static str,
    model: String,
    /// Their names.
    pub persons: Vec<String>,
    /// Those whose template a server has lost.
    pub lost: Vec<Lost>,
}

impl Persons {
    /// Everybody in the gallery of a model.
    pub fn new(model: &Model, Gallery { persons, lost, .. }: Gallery) -> Self {
        Self { command: "face list", model: model.manifest.name.clone(), persons, lost }
    }
}

/// Who was removed.
#[derive(Debug, Serialize)]
pub struct Removed {
    command: &'static str,
    model: String,
    id: String,
}

impl Removed {
    /// `person`, removed from the gallery of a model.
    pub fn new(model: &Model, person: &str) -> Self {
        Self { command: "face remove", model: model.manifest.name.clone(), id: person.into() }
    }
}
