//! A check that leaves one thing out.

use mpc_core::security::{Checks, Parameters};

pub fn without_products() -> Checks {
    Checks { products: false, ..Checks::ALL }
}

pub fn parameters<P: Parameters>() {}

fn main() {}
