//! What a protocol costs, declared beside it and held against the meter in tests.

use std::ops::{Add, AddAssign};

use crate::session::Conditions;

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

    /// Nanoseconds on the line, and for what the processors do with each byte.
    pub fn nanoseconds(self, conditions: Conditions) -> u64 {
        /// Measured: comparisons and injections, passive, take a party 4 to 6 ns for each byte that they send, active
        /// four times as long.
        const PROCESSING: u64 = 8;
        let line = 8000 / u64::from(conditions.rate_mbit.max(1));
        let waiting = self.rounds.saturating_mul(u64::from(conditions.latency_us) * 1000);
        waiting.saturating_add((self.bytes / 3).saturating_mul(line + PROCESSING))
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
