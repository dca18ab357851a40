//! One of the three servers that evaluate a secret-shared network on secret-shared inputs.

mod admission;
mod catalog;
pub mod cli;
pub mod config;
pub mod health;
mod lines;
mod publish;
mod request;
pub mod serve;
mod session;
pub mod store;

pub use config::Config;
pub use serve::{Server, serve};
