//! The control messages between client and party and between parties, and the conversations they make up.
//!
//! # Framing
//!
//! One bidirectional QUIC stream carries one conversation. A control message is a `u32` length (little endian) and that
//! many bytes of [`codec`], see [`frame`](super::frame). The first message on a stream is [`Versioned`]: two bytes of
//! [`PROTOCOL_VERSION`] in front of the body, compared before anything else is decoded. [`Reply::Refused`] keeps its
//! encoding in every version from 7 on, so a refusal can always be read.
//!
//! Tensors never pass through the codec. A *dealt share* ([`Dealt`](crate::sharing::Dealt)) is the component `own`,
//! then the component `next`; a component is one byte 0 and a seed of 32 bytes, or one byte 1 and the elements, little
//! endian, row-major: of weights 8 bytes each, of an input as many as its graph's
//! [range](crate::sharing::InputRange::bytes) takes. Their number follows from earlier messages and is never sent.
//!
//! # Client and party
//!
//! The client has the same conversation with all three parties at once. It stops its receiving side or closes the
//! connection to give up; all three parties then end the session. A request that must run only once has a [`Stamp`], so
//! that repeating the message does not repeat the request.
//!
//! ```text
//! client                                   party
//! Versioned(Request::Status)           ->
//!                                      <-  Reply::Status | Refused
//!
//! Versioned(Request::Probe)            ->
//! PROBE_BYTES                          ->
//!                                      <-  Reply::Probed | Refused
//!                                      <-  PROBE_BYTES
//!
//! Versioned(Request::Models)           ->
//!                                      <-  Reply::Models | Refused           (at most codec::MAX_ENCODED bytes)
//!
//! Versioned(Request::Evaluate)         ->
//! dealt share of the input             ->                                    [sum of windows, sample shape...]
//! dealt share of all weights           ->                                    (of an enclosed graph) as with Upload
//!                                      <-  Reply::Accepted | Refused         (the shares are read after Accepted)
//!                                      <-  Reply::Output | Kept | Failed | Cheating
//!                                      <-  own, next as raw u64              (after Output) product of its shape each
//!
//! Versioned(Request::Upload)           -> <-  Reply::Ready | Refused            (bytes of the share stored already)
//!                                      dealt share of all weights, from there ->                                  one
//!                                      flat vector, in the order of the graph <-  Reply::Stored | Failed
//!
//! Versioned(Request::Gallery)          ->
//!                                      <-  Reply::Gallery | Refused          (at most codec::MAX_ENCODED bytes)
//!
//! Versioned(Request::Change)           ->                                    (to all three, when all have Stored or
//!                                      Kept) <-  Reply::Changed | Refused | Failed
//! ```
//!
//! [`peer`](super::peer) has the messages between parties.

mod refusal;
mod reply;

use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use web_time::{SystemTime, UNIX_EPOCH};

use super::codec;
use crate::error::{Error, Result};
use crate::random;
use crate::session::{Id, Mode};

pub use crate::session::Question;
pub use refusal::{Code, Refusal};
pub use reply::{ModelInfo, Reply, Status};

/// Parties and clients of different versions refuse each other.
pub const PROTOCOL_VERSION: u16 = 7;

/// The purpose of a connection. Caller and party agree on it, and on the version, in the handshake (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Conversations: of clients, of publishers, and of parties that ask for another's status.
    Ask,
    /// Sessions and control streams between parties.
    Mesh,
}

impl Purpose {
    /// Both.
    pub const ALL: [Purpose; 2] = [Purpose::Ask, Purpose::Mesh];

    /// The name in the handshake: `mpc/N` or `mpc-peer/N`, N being [`PROTOCOL_VERSION`].
    pub fn alpn(self) -> Vec<u8> {
        let name = match self {
            Purpose::Ask => "mpc",
            Purpose::Mesh => "mpc-peer",
        };
        format!("{name}/{PROTOCOL_VERSION}").into_bytes()
    }
}

