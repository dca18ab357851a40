//! One of the three servers that evaluate a secret-shared network on secret-shared inputs.

pub mod config;
pub mod store;
