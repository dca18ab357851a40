//! The control messages between client and party and between parties, and the conversations they make up.
//!
//! # Framing
//!
//! One bidirectional QUIC stream carries one conversation. A control message is a `u32` length (little endian) and that many
//! bytes of [`codec`]; [`stream`](super::stream) reads and writes them. The first message on a stream is
//! [`Versioned`]: two bytes of [`PROTOCOL_VERSION`] in front of the body, compared before anything else is decoded.
//! [`Reply::Refused`] keeps its encoding in every version, so that a refusal can always be read.
//!
//! Tensors never pass through the codec. A *dealt share* ([`Dealt`](crate::sharing::Dealt)) is the component `own`, then the
//! component `next`; a component is one byte 0 and a seed of 32 bytes, or one byte 1 and the elements as `u64`, little endian,
//! row-major. Their number follows from what was said before and is never sent.
//!
//! # Client and party
//!
//! The client has the same conversation with all three parties at once. It stops its receiving side or closes the connection
//! to give up; all three parties then end the session.
//!
//! ```text
//! client                                   party
//! Versioned(Request::Status)           ->
//!                                      <-  Reply::Status | Refused
//!
//! Versioned(Request::Models)           ->
//!                                      <-  Reply::Models | Refused           (at most codec::MAX_ENCODED bytes)
//!
//! Versioned(Request::Classify)         ->
//! dealt share of the input             ->                                    [sum of windows, sample shape...]
//!                                      <-  Reply::Accepted | Refused         (the share is read after Accepted)
//!                                      <-  Reply::Output | Failed | Cheating
//!                                      <-  own, next as raw u64              product of Output.shape each
//!
//! Versioned(Request::Publish)          ->
//!                                      <-  Reply::Ready | Refused
//! dealt share of all weights           ->                                    one flat vector, in the order of the graph
//!                                      <-  Reply::Stored | Failed
//! Commit  (when all three said Stored) ->
//!                                      <-  Reply::Published | Failed
//! ```
//!
//! # Party and party
//!
//! P0 orders admission. It opens a stream to P1 and one to P2 for each session; either side ends the session by
//! closing it.
//!
//! ```text
//! P0                                       P1, P2
//! Versioned(PeerRequest::Propose)      ->  (waits for the client's own request, matches it)
//!                                      <-  Verdict::Accept | Refuse
//! Decision::Commit | Abort             ->  (in the order in which sessions shall start)
//! ```
//!
//! `Versioned(PeerRequest::Measure)` needs no answer: all three enter the session that it names, without a hello, and
//! [measure](crate::network::lines::measure).
//!
//! After `Commit` each party computes [`session_id`] and opens the session's own streams; the first message there, both ways
//! between each two parties, is [`SessionHello`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::codec;
use crate::error::{Error, Result, Step};
use crate::network::Meter;
use crate::network::lines::{Conditions, Measured};
use crate::ring::fixed::FRAC_BITS;
use crate::security::Mode;

pub use crate::security::Id;

/// Parties and clients of different versions refuse each other.
pub const PROTOCOL_VERSION: u16 = 3;

/// ALPN of every connection.
pub const ALPN: &[u8] = b"mpc/3";

/// Largest control message in bytes that a party accepts; a list of models may be longer.
pub const MAX_CONTROL: usize = 1 << 20;

