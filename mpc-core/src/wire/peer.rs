//! What the parties say to each other.
//!
//! P0 coordinates. It opens a stream to P1 and one to P2 for each session; either side ends the session by closing its
//! stream.
//!
//! ```text
//! P0                                       P1, P2
//! Versioned(PeerRequest::Propose)      ->  (awaits the same request from the client)
//!                                      <-  Verdict::Accept | Refuse
//! Decision::Commit | Abort             ->  (in the order in which sessions shall start)
//!
//! Versioned(PeerRequest::Catalog)      ->  (when they connect, and after a change)
//!                                      <-  Catalog                           (what is in service there now)
//!
//! P1 or P2                                 the other one
//! Versioned(PeerRequest::InService)    ->  (where P0 sends a list that this party does not expect)
//!                                      <-  Catalog::digest                   (of what is in service there now)
//! ```
//!
//! `Versioned(PeerRequest::Measure)` needs no answer: all three enter the session that it names, without a hello, and
//! measure the lines between them.
//!
//! After `Commit` each party computes [`session_id`] and opens the session's own streams; the first message there, both
//! ways between each two parties, is [`SessionHello`], or [`ChangeHello`] where the session is about a change of what
//! is in service.

use serde::{Deserialize, Serialize};

use super::codec;
use super::message::{Evaluate, PROTOCOL_VERSION, Refusal, hash};
use crate::error::{Error, Result};
use crate::ring::fixed::FRAC_BITS;
use crate::session::{Conditions, Id, Mode};

/// First message on a control stream, [`Versioned`](super::message::Versioned). P0 sends it to P1 or P2; only
/// [`InService`](PeerRequest::InService) passes between those two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// Will you take part in this session?
    Propose {
        /// The request to P0.
        propose: Propose,
        /// [`nonce_commitment`] of the random number that P0 will reveal in [`Decision::Commit`].
        commitment: Id,
    },
    /// This is in service here; what is in service with you?
    Catalog(Catalog),
    /// Measure the lines and processors together with me.
    Measure {
        /// Fresh name of the session to measure in.
        session: Id,
    },
    /// What is in service with you?
    InService,
}

/// P0 asks P1 or P2 whether it takes part in a session, or in a change of what is in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propose {
    /// Number of the client's request, from its [`Stamp`](super::message::Stamp).
    pub request: Id,
    /// [`Evaluate::digest`] or [`Change::digest`](super::message::Change::digest).
    pub digest: Id,
    /// Fingerprint of the client's key.
    pub client: Id,
    /// The tenant that the client belongs to, by P0's configuration.
    pub tenant: String,
}

/// The answer of P1 or P2 to [`Propose`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The party has the same request from the same client, and will take part.
    Accept {
        /// The party's fresh random number.
        nonce: Id,
    },
    /// The party will not take part.
    Refuse(Refusal),
}

/// P0's decision on the verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// The session starts now.
    Commit {
        /// The fresh random numbers of P0, P1 and P2. P0's is the one it committed to.
        nonces: [Id; 3],
        /// The conditions that all three plan for.
        conditions: Conditions,
    },
    /// The session does not take place.
    Abort(Refusal),
}

/// P0's commitment to its random number before it sees the others', so that it cannot choose a session's name by trying
/// many. It hides the number, 32 random bytes, and binds P0 to it: two numbers with one commitment would be a collision
/// of SHA-256.
pub fn nonce_commitment(digest: &Id, nonce: &Id) -> Id {
    hash(b"mpc nonce v1", &[digest, nonce])
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
    /// [`listed_digest`]: what else the answer relies on.
    pub listed: Id,
    /// Digest of [`Evaluate::windows`].
    pub windows: Id,
    /// [`Evaluate::security`].
    pub security: Mode,
    /// Fractional bits of fixed-point numbers.
    pub frac_bits: u32,
    /// The conditions that the session is planned for, from [`Decision::Commit`].
    pub conditions: Conditions,
}

impl SessionHello {
    /// This party's hello for `session`, which answers `request` with the model of digest `model`, listed as `listed`.
    pub fn new(session: Id, request: &Evaluate, model: Id, listed: Id, conditions: Conditions) -> Self {
        let windows: Vec<u8> = request.windows.iter().flat_map(|n| n.to_le_bytes()).collect();
        Self {
            version: PROTOCOL_VERSION,
            session,
            publication: request.subject.publication(),
            model,
            listed,
            windows: hash(b"mpc windows v1", &[&windows]),
            security: request.security,
            frac_bits: FRAC_BITS,
            conditions,
        }
    }

