//! One file per protocol; each says who holds what, its numbered rounds and why it is private.
//!
//! All three parties call the same function with their share of the same values. Costs are per element and party
//! unless said otherwise; n elements at once cost n times the bytes and the same rounds. Everything that talks does so
//! through [`reshare`](crate::link::reshare) and [`open`]; see `docs/protocols.md` for the arguments.

pub mod argmax;
pub mod bits;
pub mod carry;
pub mod compare;
pub mod convert;
pub mod cost;
pub mod lift;
pub mod open;
pub mod piecewise;
pub mod polynomial;
pub mod pool;
pub mod power;
pub mod product;
pub mod relu;
pub mod round;
pub mod rows;
pub mod thresholds;
pub mod truncate;
pub mod unit;
pub mod winner;
