//! mpc-party
fn main() {}
