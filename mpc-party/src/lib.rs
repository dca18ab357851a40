//! One of the three servers that evaluate a secret-shared network on secret-shared inputs.

mod access;
mod admission;
mod agreement;
mod asked;
mod catalog;
mod change;
pub mod check;
pub mod cli;
pub mod config;
mod gallery;
pub mod health;
mod keys;
mod lines;
mod model;
mod operator;
mod publish;
mod reload;
mod request;
pub mod serve;
mod session;
pub mod store;
mod telemetry;

pub use config::Config;
pub use serve::{Server, serve};
