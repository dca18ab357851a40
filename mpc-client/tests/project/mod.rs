//! The models that come with the project, and their answers to their samples.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A recording or picture with its label.
pub(crate) struct Sample {
    /// The path of the file.
    pub(crate) file: PathBuf,
    /// The answer of the model's own framework.
    pub(crate) label: String,
}

/// The folder of all models.
pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models")
}

/// The samples of one of them, from its `expected.json`.
pub(crate) fn samples(model: &str) -> Vec<Sample> {
    let folder = models().join(model);
    let text = std::fs::read(folder.join("expected.json")).expect("expected results");
    let expected: Value = serde_json::from_slice(&text).expect("JSON");
    let samples = expected["samples"].as_array().expect("samples");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    samples.iter().map(|s| Sample { file: folder.join(text(&s["file"])), label: text(&s["label"]) }).collect()
}
