//! Evaluation of a graph, in the clear and on shares.

pub mod secure;
