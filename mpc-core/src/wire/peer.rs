//! What the parties say to each other.
//!
//! P0 orders. It opens a stream to P1 and one to P2 for each session; either side ends the session by closing it.
//!
//! ```text
//! P0                                       P1, P2
//! Versioned(PeerRequest::Propose)      ->  (waits for the client's own request, matches it)
//!                                      <-  Verdict::Accept | Refuse
//! Decision::Commit | Abort             ->  (in the order in which sessions shall start)
//!
//! Versioned(PeerRequest::Catalog)      ->  (when they connect, and after a change)
//!                                      <-  Catalog                           (what is in service there now)
//! ```
//!
//! `Versioned(PeerRequest::Measure)` needs no answer: all three enter the session that it names, without a hello, and
//! [measure](crate::network::lines::measure).
//!
//! After `Commit` each party computes [`session_id`] and opens the session's own streams; the first message there, both ways
//! between each two parties, is [`SessionHello`].

use serde::{Deserialize, Serialize};

use super::codec;
use super::message::{Classify, Id, PROTOCOL_VERSION, Refusal, hash};
use crate::error::Result;
use crate::network::lines::Conditions;
use crate::ring::fixed::FRAC_BITS;
use crate::security::Mode;

/// First message of P0 on a stream to P1 or P2, [`Versioned`](super::message::Versioned).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// Will you take part in this session?
    Propose(Propose),
    /// This is in service; what is with you?
    Catalog(Catalog),
    /// [Measure](crate::network::lines::measure) the lines and processors together with me.
    Measure {
        /// Name of the session to do it in, fresh.
        session: Id,
    },
}

/// P0 asks P1 or P2 whether it takes part in a session, or in a change of what is in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propose {
    /// Number of the client's request, from its [`Stamp`](super::message::Stamp).
    pub request: Id,
    /// [`Classify::digest`] or [`Change::digest`](super::message::Change::digest).
    pub digest: Id,
    /// Fingerprint of the client's key.
    pub client: Id,
    /// The tenant that the client belongs to, by P0's configuration.
    pub tenant: String,
}

/// What P1 or P2 answers to [`Propose`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It has the same request of the same client and will take part.
    Accept {
        /// Its fresh random number.
        nonce: Id,
    },
    /// It will not.
    Refuse(Refusal),
}

/// What P0 makes of the verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// The session starts now.
    Commit {
        /// The fresh random numbers of P0, P1 and P2.
        nonces: [Id; 3],
        /// What all three plan for.
        conditions: Conditions,
    },
    /// It does not take place.
    Abort(Refusal),
}

/// The name of a session, which no single party can choose.
pub fn session_id(digest: &Id, client: &Id, nonces: &[Id; 3]) -> Id {
    hash(b"mpc session v1", &[digest, client, &nonces[0], &nonces[1], &nonces[2]])
}

/// What two parties must agree on before they compute: the first message on a session's streams, of fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionHello {
    /// [`PROTOCOL_VERSION`].
    pub version: u16,
    /// [`session_id`].
    pub session: Id,
    /// [`Subject::publication`](super::message::Subject::publication).
    pub publication: Id,
    /// [`model_digest`](super::message::model_digest).
    pub model: Id,
    /// Digest of [`Classify::windows`].
    pub windows: Id,
    /// [`Classify::security`].
    pub security: Mode,
    /// Fractional bits of fixed-point numbers.
    pub frac_bits: u32,
    /// What the session is planned for, from [`Decision::Commit`].
    pub conditions: Conditions,
}

impl SessionHello {
    /// What this party says about `session`, which answers `request` with the model of that digest.
    pub fn new(session: Id, request: &Classify, model: Id, conditions: Conditions) -> Self {
        let windows: Vec<u8> = request.windows.iter().flat_map(|n| n.to_le_bytes()).collect();
        Self {
            version: PROTOCOL_VERSION,
            session,
            publication: request.subject.publication(),
            model,
            windows: hash(b"mpc windows v1", &[&windows]),
            security: request.security,
            frac_bits: FRAC_BITS,
            conditions,
        }
    }

    /// Digest of everything that the two parties have agreed on.
    ///
    /// # Errors
    /// None in practice: a hello is short enough to be encoded.
    pub fn digest(&self) -> Result<Id> {
        Ok(hash(b"mpc hello v1", &[&codec::encode(self)?]))
    }

    /// The first thing in which the two differ.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.version != other.version, "protocol version"),
            (self.session != other.session, "session"),
            (self.publication != other.publication, "publication"),
            (self.model != other.model, "public part of the model"),
            (self.windows != other.windows, "number of windows"),
            (self.security != other.security, "security"),
            (self.frac_bits != other.frac_bits, "fractional bits"),
            (self.conditions != other.conditions, "plan"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

/// What is in service, the same at all three parties. P0's is the one that counts; each change has the next revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Changes so far.
    pub revision: u64,
    /// One for each tenant and name, in that order.
    pub entries: Vec<Entry>,
}

/// One model in service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Whose it is.
    pub tenant: String,
    /// Its name, from its manifest.
    pub model: String,
    /// Which publication.
    pub publication: Id,
    /// The change that put it there.
    pub revision: u64,
    /// Of a model that compares: who is enrolled, by place.
    pub gallery: Vec<Enrolled>,
}

