//! What names a session and describes it: its security, what it costs, its branches, and the lines that it runs over.

use serde::{Deserialize, Serialize};

/// 32 bytes that name a session or a publication, or are a digest.
pub type Id = [u8; 32];

/// Which adversary an answer is secure against; the stricter one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No party learns anything as long as all follow the protocol and at most one looks at what it sees.
    Passive,
    /// One party may deviate in any way. It learns nothing, and the answer is right or there is none, except with probability 2^-41.
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
    /// Whether each input is of the person enrolled at that place of the gallery.
    Is {
        /// [`gallery_digest`](crate::wire::peer::gallery_digest) of the list that the client has seen.
        gallery: Id,
        /// The place.
        place: u32,
    },
    /// Of which person in the gallery each input is, or of none.
    Who {
        /// As for [`Question::Is`].
        gallery: Id,
    },
    /// Nothing: keep the mean of all inputs as a template.
    Enrol,
    /// What an enclosed network computes of each input; the only question about one.
    Output,
}

impl Question {
    /// The weakest security that it is computed with, whatever the client asks for: what the parties keep is used in later sessions,
    /// of any security.
    pub fn minimum(&self) -> Mode {
        match self {
            Self::Enrol => Mode::Active,
            Self::Label | Self::Same | Self::Is { .. } | Self::Who { .. } | Self::Output => Mode::Passive,
        }
    }
}

/// Where in the tree of [`Party::join`](crate::party::Party::join) a piece of a session runs: the root is 0, child s of branch b
/// is 16 b + s + 1. Each branch has its own streams and its own PRSS keys.
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

/// What a piece of a protocol cost this party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meter {
    /// Rounds: messages that had to wait for each other. Branches of a join count as the longest of them.
    pub rounds: u64,
    /// Payload bytes that this party sent to both peers.
    pub bytes_sent: u64,
}

/// The lines between the parties, at their slowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Microseconds from sending a small message to its arrival in the receiving thread.
    pub latency_us: u32,
    /// Megabits per second that a party can send to one other.
    pub rate_mbit: u32,
}

impl Conditions {
    /// Three processes on one machine.
    pub const LOOPBACK: Self = Self { latency_us: 80, rate_mbit: 8000 };

    /// 0.2 ms there and back, 1 Gbit/s.
    pub const LAN: Self = Self { latency_us: 150, rate_mbit: 1000 };

    /// 40 ms there and back, 100 Mbit/s.
    pub const WAN: Self = Self { latency_us: 20_000, rate_mbit: 100 };
}

impl Default for Conditions {
    fn default() -> Self {
        Self::LOOPBACK
    }
}

/// What the parties have measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The lines.
    pub conditions: Conditions,
    /// Microseconds for the reference work, `network::lines::reference_work`, while the peers do the same.
    pub work_us: u32,
}
