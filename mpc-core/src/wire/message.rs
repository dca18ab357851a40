//! The control messages between client and party and between parties.
//!
//! One bidirectional QUIC stream carries one request. A control message is a `u32` length (little endian, at most
//! [`MAX_CONTROL`]) and a bincode body; tensors follow as raw little-endian words whose number both sides know.

use serde::{Deserialize, Serialize};

use crate::network::Meter;

/// Parties and clients of different versions refuse each other.
pub const PROTOCOL_VERSION: u16 = 1;

/// ALPN of every connection.
pub const ALPN: &[u8] = b"mpc/1";

/// Largest control message in bytes.
pub const MAX_CONTROL: usize = 1 << 20;

/// 32 bytes that name something: a session, a publication.
pub type Id = [u8; 32];

/// Which adversary the answer is secure against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// No party learns anything as long as all follow the protocol and at most one looks at what it sees.
    Passive,
}

/// First message of a client on a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Is the party up, and does it reach its peers?
    Status {
        /// [`PROTOCOL_VERSION`] of the caller.
        version: u16,
    },
    /// Which models are published?
    Models {
        /// [`PROTOCOL_VERSION`] of the caller.
        version: u16,
    },
    /// Evaluate a model on a batch of inputs.
    Classify(Classify),
    /// Publish a model; the weight shares follow as raw components.
    Publish(Publish),
}

/// A request to evaluate a published model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classify {
    /// [`PROTOCOL_VERSION`] of the caller.
    pub version: u16,
    /// Fresh random number of the client, the same to all three parties: it ties their requests together.
    pub request: Id,
    /// Which publication of which model, from the answer to [`Request::Models`].
    pub publication: Id,
    /// Windows per input: one entry an input, the sum is the batch dimension of the input tensor.
    pub windows: Vec<u32>,
    /// Asked-for security.
    pub security: Security,
    /// How long the client will wait, in milliseconds.
    pub timeout_ms: u64,
}

/// A request to publish a model under its manifest's name, replacing an earlier one when all three have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Publish {
    /// [`PROTOCOL_VERSION`] of the caller.
    pub version: u16,
    /// SHA-256 over the manifest, the graph and fresh randomness of the publisher: the publication's name.
    pub publication: Id,
    /// The manifest, TOML.
    pub manifest: String,
    /// The public graph (architecture, bounds), as encoded by `model`; weights are not in it.
    pub graph: Vec<u8>,
}

/// What a party answers; which one depends on the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Models`].
    Models(Vec<ModelInfo>),
    /// The session is admitted at all three parties: send the input share.
    Accepted {
        /// Name of the session; all three parties say the same.
        session: Id,
    },
    /// The request will not be served, and nothing was computed.
    Refused {
        /// One line for people.
        reason: String,
    },
    /// The session ended without an answer.
    Failed {
        /// One line for people: which party, which step.
        reason: String,
    },
    /// The output shares follow: both components, raw.
    Output {
        /// Shape of the output tensor, batch first.
        shape: Vec<u64>,
        /// What the session cost this party.
        meter: Meter,
    },
    /// To [`Request::Publish`]: the shares are stored, waiting for [`Commit`]; then again once in service.
    Stored,
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
