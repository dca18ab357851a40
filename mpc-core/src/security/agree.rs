//! The comparison of components that came from outside between their two holders.
//!
//! Component x_j of an input or of a model is with P_j and P_{j-1}, who share key k_j. A client or a publisher that
//! gave them different components, or a party that changed its own after the fact, would make the check of products
//! pass or fail depending on secrets.
//!
//! 1. Both holders send each other a keyed hash of their component, bound to the sender and to what it is of, and
//!    compare.
//!
//! The third party sees nothing, and to a holder the hash says whether its own component is that of the other. Where
//! one holder deviates, the component that counts is the honest one's. Runs before the first product. 1 round, 64 bytes
//! for each thing. The keyed hash is HKDF with SHA-256, a pseudorandom function of the digest under k_j.

use crate::error::{Error, Result, Step};
use crate::link::Link;
use crate::prss::Prss;
use crate::role::Role;
use crate::security::Digests;
use crate::session::Id;

/// Compares components between their holders.
pub(super) fn agree(link: &mut Link, given: &[(Step, Digests)]) -> Result<()> {
    let role = link.role();
    let tags = |prss: &Prss, sender: Role, what: Step, digest: &Id| {
        let message = [b"mpc given v1", &[sender.index() as u8, what as u8][..], digest].concat();
        prss.derive(&message)
    };
    link.round(|round| {
        for &(what, digests) in given {
            let [own, _] = tags(round.prss(), role, what, &digests.own);
            let [_, next] = tags(round.prss(), role, what, &digests.next);
            round.send(role.prev(), &*own)?;
            round.send(role.next(), &*next)?;
        }
        Ok(|link: &mut Link| {
            for &(what, digests) in given {
                let [own, _] = tags(link.prss(), role.prev(), what, &digests.own);
                let [_, next] = tags(link.prss(), role.next(), what, &digests.next);
                let theirs = [link.recv::<u8>(role.prev(), own.len())?, link.recv::<u8>(role.next(), next.len())?];
                if theirs[0] != *own || theirs[1] != *next {
                    return Err(Error::Cheating { step: what });
                }
            }
            Ok(())
        })
    })
}