    /// Digest of everything the two parties have agreed on.
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
            (self.listed != other.listed, "list of what is in service, names included,"),
            (self.windows != other.windows, "number of windows"),
            (self.security != other.security, "security"),
            (self.frac_bits != other.frac_bits, "fractional bits"),
            (self.conditions != other.conditions, "plan"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

/// What two parties must agree on before they change what is in service: the first message on the streams of that
/// session, of fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeHello {
    /// [`PROTOCOL_VERSION`].
    pub version: u16,
    /// [`session_id`].
    pub session: Id,
    /// [`Catalog::digest`] of what is in service now.
    pub before: Id,
    /// [`Catalog::digest`] of what is in service after the change.
    pub next: Id,
}

impl ChangeHello {
    /// This party's hello for `session`, which leads from one list to the next.
    ///
    /// # Errors
    /// As [`Catalog::digest`].
    pub fn new(session: Id, before: &Catalog, next: &Catalog) -> Result<Self> {
        Ok(Self { version: PROTOCOL_VERSION, session, before: before.digest()?, next: next.digest()? })
    }

    /// The first thing in which the two differ.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.version != other.version, "protocol version"),
            (self.session != other.session, "session"),
            (self.before != other.before, "list of what is in service"),
            (self.next != other.next, "list of what will be in service after the change"),
        ]
        .into_iter()
        .find_map(|(differs, what)| differs.then_some(what))
    }
}

/// The list of what is in service, the same at all three parties. Each change increments its revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Number of changes so far.
    pub revision: u64,
    /// One for each tenant and model name, sorted by both.
    pub entries: Vec<Entry>,
}

/// One model in service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// The tenant that owns it.
    pub tenant: String,
    /// Its name, from its manifest.
    pub model: String,
    /// The publication.
    pub publication: Id,
    /// The revision that put it there.
    pub revision: u64,
    /// The enrolled persons by place, for a model that compares.
    pub gallery: Vec<Enrolled>,
}

/// One person in a gallery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Enrolled {
    /// The name that the client chose, see [`gallery_name`].
    pub person: String,
    /// The session that computed the template.
    pub template: Id,
}

/// Maximum number of persons in one gallery.
pub const MAX_GALLERY: usize = 16_384;

/// Whether a gallery accepts this name of a person: 1 to 64 bytes, no control characters, no spaces at the ends.
pub fn gallery_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && !name.chars().any(char::is_control) && name.trim() == name
}

/// The digest that a question about a gallery names, so that all parties and the client mean the same persons at the
/// same places.
pub fn gallery_digest(publication: &Id, gallery: &[Enrolled]) -> Id {
    let parts = gallery.iter().flat_map(|enrolled| [enrolled.person.as_bytes(), &enrolled.template]);
    hash(b"mpc gallery v1", &std::iter::once(&publication[..]).chain(parts).collect::<Vec<_>>())
}

/// Digest of what a question relies on besides the public part of the model: its tenant, its name, the revision that
/// put it into service, and the [digest](gallery_digest) of the gallery in question. For an enclosed network, only the
/// client's tenant counts.
pub fn listed_digest(tenant: &str, model: &str, publication: &Id, revision: u64, gallery: Option<&Id>) -> Id {
    let gallery = gallery.map_or(&[][..], |digest| digest);
    hash(b"mpc listed v1", &[tenant.as_bytes(), model.as_bytes(), publication, &revision.to_le_bytes(), gallery])
}

impl Catalog {
    /// The digest by which two parties know that they have the same list.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the list is too long to be encoded.
    pub fn digest(&self) -> Result<Id> {
        Ok(hash(b"mpc catalog v1", &[&codec::encode(self)?]))
    }

    /// The number of the next change.
    fn next_revision(&self) -> Result<u64> {
        let next = self.revision.checked_add(1);
        next.ok_or_else(|| Error::invalid("list of what is in service", "it can count no more changes"))
    }

    /// The next list: with `publication` in place of the tenant's model of that name, or without the model.
    ///
    /// # Errors
    /// [`Error::Invalid`] after 2^64 - 1 changes.
    pub fn with(&self, tenant: &str, model: &str, publication: Option<Id>) -> Result<Self> {
        let revision = self.next_revision()?;
        let others = self.entries.iter().filter(|entry| (&*entry.tenant, &*entry.model) != (tenant, model)).cloned();
        let new = publication.map(|publication| {
            let (tenant, model) = (tenant.into(), model.into());
            Entry { tenant, model, publication, revision, gallery: Vec::new() }
        });
        let mut entries: Vec<Entry> = others.chain(new).collect();
        entries.sort();
        Ok(Self { revision, entries })
    }

