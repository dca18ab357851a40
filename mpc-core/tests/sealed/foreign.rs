//! A share of anything, said to be what a session has computed; and a look at what one has computed.

use mpc_core::Party;
use mpc_core::party::Computed;
use mpc_core::sharing::ArithmeticShare;

pub fn mark(party: &Party, weight: ArithmeticShare) -> Computed<ArithmeticShare> {
    party.computed(weight)
}

pub fn look(computed: Computed<ArithmeticShare>) -> ArithmeticShare {
    computed.unverified()
}

fn main() {}
