//! From an additive 3-of-3 sharing back to a replicated one.
//!
//! Pi holds z_i with z = z0 + z1 + z2, and wants (z'_i, z'_{i+1}) with the same sum.
//!
//! 1. Pi sets z'_i = z_i + F(k_i) - F(k_{i+1}), sends it to P_{i-1}, and receives z'_{i+1} from P_{i+1}.
//!
//! The masks add up to zero. P_{i-1} does not know k_{i+1}, so what it receives is uniform to it. One round, one
//! element per party. Source: Araki et al., CCS'16, section 2.2.
//!
//! **Sparse.** Where the shape of the operands makes z_j publicly zero, all parties leave out key k_{j+1}. Then z'_j is
//! F(k_j) or zero, which P_{j-1} computes itself, and Pj sends nothing. The messages that remain keep a mask that their
//! receiver does not know: P_{i-1} receives z'_i only where Pi contributes, and exactly then k_{i+1} is included.

use super::Link;
use super::round::{Pending, Round};
use crate::error::Result;
use crate::ring::{Domain, Word};
use crate::role::Role;
use crate::sharing::{Share, tensor};

/// The parties whose additive parts may differ from zero. Public: the shape of the operands determines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contributors([bool; 3]);

impl Contributors {
    /// All three: one element per party.
    pub const ALL: Self = Self([true; 3]);

    /// One party: one element in total.
    pub const fn only(role: Role) -> Self {
        let mut parties = [false; 3];
        parties[role.index()] = true;
        Self(parties)
    }

    /// All but one party: two elements in total.
    pub const fn all_but(role: Role) -> Self {
        let mut parties = [true; 3];
        parties[role.index()] = false;
        Self(parties)
    }

    /// Whether `role` contributes.
    pub const fn contains(self, role: Role) -> bool {
        self.0[role.index()]
    }
}

/// A reshare whose message is on its way.
#[must_use = "the peers have sent what this waits for"]
pub struct PendingReshare<D, W> {
    shape: Vec<usize>,
    own: Vec<W>,
    /// The next component, where it is computed here instead of received.
    next: Option<Vec<W>>,
    domain: std::marker::PhantomData<D>,
}

/// Reshares `z`, this party's additive part of a tensor of `shape`. 1 round, 1 element.
pub fn reshare<D: Domain, W: Word>(link: &mut Link, shape: &[usize], z: Vec<W>) -> Result<Share<D, W>> {
    link.round(|round| send(round, shape, Some(z), Contributors::ALL))
}

/// A (sparse) reshare within a round: masks and sends. `z` is `Some` exactly at the contributors.
///
/// # Panics
/// If `z` and `contributors` disagree or `z` does not fit `shape`.
pub fn send<D: Domain, W: Word>(
    round: &mut Round<'_>,
    shape: &[usize],
    z: Option<Vec<W>>,
    contributors: Contributors,
) -> Result<PendingReshare<D, W>> {
    let (role, n) = (round.role(), shape.iter().product());
    assert_eq!(z.is_some(), contributors.contains(role), "contributors, and they alone, bring a part");
    // A key is used exactly where the party before its owner contributes.
    let own_key = contributors.contains(role.prev());
    let next_is_known = !contributors.contains(role.next());
    let mut op = round.prss().next_op();
    let (own, next) = match z {
        Some(mut own) => {
            assert_eq!(own.len(), n, "as many elements as the shape says");
            let next = next_is_known.then(|| op.next::<W>(n));
            op.mask::<D, W>([own_key, next.is_none()], &mut own);
            if let Some(mask) = &next {
                own.iter_mut().zip(mask).for_each(|(z, &m)| *z = D::sub(*z, m));
            }
            round.send(role.prev(), &own)?;
            (own, next)
        }
        None => {
            let own = if own_key { op.own(n) } else { vec![W::ZERO; n] };
            (own, next_is_known.then(|| vec![W::ZERO; n]))
        }
    };
    Ok(PendingReshare { shape: shape.to_vec(), own, next, domain: std::marker::PhantomData })
}

impl<D: Domain, W: Word> PendingReshare<D, W> {
    /// The result, where no message brings a part of it: at the only contributor, for one.
    pub fn known(&self) -> Option<Share<D, W>> {
        let next = self.next.clone()?;
        Some(Share::new(tensor(&self.shape, self.own.clone()), tensor(&self.shape, next)))
    }
}

impl<D: Domain, W: Word> Pending<Link> for PendingReshare<D, W> {
    type Value = Share<D, W>;

    /// Waits for the component of the next party.
    fn receive(self, link: &mut Link) -> Result<Share<D, W>> {
        let next = match self.next {
            Some(next) => next,
            None => {
                let from = link.role().next();
                link.recv(from, self.own.len())?
            }
        };
        Ok(Share::new(tensor(&self.shape, self.own), tensor(&self.shape, next)))
    }
}
