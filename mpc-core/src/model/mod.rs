//! What is known about a model: its manifest.

pub mod manifest;

pub use manifest::Manifest;
