//! One of the three servers that evaluate a secret-shared network on secret-shared inputs.

mod access;
mod admission;
mod agreement;
mod callers;
mod catalog;
mod cell;
mod change;
mod check;
pub mod cli;
pub mod config;
mod conversation;
mod counted;
mod ended;
mod error;
mod evaluate;
mod evaluation;
mod gallery;
mod health;
mod intake;
mod keys;
mod lines;
mod machine;
mod model;
mod operator;
mod overview;
mod reload;
mod serve;
mod session;
pub mod store;
mod telemetry;
mod upload;

pub use config::Config;
pub use error::{Error, Result};
pub use serve::serve;
