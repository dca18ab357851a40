//! Key streams that a test writes, so that it can enumerate everything a party might draw.

use std::sync::Arc;

use crate::ring::Word;
use crate::session::Branch;

/// Replaces the stream of one key in one session: fills in the words drawn at a place.
pub type Tape = Arc<dyn Fn(Drawn, &mut [u8]) + Send + Sync>;

/// Which words are drawn from a [`Tape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Drawn {
    /// Branch of the session.
    pub branch: Branch,
    /// Index of the operation in that branch.
    pub op: u64,
    /// Bits of a word.
    pub bits: u32,
    /// How many words of this operation were drawn before.
    pub from: usize,
}

impl Drawn {
    pub(crate) fn start(branch: Branch, op: u64) -> Self {
        Self { branch, op, bits: 0, from: 0 }
    }

    /// Draws the next words.
    pub(crate) fn fill<W: Word>(&mut self, tape: &Tape, words: &mut [W]) {
        tape(Self { bits: W::BITS, ..*self }, bytemuck::cast_slice_mut(words));
        self.from += words.len();
    }
}
