//! Who is calling, and what they ask for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mpc_core::Role;
use mpc_core::error::Step;
use mpc_core::network::endpoint::{self, close};
use mpc_core::network::identity::Fingerprint;
use mpc_core::network::mesh::Caller;
use mpc_core::wire::message::{MAX_CONTROL, Reply, Request, Status};
use mpc_core::wire::stream;
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument, debug, error_span, info, warn};

use crate::serve::Shared;
use crate::{publish, session};

/// A caller whose key is known.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// For people and logs.
    pub(crate) name: String,
    /// The key.
    pub(crate) fingerprint: Fingerprint,
    /// What the caller may do.
    pub(crate) rights: Rights,
}

/// What a caller may do, each more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rights {
    /// Ask how the party is.
    Watch,
    /// Ask for models and classifications.
    Ask,
    /// Publish models.
    Publish,
}

/// How a conversation ends before its time.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It never began.
    Refused(String),
    /// It was begun.
    Failed(String),
    /// A check of active security failed.
    Cheating(Step),
    /// The caller is gone: there is nobody to tell.
    Left,
}

impl From<mpc_core::Error> for Ended {
    /// How an error of the session ends the conversation about it.
    fn from(error: mpc_core::Error) -> Self {
        match error {
            mpc_core::Error::Cheating { step } => Self::Cheating(step),
            other => Self::failed(other),
        }
    }
}

impl Ended {
    /// Refused for this reason.
    pub(crate) fn refused(reason: impl Into<anyhow::Error>) -> Self {
        Self::Refused(format!("{:#}", reason.into()))
    }

    /// Failed for this reason.
    pub(crate) fn failed(reason: impl Into<anyhow::Error>) -> Self {
        Self::Failed(format!("{:#}", reason.into()))
    }

    /// Failed because of a bug here.
    pub(crate) fn panicked() -> Self {
        Self::Failed("an internal error; the operator's log says more".into())
    }
}

/// Serves a connection until the caller closes it.
pub(crate) async fn serve_caller(shared: Arc<Shared>, caller: Caller) {
    let Caller { connection, fingerprint } = caller;
    let Some(principal) = shared.recognise(fingerprint) else {
        warn!(%fingerprint, from = %connection.remote_address(), "refused a caller whose key is not listed");
        let reason =
            format!("this party does not know the key {fingerprint}; its operator can list it under [[clients]]");
        return endpoint::refuse(&connection, close::NOT_TRUSTED, &reason);
    };
    debug!(client = principal.name, from = %connection.remote_address(), "connected");
    while let Ok((send, recv)) = connection.accept_bi().await {
        // Of the highest level, so that every line has it whatever `log.level` says.
        let span = error_span!("request", client = principal.name, session = Empty, model = Empty);
        tokio::spawn(converse(shared.clone(), principal.clone(), send, recv).instrument(span));
    }
    debug!(client = principal.name, "disconnected");
}

async fn converse(shared: Arc<Shared>, principal: Principal, mut send: SendStream, mut recv: RecvStream) {
    let reply = match serve(&shared, &principal, &mut send, &mut recv).await {
        Ok(()) => return,
        Err(Ended::Left) => return info!("the client left"),
        Err(Ended::Refused(reason)) => {
            info!(reason, "refused");
            Reply::Refused { reason }
        }
        Err(Ended::Failed(reason)) => {
            warn!(reason, "failed");
            Reply::Failed { reason }
        }
        Err(Ended::Cheating(step)) => {
            warn!(%step, "a party deviated from the protocol; the session is destroyed");
            Reply::Cheating { step }
        }
    };
    // A caller that is gone by now does not need the reason.
    drop(say(&mut send, &reply).await);
}

async fn serve(
    shared: &Arc<Shared>,
    principal: &Principal,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Ended> {
    let first = timeout(shared.limits.wait(), stream::receive_first(recv, MAX_CONTROL)).await;
    let request = first.map_err(|_| Ended::Left)?.map_err(Ended::refused)?;
    let needed = match request {
        Request::Status => Rights::Watch,
        Request::Models | Request::Classify(_) => Rights::Ask,
        Request::Publish(_) => Rights::Publish,
    };
    if principal.rights < needed {
        return Err(Ended::Refused(match needed {
            Rights::Publish => {
                format!(
                    "{} may ask, but not publish; the operator can list its key under [[publishers]]",
                    principal.fingerprint
                )
            }
            _ => "a party may ask for the status only".into(),
        }));
    }
    match request {
        Request::Status => say(send, &Reply::Status(status(shared))).await,
        Request::Models => say(send, &Reply::Models { minimum: shared.minimum, models: shared.catalog.list() }).await,
        Request::Classify(request) => session::classify(shared, principal, request, send, recv).await,
        Request::Publish(request) => publish::publish(shared, request, send, recv).await,
    }
}

/// Sends a reply.
pub(crate) async fn say(send: &mut SendStream, message: &impl Serialize) -> Result<(), Ended> {
    stream::send(send, message).await.map_err(|_| Ended::Left)
}

fn status(shared: &Shared) -> Status {
    let role: Role = shared.mesh.role();
    Status {
        program: env!("CARGO_PKG_VERSION").into(),
        role: role.index() as u8,
        peers: [role.next(), role.prev()].map(|peer| shared.mesh.is_connected(peer)),
        sessions: shared.running.load(Ordering::Relaxed),
        models: shared.catalog.len() as u32,
        measured: shared.lines.measured(),
    }
}
