//! Pseudorandom secret sharing: correlated randomness without a message.
//!
//! Key k_i is known to P_i and P_{i-1}; party P_i holds (k_i, k_{i+1}). F(k, op) is the ChaCha12 key stream of k with
//! nonce op. An operation index is used once: every call of [`Prss::next_op`] advances the counter, and each branch of
//! a session has its own keys. Source: Cramer, Damgaard, Ishai, TCC'05; Araki et al., CCS'16.

#[cfg(feature = "testing")]
pub mod tape;

use hkdf::Hkdf;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use sha2::Sha256;
use zeroize::{Zeroizing, optimization_barrier};

use crate::ring::{Domain, Word};
use crate::session::Branch;
#[cfg(feature = "testing")]
use tape::{Drawn, Tape};

/// A key that two parties share for one session.
pub type Key = Zeroizing<[u8; 32]>;

/// Mask words drawn from a key stream at a time: a few KiB, which stay in the first-level cache.
const STRIPE: usize = 512;

/// The two key streams of one party in one branch of one session.
pub struct Prss {
    keys: [Key; 2],
    streams: [Stream; 2],
    op: u64,
}

/// F(k, op) of one key, read from the start.
#[cfg_attr(
    feature = "testing",
    expect(
        clippy::large_enum_variant,
        reason = "production has the first variant only, and reads it in the hottest loops"
    )
)]
enum Stream {
    Key(ChaCha12Rng),
    #[cfg(feature = "testing")]
    Tape(Tape, Drawn),
}

impl Stream {
    fn new(key: &Key) -> Self {
        Self::Key(ChaCha12Rng::from_seed(**key))
    }

    /// The stream of another branch, whose key is `key`.
    #[cfg_attr(
        not(feature = "testing"),
        expect(unused_variables, reason = "a tape needs the branch, a key belongs to one")
    )]
    fn branch(&self, branch: Branch, key: &Key) -> Self {
        match self {
            Self::Key(_) => Self::new(key),
            #[cfg(feature = "testing")]
            Self::Tape(tape, _) => Self::Tape(tape.clone(), Drawn::start(branch, 0)),
        }
    }

    fn start(&mut self, op: u64) {
        match self {
            Self::Key(stream) => {
                stream.set_stream(op);
                stream.set_word_pos(0);
            }
            #[cfg(feature = "testing")]
            Self::Tape(_, drawn) => *drawn = Drawn::start(drawn.branch, op),
        }
    }

    fn fill<W: Word>(&mut self, words: &mut [W]) {
        match self {
            Self::Key(stream) => stream.fill_bytes(bytemuck::cast_slice_mut(words)),
            #[cfg(feature = "testing")]
            Self::Tape(tape, drawn) => drawn.fill(tape, words),
        }
    }
}

/// The state of a key stream holds the key.
impl Drop for Stream {
    fn drop(&mut self) {
        match self {
            Self::Key(stream) => {
                *stream = ChaCha12Rng::from_seed([0; 32]);
                optimization_barrier(stream);
            }
            #[cfg(feature = "testing")]
            Self::Tape(..) => {}
        }
    }
}

impl Prss {
    /// `own` is k_i, shared with the previous party, `next` is k_{i+1}, shared with the next.
    pub fn new(own: Key, next: Key) -> Self {
        let keys = [own, next];
        let streams = keys.each_ref().map(Stream::new);
        Self { keys, streams, op: 0 }
    }

    /// Draws from tapes that a test has written in place of the streams of k_i and k_{i+1}. Without keys, nothing can
    /// be derived.
    #[cfg(feature = "testing")]
    pub fn of_tapes(own: Tape, next: Tape) -> Self {
        let streams = [own, next].map(|tape| Stream::Tape(tape, Drawn::start(Branch::ROOT, 0)));
        Self { keys: [Key::default(), Key::default()], streams, op: 0 }
    }

    /// The streams of another branch of the same session, independent of these.
    pub fn branch(&self, branch: Branch) -> Self {
        let keys = self.derive(&[&b"mpc prss branch"[..], &branch.0.to_le_bytes()].concat());
        let streams = [0, 1].map(|which| self.streams[which].branch(branch, &keys[which]));
        Self { keys, streams, op: 0 }
    }

    /// The number of operations so far: public, and the same at all three parties.
    pub fn position(&self) -> u64 {
        self.op
    }

    /// A key for `purpose` alone, derived from k_i and from k_{i+1}.
    pub fn derive(&self, purpose: &[u8]) -> [Key; 2] {
        self.keys.each_ref().map(|key| {
            let mut derived = Zeroizing::new([0; 32]);
            Hkdf::<Sha256>::new(None, &**key).expand(purpose, &mut *derived).expect("32 bytes are a valid HKDF length");
            derived
        })
    }