/// One person in a gallery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Enrolled {
    /// A name that the client has given, see [`gallery_name`].
    pub person: String,
    /// The session that has computed the template.
    pub template: Id,
}

/// Most persons in one gallery.
pub const MAX_GALLERY: usize = 16_384;

/// Whether a person may have that name in a gallery: 1 to 64 bytes, no control characters, no spaces at the ends.
pub fn gallery_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && !name.chars().any(char::is_control) && name.trim() == name
}

/// What a question about a gallery names, so that all parties and the client mean the same persons at the same places.
pub fn gallery_digest(publication: &Id, gallery: &[Enrolled]) -> Id {
    let parts = gallery.iter().flat_map(|enrolled| [enrolled.person.as_bytes(), &enrolled.template]);
    hash(b"mpc gallery v1", &std::iter::once(&publication[..]).chain(parts).collect::<Vec<_>>())
}

impl Catalog {
    /// The next one: with `publication` in the place of the tenant's model of that name, or without the model.
    pub fn with(&self, tenant: &str, model: &str, publication: Option<Id>) -> Self {
        let revision = self.revision + 1;
        let others = self.entries.iter().filter(|entry| (&*entry.tenant, &*entry.model) != (tenant, model)).cloned();
        let new = publication.map(|publication| {
            let (tenant, model) = (tenant.into(), model.into());
            Entry { tenant, model, publication, revision, gallery: Vec::new() }
        });
        let mut entries: Vec<Entry> = others.chain(new).collect();
        entries.sort();
        Self { revision, entries }
    }

    /// The next one: with another gallery of that publication.
    pub fn with_gallery(&self, publication: &Id, gallery: Vec<Enrolled>) -> Self {
        let mut next = Self { revision: self.revision + 1, entries: self.entries.clone() };
        next.entries
            .iter_mut()
            .filter(|entry| entry.publication == *publication)
            .for_each(|entry| entry.gallery.clone_from(&gallery));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Question, Stamp, Subject};

    #[test]
    fn hello_names_the_difference() {
        let request = |windows| Classify {
            stamp: Stamp { request: [1; 32], issued_s: 0 },
            subject: Subject::Published([2; 32]),
            question: Question::Label,
            windows,
            security: Mode::Passive,
            timeout_ms: 1000,
        };
        let hello = |windows| SessionHello::new([3; 32], &request(windows), [4; 32], Conditions::LAN);
        assert_eq!(hello(vec![1, 2]).difference(&hello(vec![1, 2])), None);
        assert_eq!(hello(vec![1, 2]).difference(&hello(vec![2, 1])), Some("number of windows"));
    }

    #[test]
    fn changes_of_a_catalog() {
        let first = Catalog::default().with("b", "face", Some([1; 32])).with("a", "face", Some([2; 32]));
        assert_eq!(first.entries.iter().map(|entry| &*entry.tenant).collect::<Vec<_>>(), ["a", "b"]);
        let replaced = first.with("b", "face", Some([3; 32]));
        assert_eq!(replaced.revision, 3);
        assert_eq!(replaced.entries[0], first.entries[0], "the other tenant's model of that name");
        assert_eq!((replaced.entries[1].publication, replaced.entries[1].revision), ([3; 32], 3));
        assert_eq!(replaced.with("a", "face", None).entries, replaced.entries[1..]);
    }

    #[test]
    fn galleries_are_told_apart() {
        let enrolled = |person: &str, template| Enrolled { person: person.into(), template: [template; 32] };
        let first =
            Catalog::default().with("a", "face", Some([1; 32])).with_gallery(&[1; 32], vec![enrolled("ann", 1)]);
        assert_eq!((first.revision, first.entries[0].gallery.len(), first.entries[0].revision), (2, 1, 1));
        assert_eq!(first.with_gallery(&[9; 32], Vec::new()).entries, first.entries, "of another publication");
        assert!(first.with("a", "face", Some([2; 32])).entries[0].gallery.is_empty(), "another network's templates");

        let galleries = [vec![enrolled("ann", 1)], vec![enrolled("ann", 2)], vec![enrolled("bob", 1)], Vec::new()];
        let digests: std::collections::BTreeSet<Id> = galleries.iter().map(|g| gallery_digest(&[1; 32], g)).collect();
        assert_eq!(digests.len(), galleries.len());
        for (name, good) in [("ann", true), ("Ann B.", true), ("", false), (" ann", false), ("a\nb", false)] {
            assert_eq!(gallery_name(name), good, "{name:?}");
        }
        assert!(gallery_name(&"x".repeat(64)) && !gallery_name(&"x".repeat(65)));
    }
}
