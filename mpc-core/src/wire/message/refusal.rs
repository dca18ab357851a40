//! Why a party does not serve a request, for programs and for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request is not served. Programs decide by the code; the reason is for people, and its wording may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of refusal, and what the caller can do about it.
    pub code: Code,
    /// One line for people: what, where, and what to do.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refusal {}

/// The kind of refusal, and what the caller can do about it. On the wire, a number: the position in [`Code::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
#[non_exhaustive]
pub enum Code {
    /// A code of a newer program. Read the reason.
    Other,
    /// The two sides speak different versions of the protocol. Update the older one.
    OtherVersion,
    /// The caller's key is not listed. Have the operator list it.
    NotListed,
    /// The caller has no right to do this, or the object belongs to somebody else. Have the operator grant the right.
    NoRight,
    /// The request makes no sense, or its enclosure is not valid. Correct it.
    Invalid,
    /// The request exceeds a fixed limit. Ask for less at a time.
    TooLarge,
    /// The party or the model's owner demands more security. Ask for that.
    WeakSecurity,
    /// The request's time differs too much from the party's clock. Set the clock that is wrong.
    Clock,
    /// The same request was made before. Make a new one.
    Replayed,
    /// The party has no such model, person or template. List what is there.
    NotFound,
    /// The gallery has changed since the client saw it. List it and ask again.
    GalleryChanged,
    /// Somebody is enrolled under that name. Choose another, or remove that one.
    Taken,
    /// The change would delete enrolled persons. Say that it may.
    WouldForget,
    /// The disk or a storage limit is full. Make room, or have the operator do so.
    Full,
    /// Too many requests, of this client or of all. Ask again in a moment.
    Busy,
    /// The party is stopping, or cannot reach another one in time. Ask again when all three are up.
    Unavailable,
    /// The party lacks its share of the model or template. Publish again, or have the operator restore a backup.
    Incomplete,
    /// The three parties do not have the same request, client or list. Tell their operators.
    Disagreement,
    /// A fault at the party. Its operator's log says more.
    Internal,
}

impl Code {
    /// Every code; the position of one is its number on the wire.
    pub const ALL: [Self; 19] = [
        Self::Other,
        Self::OtherVersion,
        Self::NotListed,
        Self::NoRight,
        Self::Invalid,
        Self::TooLarge,
        Self::WeakSecurity,
        Self::Clock,
        Self::Replayed,
        Self::NotFound,
        Self::GalleryChanged,
        Self::Taken,
        Self::WouldForget,
        Self::Full,
        Self::Busy,
        Self::Unavailable,
        Self::Incomplete,
        Self::Disagreement,
        Self::Internal,
    ];

    /// A refusal with this code.
    pub fn because(self, reason: impl Into<String>) -> Refusal {
        Refusal { code: self, reason: reason.into() }
    }

    /// The name in logs, metrics and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::OtherVersion => "other-version",
            Self::NotListed => "not-listed",
            Self::NoRight => "no-right",
            Self::Invalid => "invalid",
            Self::TooLarge => "too-large",
            Self::WeakSecurity => "weak-security",
            Self::Clock => "clock",
            Self::Replayed => "replayed",
            Self::NotFound => "not-found",
            Self::GalleryChanged => "gallery-changed",
            Self::Taken => "taken",
            Self::WouldForget => "would-forget",
            Self::Full => "full",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Incomplete => "incomplete",
            Self::Disagreement => "disagreement",
            Self::Internal => "internal",
        }
    }
}

impl From<u32> for Code {
    fn from(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Other)
    }
}

impl From<Code> for u32 {
    fn from(code: Code) -> Self {
        code as Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;

    #[test]
    fn numbers_are_places_and_unknown_ones_are_read_as_other() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!((u32::from(code), Code::from(number as u32)), (number as u32, code));
        }
        let mut bytes = codec::encode(&Code::Busy.because("later")).unwrap();
        assert_eq!(codec::decode::<Refusal>(&bytes).unwrap(), Code::Busy.because("later"));
        for unknown in [Code::ALL.len() as u32, u32::MAX] {
            bytes[..4].copy_from_slice(&unknown.to_le_bytes());
            assert_eq!(codec::decode::<Refusal>(&bytes).unwrap(), Code::Other.because("later"));
        }
    }
}
