//! mpc-client
