//! What protocols must not do: the tests must find it.

use mpc_core::error::Result;
use mpc_core::link::reshare::reshare;
use mpc_core::link::round;
use mpc_core::ring::{Arithmetic, Word};
use mpc_core::sharing::ArithmeticShare;
use mpc_core::testing::small::Small;
use mpc_core::{Party, Role};

use crate::protocols::{Input, Protocol, on_ring, product};
use crate::session::{Combination, Output};

/// Products modulo 8 by a reshare that nobody claims anything about.
pub(crate) fn unclaimed_product() -> Protocol {
    let run = |p: &mut Party, s: &[ArithmeticShare<Small<3>>]| {
        let parts = (s[0].own().iter().zip(s[0].next())).zip(s[1].own().iter().zip(s[1].next()));
        let part = |((x0, x1), (y0, y1)): ((&Small<3>, &Small<3>), (&Small<3>, &Small<3>))| {
            x0.wrapping_mul(y0.wrapping_add(*y1)).wrapping_add(x1.wrapping_mul(*y0))
        };
        let z = parts.map(part).collect();
        Ok(Output::numbers(&reshare::<Arithmetic, Small<3>>(p.link(), s[0].shape(), z)?))
    };
    Protocol { program: on_ring("unclaimed".into(), Vec::new(), run, |_| 0).program, ..product::<3>() }
}

/// Each party is sent what it lacks of x.
pub(crate) fn bare_component() -> Protocol {
    careless(|p, x| {
        let to = p.role().prev();
        tell(p, to, x)
    })
}

/// x + r and 3 x + r.
pub(crate) fn mask_used_twice() -> Protocol {
    careless(|p, x| {
        let to = p.role().next();
        let mask = mpc_core::testing::protocols::random::<Arithmetic, Small<3>>(p, x.shape());
        [x, &x.scale(Small::from_u64(3))].into_iter().try_for_each(|x| tell(p, to, &x.add(&mask)))
    })
}

/// Sends the own component to `to`, and receives that of the third party.
fn tell(party: &mut Party, to: Role, x: &ArithmeticShare<Small<3>>) -> Result<()> {
    let from = Role::ALL.into_iter().find(|&role| role != to && role != party.role()).expect("three parties");
    let words = x.own().as_slice().expect("standard layout");
    party.link().round(|round| round.send(to, words).map(|()| round::words::<Small<3>>(from, x.len()))).map(drop)
}

fn careless(talk: impl Fn(&mut Party, &ArithmeticShare<Small<3>>) -> Result<()> + Send + Sync + 'static) -> Protocol {
    let run = move |p: &mut Party, s: &[ArithmeticShare<Small<3>>]| {
        talk(p, &s[0])?;
        Ok(Output::numbers(&s[0]))
    };
    on_ring("careless".into(), vec![Input::ring(3)], run, |x| Combination::Modulo { bits: 3 }.of(x[0]))
}