    /// The next list: with another gallery for that publication.
    ///
    /// # Errors
    /// As [`Catalog::with`].
    pub fn with_gallery(&self, publication: &Id, gallery: Vec<Enrolled>) -> Result<Self> {
        let mut next = Self { revision: self.next_revision()?, entries: self.entries.clone() };
        next.entries
            .iter_mut()
            .filter(|entry| entry.publication == *publication)
            .for_each(|entry| entry.gallery.clone_from(&gallery));
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Question, Stamp, Subject};

    #[test]
    fn hello_names_the_difference() {
        let request = |windows| Evaluate {
            stamp: Stamp { request: [1; 32], issued_s: 0 },
            subject: Subject::Published([2; 32]),
            question: Question::Label,
            windows,
            security: Mode::Passive,
            timeout_ms: 1000,
        };
        let hello = |windows| SessionHello::new([3; 32], &request(windows), [4; 32], [5; 32], Conditions::LAN);
        assert_eq!(hello(vec![1, 2]).difference(&hello(vec![1, 2])), None);
        assert_eq!(hello(vec![1, 2]).difference(&hello(vec![2, 1])), Some("number of windows"));
        let other = SessionHello { listed: [6; 32], ..hello(vec![1]) };
        assert!(hello(vec![1]).difference(&other).unwrap().contains("names"));
    }

    #[test]
    fn changes_of_a_catalog() {
        let first = Catalog::default().with("b", "face", Some([1; 32])).unwrap();
        let first = first.with("a", "face", Some([2; 32])).unwrap();
        assert_eq!(first.entries.iter().map(|entry| &*entry.tenant).collect::<Vec<_>>(), ["a", "b"]);
        let replaced = first.with("b", "face", Some([3; 32])).unwrap();
        assert_eq!(replaced.revision, 3);
        assert_eq!(replaced.entries[0], first.entries[0], "the other tenant's model of that name");
        assert_eq!((replaced.entries[1].publication, replaced.entries[1].revision), ([3; 32], 3));
        assert_eq!(replaced.with("a", "face", None).unwrap().entries, replaced.entries[1..]);

        let last = Catalog { revision: u64::MAX, ..first };
        assert!(last.with("a", "face", None).is_err() && last.with_gallery(&[2; 32], Vec::new()).is_err(), "no wrap");
    }

    #[test]
    fn a_change_is_compared_by_both_its_ends() {
        let lists = [None, Some([1; 32]), Some([2; 32])].map(|id| Catalog::default().with("a", "face", id).unwrap());
        let hello = |before: usize, next: usize| ChangeHello::new([3; 32], &lists[before], &lists[next]).unwrap();
        assert_eq!(hello(0, 1).difference(&hello(0, 1)), None);
        assert!(hello(0, 1).difference(&hello(2, 1)).unwrap().contains("is in service"));
        assert!(hello(0, 1).difference(&hello(0, 2)).unwrap().contains("will be"));
    }

    #[test]
    fn galleries_are_told_apart() {
        let enrolled = |person: &str, template| Enrolled { person: person.into(), template: [template; 32] };
        let empty = Catalog::default().with("a", "face", Some([1; 32])).unwrap();
        let first = empty.with_gallery(&[1; 32], vec![enrolled("ann", 1)]).unwrap();
        assert_eq!((first.revision, first.entries[0].gallery.len(), first.entries[0].revision), (2, 1, 1));
        assert_eq!(first.with_gallery(&[9; 32], Vec::new()).unwrap().entries, first.entries, "of another publication");
        let replaced = first.with("a", "face", Some([2; 32])).unwrap();
        assert!(replaced.entries[0].gallery.is_empty(), "another network's templates");

        let galleries = [vec![enrolled("ann", 1)], vec![enrolled("ann", 2)], vec![enrolled("bob", 1)], Vec::new()];
        let digests: std::collections::BTreeSet<Id> = galleries.iter().map(|g| gallery_digest(&[1; 32], g)).collect();
        assert_eq!(digests.len(), galleries.len());
        for (name, good) in [("ann", true), ("Ann B.", true), ("", false), (" ann", false), ("a\nb", false)] {
            assert_eq!(gallery_name(name), good, "{name:?}");
        }
        assert!(gallery_name(&"x".repeat(64)) && !gallery_name(&"x".repeat(65)));
    }
}
