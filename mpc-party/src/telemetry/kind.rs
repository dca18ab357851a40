//! Kinds of requests and outcomes, with their names in metrics and the audit log.

use std::fmt;

use mpc_core::wire::message::{Action, Request};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use serde::{Serialize, Serializer};

use crate::ended::Ended;

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A request not read yet, or unreadable.
    Unreadable,
    /// A connection of a caller whose key is not listed.
    Connect,
    Status,
    Models,
    Gallery,
    Evaluate,
    Upload,
    Activate,
    Retire,
    Enrol,
    Remove,
    Probe,
    Operate,
}

impl Kind {
    /// The kind of a request.
    pub(crate) fn of(request: &Request) -> Self {
        match request {
            Request::Status => Self::Status,
            Request::Models => Self::Models,
            Request::Gallery { .. } => Self::Gallery,
            Request::Evaluate(_) => Self::Evaluate,
            Request::Upload(_) => Self::Upload,
            Request::Change(change) => match change.action {
                Action::Activate { .. } => Self::Activate,
                Action::Retire { .. } => Self::Retire,
                Action::Enrol { .. } => Self::Enrol,
                Action::Remove { .. } => Self::Remove,
            },
            Request::Probe => Self::Probe,
            Request::Operate(_) => Self::Operate,
        }
    }

    /// The name in metrics and in the audit log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Connect => "connect",
            Self::Status => "status",
            Self::Models => "models",
            Self::Gallery => "gallery",
            Self::Evaluate => "classify",
            Self::Upload => "upload",
            Self::Activate => "activate",
            Self::Retire => "retire",
            Self::Enrol => "enrol",
            Self::Remove => "remove",
            Self::Probe => "probe",
            Self::Operate => "operate",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Ok,
    Refused,
    Failed,
    Cheating,
    /// The caller left first.
    Left,
}

impl Outcome {
    /// The outcome of a conversation.
    pub(crate) fn of(ended: &Result<(), Ended>) -> Self {
        match ended {
            Ok(()) => Self::Ok,
            Err(Ended::Refused(_)) => Self::Refused,
            Err(Ended::Failed(_)) => Self::Failed,
            Err(Ended::Cheating(_)) => Self::Cheating,
            Err(Ended::Left) => Self::Left,
        }
    }

    /// The name in metrics and in the audit log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cheating => "cheating",
            Self::Left => "left",
        }
    }
}

macro_rules! written_by_name {
    ($($kind:ty),*) => {$(
        impl EncodeLabelValue for $kind {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                self.name().encode(encoder)
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    )*};
}

written_by_name!(Kind, Outcome);