/// Largest control message in bytes that a party accepts; a list of models may be longer.
pub const MAX_CONTROL: usize = 1 << 20;

/// The first digits of a session's name, for logs.
pub fn short(session: &Id) -> String {
    HEXLOWER.encode(&session[..6])
}

/// The first message on a stream, prefixed with the sender's version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u16,
    /// The message.
    pub body: T,
}

impl<T> Versioned<T> {
    /// `body` in this program's version.
    pub fn new(body: T) -> Self {
        Self { version: PROTOCOL_VERSION, body }
    }
}

impl<T: DeserializeOwned> Versioned<T> {
    /// The message in `bytes`, if its sender speaks this program's version.
    ///
    /// # Errors
    /// [`Error::OtherVersion`], or the error of [`codec::decode`].
    pub fn decode(bytes: &[u8]) -> Result<T> {
        let version = bytes.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
        match version {
            Some(PROTOCOL_VERSION) => codec::decode::<Self>(bytes).map(|message| message.body),
            Some(theirs) => Err(Error::OtherVersion { theirs, ours: PROTOCOL_VERSION }),
            None => Err(Error::invalid("encoded message", "shorter than a version number")),
        }
    }
}

/// First message of a client on a stream, [`Versioned`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Is the party up, and does it reach its peers?
    Status,
    /// Which models are published?
    Models,
    /// Who is enrolled in a model's gallery?
    Gallery {
        /// Which publication of the model.
        publication: Id,
    },
    /// Evaluate a network on a batch of inputs.
    Evaluate(Evaluate),
    /// Keep a share of a model's weights, which follows once the party is [`Reply::Ready`].
    Upload(Upload),
    /// Change what is in service.
    Change(Change),
    /// A task from the party's operator, who shows the party's own key.
    Operate(Maintenance),
    /// Take [`PROBE_BYTES`] that follow, and send as many back after [`Reply::Probed`].
    Probe,
}

/// Bytes that a [`Request::Probe`] sends each way, to measure the line.
pub const PROBE_BYTES: usize = 1 << 20;

/// A task that an operator gives a running party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Maintenance {
    /// Write a backup of the store to a new file, by its path on the party's machine.
    Backup {
        /// An absolute path.
        to: String,
    },
    /// Check every record of the store.
    Verify,
}

/// Distinguishes a new request from a repeated one. A party refuses a stamp that it has seen, and one that differs by
/// more than [`Stamp::VALID`] from its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Fresh random number of the client: it ties its requests to the three parties together.
    pub request: Id,
    /// When the client made it, in seconds since 1970.
    pub issued_s: u64,
}

impl Stamp {
    /// How far the clocks of a client and a party may be apart, and how long a party remembers a stamp.
    pub const VALID: Duration = Duration::from_secs(300);

    /// A fresh stamp.
    ///
    /// # Errors
    /// [`Error::System`] where the operating system has no random numbers, or a clock before 1970.
    pub fn fresh() -> Result<Self> {
        let mut request = Id::default();
        random::fill(&mut request)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| Error::system("time after 1970", e))?;
        Ok(Self { request, issued_s: now.as_secs() })
    }
}

/// The network that a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A publication of a model, from the answer to [`Request::Models`].
    Published(Id),
    /// A network of the client's own, for this question only: its public graph, as encoded by `model`. The dealt share
    /// of its weights follows that of the input.
    Enclosed(Vec<u8>),
}

impl Subject {
    /// The publication, or zeros, which name no publication.
    pub fn publication(&self) -> Id {
        match self {
            Self::Published(publication) => *publication,
            Self::Enclosed(_) => Id::default(),
        }
    }
}

