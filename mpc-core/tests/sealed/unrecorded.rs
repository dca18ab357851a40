//! A party that drops its claims before it verifies.

use mpc_core::Party;

pub fn forget(party: &mut Party) {
    party.take_claims();
}

fn main() {}
