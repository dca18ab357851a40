//! mpc-client
fn main() {}
