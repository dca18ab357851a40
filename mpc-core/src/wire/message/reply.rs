//! What a party answers.

use serde::{Deserialize, Serialize};

use super::Refusal;
#[cfg(doc)]
use super::{Change, Request};
use crate::error::Step;
use crate::session::{Id, Measured, Meter, Mode};

/// A party's reply; which one depends on the request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The request will not be served, and nothing was computed or stored.
    Refused(Refusal),
    /// The request was started but ended without an answer.
    Failed {
        /// One line for people: which party, which step.
        reason: String,
    },
    /// The session was destroyed because a check of active security failed, here or at a peer. Nobody can tell whose
    /// fault it is.
    Cheating {
        /// The check.
        step: Step,
    },
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Models`].
    Models {
        /// The weakest security that this party accepts; a model's manifest may demand more.
        minimum: Mode,
        /// What is in service.
        models: Vec<ModelInfo>,
    },
    /// To [`Request::Evaluate`]: the session is admitted at all three parties, send the input share.
    Accepted {
        /// Name of the session, the same from all three parties.
        session: Id,
    },
    /// The output shares follow: both components, raw.
    Output {
        /// Shape of the output tensor, inputs first.
        shape: Vec<u64>,
        /// What the session cost this party.
        meter: Meter,
    },
    /// The session has computed a template, which the party keeps. A [`Change`] makes it part of the gallery.
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
        /// The places whose template this party's store lacks. The gallery answers no question until those persons are
        /// removed.
        lacking: Vec<u32>,
    },
    /// To [`Request::Upload`]: manifest and graph are valid, send the weight share from byte `have` on.
    Ready {
        /// Bytes of the share stored already.
        have: u64,
    },
    /// The whole weight share is stored.
    Stored,
    /// To [`Request::Change`]: the change is made, here and at P0.
    Changed {
        /// Number of the [`Catalog`](crate::wire::peer::Catalog) with the change.
        revision: u64,
    },
    /// To [`Request::Operate`]: done.
    Operated {
        /// The findings, for people.
        lines: Vec<String>,
    },
    /// To [`Request::Probe`]: all bytes have arrived, and as many follow.
    Probed,
}

/// The status of a party, as it reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub program: String,
    /// 0, 1 or 2.
    pub role: u8,
    /// Whether the next and the previous party are connected.
    pub peers: [bool; 2],
    /// Why a peer is not connected, for people; empty where it is.
    pub troubles: [String; 2],
    /// The party's clock, in seconds since 1970.
    pub clock_s: u64,
    /// Sessions running now.
    pub sessions: u32,
    /// Number of models in service.
    pub models: u32,
    /// Number of the last change that it knows; the same at all three.
    pub revision: u64,
    /// Why it serves no new requests, other than a missing peer; for its operator and the other parties only.
    pub not_ready: Vec<String>,
    /// What keeps it from serving every model in service; for its operator and the other parties only.
    pub problems: Vec<String>,
    /// What it has last measured together with its peers. Sessions are planned for P0's measurement.
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
