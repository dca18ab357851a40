//! mpc-party
