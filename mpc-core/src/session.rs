//! The description of a session: its name, security, cost and branches, and the lines it runs over.

use serde::{Deserialize, Serialize};

/// 32 bytes: the name of a session or a publication, or a digest.
pub type Id = [u8; 32];

/// The adversary that an answer is secure against; a stricter mode is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No party learns anything as long as all follow the protocol and at most one analyses what it sees.
    Passive,
    /// One party may deviate in any way. It learns nothing, and the answer is right or there is none, except with
    /// probability 2^-41.
    #[default]
    Active,
    /// As [`Mode::Active`], with probability 2^-57.
    Strict,
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Passive => "passive",
            Mode::Active => "active",
            Mode::Strict => "strict",
        })
    }
}

/// What a client asks about its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Which label each input has.
    Label,
    /// Whether inputs 2i and 2i + 1 are of the same person: an answer for each two.
    Same,
    /// Whether each input is of the person enrolled at `place` in the gallery.
    Is {
        /// [`gallery_digest`](crate::wire::peer::gallery_digest) of the gallery that the client has seen.
        gallery: Id,
        /// The place.
        place: u32,
    },
    /// Of which person in the gallery each input is, or of none.
    Who {
        /// As in [`Question::Is`].
        gallery: Id,
    },
    /// Nothing: keep the mean of all inputs as a template.
    Enrol,
    /// The output of an enclosed network for each input; the only question about such a network.
    Output,
}

impl Question {
    /// The weakest security for this question, whatever the client asks for: a kept template serves later sessions of
    /// any security.
    pub fn minimum(&self) -> Mode {
        match self {
            Self::Enrol => Mode::Active,
            Self::Label | Self::Same | Self::Is { .. } | Self::Who { .. } | Self::Output => Mode::Passive,
        }
    }
}

/// The place of a piece of a session in the tree of [`Party::join`](crate::party::Party::join): the root is 0, child s
/// of branch b is 16 b + s + 1. Each branch has its own streams and its own PRSS keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Branch(pub u64);

impl Branch {
    /// The branch of a session's main thread.
    pub const ROOT: Branch = Branch(0);

    /// Child number `slot` (0 to 14).
    ///
    /// # Panics
    /// On more than 15 children or 16 levels, which no protocol has.
    pub fn child(self, slot: usize) -> Branch {
        assert!(slot < 15 && self.0 < 1 << 60, "too many branches");
        Branch(self.0 * 16 + slot as u64 + 1)
    }
}

/// The cost of a piece of a protocol to this party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meter {
    /// Rounds: messages that had to wait for each other. The branches of a join count as the longest one.
    pub rounds: u64,
    /// Payload bytes that this party sent to both peers.
    pub bytes_sent: u64,
}

/// The slowest of the lines between the parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Microseconds from sending a small message to its arrival in the receiving thread.
    pub latency_us: u32,
    /// Megabits per second that one party can send to another.
    pub rate_mbit: u32,
}

impl Conditions {
    /// Three processes on one machine.
    pub const LOOPBACK: Self = Self { latency_us: 80, rate_mbit: 8000 };

    /// 0.2 ms round trip, 1 Gbit/s.
    #[cfg(feature = "testing")]
    pub const LAN: Self = Self { latency_us: 150, rate_mbit: 1000 };

    /// 40 ms round trip, 100 Mbit/s.
    #[cfg(feature = "testing")]
    pub const WAN: Self = Self { latency_us: 20_000, rate_mbit: 100 };
}

impl Default for Conditions {
    fn default() -> Self {
        Self::LOOPBACK
    }
}

/// A joint measurement by the parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The lines.
    pub conditions: Conditions,
    /// Microseconds for `network::lines::reference_work` while the peers do the same.
    pub work_us: u32,
}