    /// Opens the next operation index; all parties call this in the same order.
    pub fn next_op(&mut self) -> Op<'_> {
        let op = self.op;
        self.op = op.checked_add(1).expect("2^64 operations never happen");
        Op { streams: &mut self.streams, op, drawn: [false; 2] }
    }
}

/// One operation index, from which each of the two streams can be drawn once.
pub struct Op<'a> {
    streams: &'a mut [Stream; 2],
    op: u64,
    drawn: [bool; 2],
}

impl Op<'_> {
    /// `n` words of F(k_i, op), which the previous party can draw as its `next`.
    ///
    /// # Panics
    /// On a second call: an index is never used twice.
    pub fn own<W: Word>(&mut self, n: usize) -> Vec<W> {
        self.draw(0, n)
    }

    /// `n` words of F(k_{i+1}, op), which the next party can draw as its `own`.
    ///
    /// # Panics
    /// On a second call: an index is never used twice.
    pub fn next<W: Word>(&mut self, n: usize) -> Vec<W> {
        self.draw(1, n)
    }

    /// Adds to `words` what [`Op::own`] would return, if `own` is set, and subtracts what [`Op::next`] would return, if
    /// `next` is.
    ///
    /// # Panics
    /// As those two.
    pub fn mask<D: Domain, W: Word>(&mut self, [own, next]: [bool; 2], words: &mut [W]) {
        for (which, _) in [own, next].into_iter().enumerate().filter(|(_, draws)| *draws) {
            self.start(which);
        }
        let mut stripe = [W::ZERO; STRIPE];
        for words in words.chunks_mut(STRIPE) {
            let stripe = &mut stripe[..words.len()];
            if own {
                self.streams[0].fill(stripe);
                words.iter_mut().zip(&*stripe).for_each(|(word, &mask)| *word = D::add(*word, mask));
            }
            if next {
                self.streams[1].fill(stripe);
                words.iter_mut().zip(&*stripe).for_each(|(word, &mask)| *word = D::sub(*word, mask));
            }
        }
    }

    fn draw<W: Word>(&mut self, which: usize, n: usize) -> Vec<W> {
        self.start(which);
        let mut words = vec![W::ZERO; n];
        self.streams[which].fill(&mut words);
        words
    }

    fn start(&mut self, which: usize) {
        assert!(!std::mem::replace(&mut self.drawn[which], true), "a PRSS index is used once");
        self.streams[which].start(self.op);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Arithmetic;

    fn prss(own: u8, next: u8) -> Prss {
        Prss::new(Zeroizing::new([own; 32]), Zeroizing::new([next; 32]))
    }

    #[test]
    fn neighbours_draw_the_same_and_others_do_not() {
        let (mut p0, mut p1) = (prss(0, 1), prss(1, 2));
        let (mut a, mut b) = (p0.next_op(), p1.next_op());
        let shared = a.next::<u64>(100);
        assert_eq!(shared, b.own::<u64>(100));
        assert_ne!(shared, b.next::<u64>(100));
        assert_ne!(shared, p0.next_op().next::<u64>(100), "another index is another stream");
        assert_ne!(prss(1, 2).branch(Branch(1)).next_op().own::<u64>(4), shared[..4], "another branch is another key");
    }

    #[test]
    fn masks_are_what_would_be_drawn() {
        for n in [1, STRIPE, 2 * STRIPE + 5] {
            let (mut drawing, mut masking) = (prss(0, 1), prss(0, 1));
            for draws in [[true, true], [true, false], [false, true]] {
                let mut op = drawing.next_op();
                let (own, next) = (op.own::<u16>(n), op.next::<u16>(n));
                let [own, next] = [(draws[0], own), (draws[1], next)].map(|(d, w)| if d { w } else { vec![0; n] });
                let mut words = vec![7; n];
                masking.next_op().mask::<Arithmetic, u16>(draws, &mut words);
                let expected = own.iter().zip(next).map(|(a, b)| 7u16.wrapping_add(*a).wrapping_sub(b));
                assert!(expected.eq(words), "{n} {draws:?}");
            }
        }
    }

    /// ChaCha12 with 64-bit counter and nonce, computed by an independent implementation.
    #[test]
    fn known_answers() {
        assert_eq!(prss(0, 2).next_op().own::<u8>(8), [0x9b, 0xf4, 0x9a, 0x6a, 0x07, 0x55, 0xf9, 0x53]);
        let mut prss = prss(2, 1);
        assert_eq!(prss.next_op().next::<u8>(8), [0x33, 0x01, 0xe8, 0xd7, 0xe7, 0x54, 0xdb, 0x2c]);
        assert_eq!(prss.next_op().next::<u8>(8), [0x21, 0xca, 0xcd, 0x15, 0x6f, 0x22, 0xc9, 0xce]);
    }

    #[test]
    #[should_panic(expected = "used once")]
    fn reuse_of_an_index_panics() {
        let mut prss = prss(0, 1);
        let mut op = prss.next_op();
        op.own::<u64>(1);
        op.own::<u64>(1);
    }
}