/// First digits of a session's name, for logs.
pub fn short(session: &Id) -> String {
    session[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first message on a stream: the sender's version in front of what it says.
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
    /// The message in `bytes`, if its sender speaks our version.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names both versions, or what [`codec::decode`] says.
    pub fn decode(bytes: &[u8]) -> Result<T> {
        let version = bytes.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
        match version {
            Some(PROTOCOL_VERSION) => codec::decode::<Self>(bytes).map(|message| message.body),
            Some(other) => Err(Error::invalid(
                "protocol version",
                format!(
                    "you speak version {other}, this party speaks version {PROTOCOL_VERSION}; update the older one"
                ),
            )),
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
    /// Evaluate a model on a batch of inputs.
    Classify(Classify),
    /// Publish a model; the weight shares follow once the party is [`Reply::Ready`].
    Publish(Publish),
}

/// A request to evaluate a published model, the same to all three parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classify {
    /// Fresh random number of the client: it ties the requests to the three parties together.
    pub request: Id,
    /// Which publication of which model, from the answer to [`Request::Models`].
    pub publication: Id,
    /// Windows per input: one entry an input, the sum is the batch dimension of the input tensor.
    pub windows: Vec<u32>,
    /// Which adversary the answer is to be secure against: at least what the model and each party demand.
    pub security: Mode,
    /// How long the client will wait, in milliseconds.
    pub timeout_ms: u64,
}

impl Classify {
    /// What the parties compare to know that the client asked all of them the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the request is too long to be encoded.
    pub fn digest(&self) -> Result<Id> {
        Ok(hash(b"mpc request v1", &[&codec::encode(self)?]))
    }
}

/// A request to publish a model under its manifest's name, replacing an earlier one when all three have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Publish {
    /// [`publication_id`].
    pub publication: Id,
    /// The manifest, TOML.
    pub manifest: String,
    /// The public graph (architecture, bounds), as encoded by `model`; weights are not in it.
    pub graph: Vec<u8>,
}

/// What a party answers; which one depends on the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The request will not be served, and nothing was computed or stored.
    Refused {
        /// One line for people.
        reason: String,
    },
    /// What was begun ended without an answer.
    Failed {
        /// One line for people: which party, which step.
        reason: String,
    },
    /// The session was destroyed because a check of active security failed, here or at a peer. Whose fault it is cannot be
    /// known.
    Cheating {
        /// The check.
        step: Step,
    },
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Models`].
    Models {
        /// The weakest security that this party takes part in; a model's manifest may demand more.
        minimum: Mode,
        /// What is in service.
        models: Vec<ModelInfo>,
    },
    /// To [`Request::Classify`]: the session is admitted at all three parties, send the input share.
    Accepted {
        /// Name of the session; all three parties say the same.
        session: Id,
    },
    /// The output shares follow: both components, raw.
    Output {
        /// Shape of the output tensor, inputs first.
        shape: Vec<u64>,
        /// What the session cost this party.
        meter: Meter,
    },
    /// To [`Request::Publish`]: manifest and graph are good, send the weight shares.
    Ready,
    /// The weight shares are stored, waiting for [`Commit`].
    Stored,
    /// To [`Commit`]: the publication is in service.
    Published,
}

/// Second message of a publisher, after all three parties said [`Reply::Stored`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The publication to put into service.
    pub publication: Id,
}

/// What a party says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub program: String,
    /// 0, 1 or 2.
    pub role: u8,
    /// Whether the connections to the next and the previous party stand.
    pub peers: [bool; 2],
    /// Sessions running now.
    pub sessions: u32,
    /// Published models.
    pub models: u32,
    /// What it has measured together with its peers, if anything yet. P0's is what sessions are planned for.
    pub measured: Option<Measured>,
}

/// A published model, as a party describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Names this publication.
    pub publication: Id,
    /// The manifest, TOML.
    pub manifest: String,
    /// The public graph.
    pub graph: Vec<u8>,
}

/// First message of P0 on a stream to P1 or P2, [`Versioned`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// Will you take part in this session?
    Propose(Propose),
    /// [Measure](crate::network::lines::measure) the lines and processors together with me.
    Measure {
        /// Name of the session to do it in, fresh.
        session: Id,
    },
}

/// P0 asks P1 or P2 whether it takes part in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Propose {
    /// [`Classify::request`].
    pub request: Id,
    /// [`Classify::digest`].
    pub digest: Id,
    /// Fingerprint of the client's key.
    pub client: Id,
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
    Refuse {
        /// One line for people.
        reason: String,
    },
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
    Abort {
        /// One line for people.
        reason: String,
    },
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
    /// [`Classify::publication`].
    pub publication: Id,
    /// [`model_digest`].
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
            publication: request.publication,
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

/// Digest of the public part of a model: what the parties compare in [`SessionHello`].
pub fn model_digest(manifest: &str, graph: &[u8]) -> Id {
    hash(b"mpc model v1", &[manifest.as_bytes(), graph])
}

/// The name of a publication; `fresh` is randomness of the publisher.
pub fn publication_id(manifest: &str, graph: &[u8], fresh: &Id) -> Id {
    hash(b"mpc publication v1", &[manifest.as_bytes(), graph, fresh])
}

/// SHA-256 of a domain and parts, each behind its length, so that no two lists of parts collide.
fn hash(domain: &[u8], parts: &[&[u8]]) -> Id {
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
    fn hello_names_the_difference() {
        let request = |windows| Classify {
            request: [1; 32],
            publication: [2; 32],
            windows,
            security: Mode::Passive,
            timeout_ms: 1000,
        };
        let hello = |windows| SessionHello::new([3; 32], &request(windows), [4; 32], Conditions::LAN);
        assert_eq!(hello(vec![1, 2]).difference(&hello(vec![1, 2])), None);
        assert_eq!(hello(vec![1, 2]).difference(&hello(vec![2, 1])), Some("number of windows"));
    }

    #[test]
    fn lists_of_parts_do_not_collide() {
        assert_ne!(hash(b"d", &[b"ab", b"c"]), hash(b"d", &[b"a", b"bc"]));
    }
}
