//! Three-party computation on secret-shared tensors, and neural networks on top of it.
//!
//! Notation: x = x0 + x1 + x2 mod 2^64, party Pi holds (x_i, x_{i+1}); the same with xor for bits.

pub mod error;
pub mod inference;
pub mod kernel;
pub mod link;
pub mod model;
pub mod network;
pub mod party;
pub mod protocol;
pub mod prss;
pub mod ring;
pub mod role;
pub mod security;
pub mod sharing;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use error::{Error, Result};
pub use party::Party;
pub use role::Role;