/// A request to evaluate a network, identical for all three parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluate {
    /// Makes it a new one.
    pub stamp: Stamp,
    /// The network to evaluate.
    pub subject: Subject,
    /// The question about the inputs.
    pub question: Question,
    /// Windows per input: one entry an input, the sum is the batch dimension of the input tensor.
    pub windows: Vec<u32>,
    /// The security of the answer: at least what the model and each party demand.
    pub security: Mode,
    /// How long the client will wait, in milliseconds.
    pub timeout_ms: u64,
}

impl Evaluate {
    /// What the parties compare to know that the client asked all of them the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the request is too long to be encoded.
    pub fn digest(&self) -> Result<Id> {
        Ok(hash(b"mpc request v1", &[&codec::encode(self)?]))
    }
}

/// A request to keep a share of a model. A [`Change`] puts it into service once all three parties have their shares.
/// Until then the request can be sent again, and resumes where it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// [`publication_id`].
    pub publication: Id,
    /// The manifest, TOML.
    pub manifest: String,
    /// The public graph (architecture, bounds), as encoded by `model`; weights are not in it.
    pub graph: Vec<u8>,
    /// Bytes of the dealt share that follows.
    pub length: u64,
    /// SHA-256 of those bytes.
    pub digest: Id,
}

/// A request to change what is in service, identical for all three parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Makes it a new one.
    pub stamp: Stamp,
    /// The change to make.
    pub action: Action,
}

/// See [`Change`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Put an uploaded publication into service under its manifest's name, replacing an earlier one.
    Activate {
        /// Which.
        publication: Id,
        /// Whether the persons enrolled with an earlier one may be forgotten; refused otherwise where there are any.
        forget_gallery: bool,
    },
    /// Take the model of that name out of service and delete its shares.
    Retire {
        /// Name of the model.
        model: String,
        /// As for [`Action::Activate`].
        forget_gallery: bool,
    },
    /// Add a template that all three parties have kept to the gallery.
    Enrol {
        /// The publication that it was computed with.
        publication: Id,
        /// The person's name in the gallery, valid by [`gallery_name`](super::peer::gallery_name).
        person: String,
        /// The session that computed it.
        template: Id,
    },
    /// Remove a person from the gallery and delete the template.
    Remove {
        /// The publication that the gallery belongs to.
        publication: Id,
        /// The person's name in the gallery.
        person: String,
    },
}

impl Change {
    /// What the parties compare to know that the client asked all of them the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the request is too long to be encoded.
    pub fn digest(&self) -> Result<Id> {
        Ok(hash(b"mpc change v1", &[&codec::encode(self)?]))
    }
}

/// Digest of the public part of a model: what the parties compare in [`SessionHello`](super::peer::SessionHello).
pub fn model_digest(manifest: &str, graph: &[u8]) -> Id {
    hash(b"mpc model v1", &[manifest.as_bytes(), graph])
}

/// The name of a publication; `fresh` is randomness of the publisher.
pub fn publication_id(manifest: &str, graph: &[u8], fresh: &Id) -> Id {
    hash(b"mpc publication v1", &[manifest.as_bytes(), graph, fresh])
}

/// SHA-256 of a domain and parts, each prefixed with its length, so that no two lists of parts collide.
pub(super) fn hash(domain: &[u8], parts: &[&[u8]]) -> Id {
    let mut hasher = Sha256::new();
    for part in std::iter::once(&domain).chain(parts) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused_by_name_even_if_the_rest_is_unknown() {
        let bytes = codec::encode(&Versioned::new(Request::Status)).unwrap();
        assert_eq!(Versioned::<Request>::decode(&bytes).unwrap(), Request::Status);
        let error = Versioned::<Request>::decode(&[9, 0, 77, 77, 77]).unwrap_err().to_string();
        assert!(error.contains("version 9") && error.contains(&format!("version {PROTOCOL_VERSION}")), "{error}");
        assert!(Versioned::<Request>::decode(&[1]).is_err());
    }

    #[test]
    fn lists_of_parts_do_not_collide() {
        assert_ne!(hash(b"d", &[b"ab", b"c"]), hash(b"d", &[b"a", b"bc"]));
    }
}
