//! The three roles and the ring they form.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the three parties. `P0 -> P1 -> P2 -> P0` is the direction of [`Role::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// The first party, which also orders the admission of sessions.
    P0,
    /// The second party.
    P1,
    /// The third party.
    P2,
}

impl Role {
    /// All three, in order.
    pub const ALL: [Role; 3] = [Role::P0, Role::P1, Role::P2];

    /// 0, 1 or 2.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The role with this index modulo 3.
    pub const fn from_index(index: usize) -> Role {
        Role::ALL[index % 3]
    }

    /// The party that holds this party's second component as its first.
    pub const fn next(self) -> Role {
        Role::from_index(self.index() + 1)
    }

    /// The party that holds this party's first component as its second.
    pub const fn prev(self) -> Role {
        Role::from_index(self.index() + 2)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.index())
    }
}
