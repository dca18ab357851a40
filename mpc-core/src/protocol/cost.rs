//! What a protocol costs, declared beside it and held against the meter in tests.

use std::ops::{Add, AddAssign};

/// Rounds, and the bytes of all three parties together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Messages that have to wait for each other.
    pub rounds: u64,
    /// Payload sent.
    pub bytes: u64,
}

impl Cost {
    /// A round in which the parties together send so many elements of `bits` bits.
    pub(super) fn round(elements: usize, bits: u32) -> Self {
        Self { rounds: 1, bytes: elements as u64 * u64::from(bits / 8) }
    }

    /// A round in which each party sends so many planes of n bits.
    pub(super) fn planes(planes: usize, n: usize) -> Self {
        Self::round(3 * planes * n.div_ceil(64), u64::BITS)
    }

    /// Both at the same time.
    pub fn beside(self, other: Self) -> Self {
        Self { rounds: self.rounds.max(other.rounds), bytes: self.bytes + other.bytes }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { rounds: self.rounds + other.rounds, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}
