//! What a party answers.

use serde::{Deserialize, Serialize};

use super::Refusal;
#[cfg(doc)]
use super::{Change, Request};
use crate::error::Step;
use crate::session::{Id, Measured, Meter, Mode};

/// What a party answers; which one depends on the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The request will not be served, and nothing was computed or stored.
    Refused(Refusal),
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
    /// To [`Request::Evaluate`]: the session is admitted at all three parties, send the input share.
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
    /// The session has computed a template, which the party keeps. It is part of the gallery once a [`Change`] says so.
    Kept {
        /// What the session cost this party.
        meter: Meter,
    },
    /// To [`Request::Gallery`].
    Gallery {
        /// The persons' names, by their places.
        persons: Vec<String>,
        /// [`gallery_digest`](crate::wire::peer::gallery_digest).
        digest: Id,
        /// The places whose template this party's store lacks. Nothing can be asked about the gallery until those persons are removed.
        lacking: Vec<u32>,
    },
    /// To [`Request::Upload`]: manifest and graph are good, send the weight share from here on.
    Ready {
        /// Bytes of it that are stored already.
        have: u64,
    },
    /// The weight share is stored, as a whole.
    Stored,
    /// To [`Request::Change`]: it is made, here and at P0.
    Changed {
        /// Number of the [`Catalog`](crate::wire::peer::Catalog) with the change.
        revision: u64,
    },
    /// To [`Request::Operate`]: done.
    Operated {
        /// What was found, for people.
        lines: Vec<String>,
    },
    /// To [`Request::Probe`]: everything has arrived, as much follows.
    Probed,
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
    /// Why not, for people; empty where it stands.
    pub troubles: [String; 2],
    /// Its clock, in seconds since 1970.
    pub clock_s: u64,
    /// Sessions running now.
    pub sessions: u32,
    /// Models that it serves.
    pub models: u32,
    /// Number of the last change of what is in service that it knows; the same at all three.
    pub revision: u64,
    /// Why it serves no new requests, other than for want of a peer; for its operator and the other parties only.
    pub not_ready: Vec<String>,
    /// What keeps it from serving all that is in service, for its operator and the other parties only.
    pub problems: Vec<String>,
    /// What it has measured together with its peers, if anything yet. P0's is what sessions are planned for.
    pub measured: Option<Measured>,
}

/// A published model, as a party describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Names this publication.
    pub publication: Id,
    /// The change that put it into service.
    pub revision: u64,
    /// The manifest, TOML.
    pub manifest: String,
    /// The public graph.
    pub graph: Vec<u8>,
}
