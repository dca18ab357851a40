//! mpc-client

pub mod preprocess;
