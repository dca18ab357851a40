//! A party that deviates: it changes, drops or holds back what it sends.
//!
//! Sessions are replayable, so an honest run with the same seed tells in advance what the corrupt party will send
//! where. A [`Fault`] turns such a recording and one message of it into a [`Script`]; [`Corrupt`] carries the script
//! out.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rand_chacha::ChaCha12Rng;
use rand_core::Rng;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::party::{Party, VerifiedParty};
use crate::role::Role;
use crate::session::Branch;
use crate::testing::at_once;

/// The place of a message among those that one party sends in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Branch of the session.
    pub branch: Branch,
    /// Who receives it.
    pub to: Role,
    /// Number of earlier messages to this receiver in this branch.
    pub position: usize,
}

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The place of the message.
    pub place: Place,
    /// Number of messages that the sender had received in this branch before.
    pub received: usize,
    /// The bytes sent.
    pub bytes: Vec<u8>,
}

impl Sent {
    /// Whether both messages went to the same receiver in the same branch.
    pub fn same_channel(&self, other: &Sent) -> bool {
        (self.place.branch, self.place.to) == (other.place.branch, other.place.to)
    }
}

/// What happens to a message.
#[derive(Debug, Clone)]
pub enum Tampering {
    /// These bytes are sent instead.
    Replace(Vec<u8>),
    /// These 64-bit words are added to its words, modulo 2^64.
    Add(Vec<u64>),
    /// It is never sent.
    Drop,
    /// It is held back, with everything after it to the same receiver, until its sender has received another message
    /// from the third party, must receive one from this receiver, or flushes.
    Delay,
}

/// The deviations of a corrupt party; elsewhere it follows the protocol.
pub type Script = HashMap<Place, Tampering>;

/// One way to deviate in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One bit is flipped.
    FlipBit,
    /// The top bit of one word is flipped: 2^63 is added to a 64-bit word.
    AddTopBit,
    /// A small constant is added to every word.
    AddConstant,
    /// Random bytes are sent instead.
    Random,
    /// An earlier message to the same receiver is repeated; for the first message, one of an earlier session.
    Replay,
    /// The message is exchanged with the next one of its length to the same receiver.
    Swap,
    /// The message is never sent.
    Drop,
    /// The message is sent after the next message of the third party was read.
    Delay,
    /// One word differs from the other receiver's copy, which is also wrong if the same round has a message of this
    /// length to it.
    Equivocate,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 9] = [
        Self::FlipBit,
        Self::AddTopBit,
        Self::AddConstant,
        Self::Random,
        Self::Replay,
        Self::Swap,
        Self::Drop,
        Self::Delay,
        Self::Equivocate,
    ];

    /// `bytes` with this fault, where the fault concerns only the bytes of one message.
    pub fn alter(self, bytes: &[u8], rng: &mut ChaCha12Rng) -> Option<Vec<u8>> {
        let mut altered = bytes.to_vec();
        match self {
            Self::FlipBit => altered[below(rng, bytes.len())] ^= 1 << below(rng, 8),
            // The last byte of a word, whatever the width of the words.
            Self::AddTopBit => {
                altered[(8 * below(rng, bytes.len().div_ceil(8)) + 7).min(bytes.len() - 1)] ^= 0x80;
            }
            Self::AddConstant => {
                let (width, constant) = (width(bytes, rng), 1 + below(rng, 15) as u64);
                altered.chunks_exact_mut(width).for_each(|word| add(word, constant));
            }
            Self::Random => {
                while altered == bytes {
                    rng.fill_bytes(&mut altered);
                }
            }
            _ => return None,
        }
        Some(altered)
    }

    /// The script that gives message `at` of the recording `sent` this fault; `earlier` is a recording of an earlier
    /// session. `None` where nothing can be swapped or replayed.
    pub fn script(self, sent: &[Sent], at: usize, earlier: &[Sent], rng: &mut ChaCha12Rng) -> Option<Script> {
        let Sent { place, received, bytes } = &sent[at];
        let differs = |other: &&Sent| other.bytes.len() == bytes.len() && other.bytes != *bytes;
        let same_channel = |other: &&Sent| other.same_channel(&sent[at]);
        let changes = match self {
            Self::Drop => vec![(*place, Tampering::Drop)],
            Self::Delay => vec![(*place, Tampering::Delay)],
            Self::Replay => {
                let before = sent[..at].iter().rev().filter(same_channel).find(differs);
                let old = before.or_else(|| earlier.iter().find(|old| old.place == *place).filter(differs))?;
                vec![(*place, Tampering::Replace(old.bytes.clone()))]
            }
            Self::Swap => {
                let later = sent[at + 1..].iter().filter(same_channel).find(differs)?;
                vec![
                    (*place, Tampering::Replace(later.bytes.clone())),
                    (later.place, Tampering::Replace(bytes.clone())),
                ]
            }
            Self::Equivocate => {
                let twin = |other: &&Sent| {
                    let same_round = (other.place.branch, other.received) == (place.branch, *received);
                    same_round && other.place.to != place.to && other.bytes.len() == bytes.len()
                };
                let width = width(bytes, rng);
                let (word, error) = (below(rng, bytes.len() / width) * width, 1 + below(rng, 255) as u64);
                let with = |sent: &Sent, error| {
                    let mut bytes = sent.bytes.clone();
                    add(&mut bytes[word..word + width], error);
                    (sent.place, Tampering::Replace(bytes))
                };
                let twin = sent.iter().find(twin).map(|twin| with(twin, error.wrapping_neg()));
                twin.into_iter().chain([with(&sent[at], error)]).collect()
            }
            _ => vec![(*place, Tampering::Replace(self.alter(bytes, rng)?))],
        };
        Some(changes.into_iter().collect())
    }
}

