//! A manifest is refused or read; what is read is within its limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mpc_core::model::Manifest;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text) {
        manifest.validate().expect("what is read is valid");
        assert!(manifest.sample_len() > 0);
    }
});
