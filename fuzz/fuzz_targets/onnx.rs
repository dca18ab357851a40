//! An ONNX file is refused or compiled to a valid graph with the weights that it names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mpc_core::model::{Manifest, Model};

const MANIFEST: &str = r#"
format = 1
name = "fuzz"
title = "Whatever comes"
task = "classify"
labels = ["0", "1"]
reveal = "label"
security = "passive"
licence = "open"
[preprocess]
kind = "image"
channels = "grey"
mean = [0.5]
std = [0.25]
[input]
shape = [1, 8, 8]
range = 2.0
[bounds]
policy = "proved"
"#;

fuzz_target!(|onnx: &[u8]| {
    let manifest = Manifest::parse(MANIFEST).expect("a valid manifest");
    if let Ok(model) = Model::import(manifest, onnx, None) {
        model.graph.validate().expect("what is compiled is valid");
        assert_eq!(model.graph.weights.len(), model.weights.len());
    }
});