/// A word width in bytes that fits a message of this length.
fn width(bytes: &[u8], rng: &mut ChaCha12Rng) -> usize {
    let fits: Vec<usize> = [1, 2, 4, 8].into_iter().filter(|width| bytes.len().is_multiple_of(*width)).collect();
    fits[below(rng, fits.len())]
}

/// Adds a constant to one little-endian word of up to 8 bytes.
fn add(word: &mut [u8], constant: u64) {
    let mut wide = [0; 8];
    wide[..word.len()].copy_from_slice(word);
    let sum = u64::from_le_bytes(wide).wrapping_add(constant).to_le_bytes();
    word.copy_from_slice(&sum[..word.len()]);
}

/// Roughly uniform below `n`.
fn below(rng: &mut ChaCha12Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

/// The network of a corrupt party, in all branches: sends what the script says, and records what an honest party would
/// have sent.
pub struct Corrupt {
    inner: Box<dyn Network>,
    branch: Branch,
    script: Arc<Script>,
    recording: Recording,
    sent: [usize; 3],
    received: usize,
    held: Vec<(Role, Vec<u8>)>,
}

/// The messages of a party in all its branches; those of one branch are in order.
#[derive(Debug, Clone, Default)]
pub struct Recording(Arc<Mutex<Vec<Sent>>>);

impl Recording {
    /// The messages recorded so far, branch by branch.
    pub fn take(&self) -> Vec<Sent> {
        let mut sent = std::mem::take(&mut *self.0.lock());
        sent.sort_by_key(|sent| sent.place.branch);
        sent
    }
}

impl Corrupt {
    /// At the root of a session.
    pub fn new(inner: Box<dyn Network>, script: Script, recording: Recording) -> Self {
        Self::in_branch(inner, Branch::ROOT, Arc::new(script), recording)
    }

    fn in_branch(inner: Box<dyn Network>, branch: Branch, script: Arc<Script>, recording: Recording) -> Self {
        Self { inner, branch, script, recording, sent: [0; 3], received: 0, held: Vec::new() }
    }

    fn release(&mut self) -> Result<()> {
        self.held.drain(..).try_for_each(|(to, message)| self.inner.send(to, &message))
    }
}

impl Network for Corrupt {
    fn role(&self) -> Role {
        self.inner.role()
    }

    fn send(&mut self, to: Role, message: &[u8]) -> Result<()> {
        let place = Place { branch: self.branch, to, position: self.sent[to.index()] };
        self.sent[to.index()] += 1;
        let sent = Sent { place, received: self.received, bytes: message.to_vec() };
        self.recording.0.lock().push(sent);
        let action = self.script.get(&place);
        let message = match action {
            Some(Tampering::Drop) => return Ok(()),
            Some(Tampering::Replace(bytes)) => bytes.clone(),
            Some(Tampering::Add(words)) => {
                let mut sum = message.to_vec();
                sum.chunks_exact_mut(8).zip(words).for_each(|(word, &error)| add(word, error));
                sum
            }
            Some(Tampering::Delay) | None => message.to_vec(),
        };
        if matches!(action, Some(Tampering::Delay)) || self.held.iter().any(|(held, _)| *held == to) {
            self.held.push((to, message));
            return Ok(());
        }
        self.inner.send(to, &message)
    }

    fn recv(&mut self, from: Role, message: &mut [u8]) -> Result<()> {
        if self.held.iter().any(|(to, _)| *to == from) {
            self.release()?;
        }
        self.inner.recv(from, message)?;
        self.received += 1;
        self.release()
    }

    fn flush(&mut self) -> Result<()> {
        self.release()?;
        self.inner.flush()
    }

    /// A cheater does not report itself.
    fn abort(&mut self, _: &Error) {}

    fn branch(&mut self, branch: Branch) -> Result<Box<dyn Network>> {
        let inner = self.inner.branch(branch)?;
        Ok(Box::new(Self::in_branch(inner, branch, self.script.clone(), self.recording.clone())))
    }
}

impl Drop for Corrupt {
    /// A message held back until the end is delayed, not lost.
    fn drop(&mut self) {
        if !self.held.is_empty() {
            // A receiver that has left needs nothing more.
            drop(self.flush());
        }
    }
}

/// Runs `program` at all three parties as [`run_parties`](super::run_parties) does, but the cheater stays until the
/// others have ended, even if it fails first.
///
/// # Panics
/// If a party panics.
pub fn run_with_cheater<T: Send>(
    cheater: Role,
    parties: [Party; 3],
    program: impl Fn(&mut Party) -> Result<T> + Sync,
) -> [Result<T>; 3] {
    with_cheater(cheater, parties, |mut party| (program(&mut party), Remains::Party(party)))
}

/// Runs `program`, verifies, and runs `finish` as [`run_verified`](super::run_verified) does; the cheater stays as it
/// does in [`run_with_cheater`].
///
/// # Panics
/// If a party panics.
pub fn run_verified_with_cheater<T, U: Send>(
    cheater: Role,
    parties: [Party; 3],
    program: impl Fn(&mut Party) -> Result<T> + Sync,
    finish: impl Fn(&mut VerifiedParty, T) -> Result<U> + Sync,
) -> [Result<U>; 3] {
    with_cheater(cheater, parties, |mut party| {
        let value = match program(&mut party) {
            Ok(value) => value,
            Err(error) => return (Err(error), Remains::Party(party)),
        };
        match party.verify_or_remain() {
            Ok(mut verified) => (finish(&mut verified, value), Remains::Verified(verified)),
            Err(failed) => {
                let (error, party) = *failed;
                (Err(error), Remains::Party(party))
            }
        }
    })
}

/// Keeps open the connections of a party that has ended.
enum Remains {
    Party(Party),
    /// A verified party, which tells the others itself where it fails.
    Verified(#[expect(dead_code, reason = "held until it is dropped")] VerifiedParty),
}

fn with_cheater<T: Send>(
    cheater: Role,
    parties: [Party; 3],
    session: impl Fn(Party) -> (Result<T>, Remains) + Sync,
) -> [Result<T>; 3] {
    let honest = Running { parties: Mutex::new(2), changed: Condvar::new() };
    at_once(parties, |party| {
        let is_cheater = party.role() == cheater;
        let _ends = (!is_cheater).then(|| Ends(&honest));
        let (result, mut remains) = session(party);
        if is_cheater {
            honest.changed.wait_while(&mut honest.parties.lock(), |running| *running > 0);
        }
        if let (Err(error), Remains::Party(party)) = (&result, &mut remains) {
            party.link().abort(error);
        }
        result
    })
}

/// Counts the honest parties that have not ended yet.
struct Running {
    parties: Mutex<usize>,
    changed: Condvar,
}

/// Counts a party when it ends, also by a panic.
struct Ends<'a>(&'a Running);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        *self.0.parties.lock() -= 1;
        self.0.changed.notify_one();
    }
}
