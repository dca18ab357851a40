//! Three-party computation on secret-shared tensors, and neural networks on top of it.
//!
//! Three parties P0, P1, P2 that do not collude compute on numbers that none of them knows. A secret x is split as
//! x = x0 + x1 + x2 mod 2^64; party Pi holds (x_i, x_{i+1}). The same with xor for bits.
//!
//! From the ground up, each module uses only those before it and those of its own line:
//!
//! | module | what |
//! |---|---|
//! | [`error`], [`random`], [`role`], [`session`], [`ring`] | kinds of failure; random numbers; P0, P1, P2; what names and describes a session; words, domains and fixed point |
//! | [`kernel`] | local compute: matrix products, convolutions, bit transposes |
//! | [`sharing`], [`prss`] | replicated shares of tensors; correlated randomness without a message |
//! | [`wire`] | control messages and shares as bytes, and the file that names the parties |
//! | [`network`] | exact-length messages between the parties, in memory or over QUIC |
//! | [`link`] | one party's end of a session: instructions that talk |
//! | [`security`] | what is recorded and checked of each product |
//! | [`party`] | the state that a protocol runs on |
//! | [`protocol`] | one file per protocol |
//! | [`model`] | manifest, ONNX import, graphs, one file per operation |
//! | [`plan`] | which variants of the protocols suit the lines between the parties |
//! | [`inference`] | evaluation of clear and of secret-shared values |
//!
//! Three parties multiply two secrets and take the sign of the result:
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use mpc_core::protocol::{compare, product};
//! use mpc_core::ring::{Arithmetic, Boolean, Tensor};
//! use mpc_core::sharing::{Share, reconstruct};
//! use mpc_core::testing::{deal, three_parties};
//! use ndarray::IxDyn;
//!
//! let secret = |values: Vec<i64>| {
//!     let words = values.into_iter().map(|v| v as u64).collect();
//!     Tensor::from_shape_vec(IxDyn(&[3]), words).unwrap()
//! };
//! let x: [Share<Arithmetic, u64>; 3] = deal(&secret(vec![5, -6, 7]));
//! let y: [Share<Arithmetic, u64>; 3] = deal(&secret(vec![2, 3, -4]));
//!
//! let signs = three_parties(0, |party| {
//!     let i = party.role().index();
//!     let product = product::mul(party, &x[i], &y[i])?;
//!     compare::msb(party, &product, 8)
//! });
//! let signs: [Share<Boolean, u64>; 3] = signs.map(Result::unwrap);
//! assert_eq!(reconstruct(&signs).unwrap()[[0, 0]] & 0b111, 0b110); // 10, -18, -28
//! # }
//! ```

pub mod error;
pub mod inference;
pub mod kernel;
pub mod link;
pub mod model;
pub mod network;
pub mod party;
pub mod plan;
pub mod protocol;
pub mod prss;
pub mod random;
pub mod ring;
pub mod role;
pub mod security;
pub mod session;
pub mod sharing;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;

pub use error::{Error, Result};
pub use party::Party;
pub use role::Role;
