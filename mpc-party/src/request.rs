//! Who is calling, and what they ask for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use mpc_core::Role;
use mpc_core::error::Step;
use mpc_core::network::certificate::now;
use mpc_core::network::endpoint::{self, close};
use mpc_core::network::identity::Fingerprint;
use mpc_core::network::mesh::Caller;
use mpc_core::network::stream;
use mpc_core::wire::message::{
    Action, Change, Code, Evaluate, MAX_CONTROL, PROBE_BYTES, Question, Refusal, Reply, Request, Status, Task,
};
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument, debug, error_span, info, warn};

use crate::access::Principal;
use crate::catalog::not_in_service;
use crate::config::Right;
use crate::serve::Shared;
use crate::store::Report;
use crate::telemetry::{Cause, Kind, Record};
use crate::{change, publish, session};

/// How a conversation ends before its time.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It never began.
    Refused(Refusal),
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

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Ended {
    /// Failed for this reason.
    pub(crate) fn failed(reason: impl Into<anyhow::Error>) -> Self {
        Self::Failed(format!("{:#}", reason.into()))
    }

    /// Failed because of a bug here.
    pub(crate) fn panicked() -> Self {
        Self::Failed("an internal error; the operator's log says more".into())
    }
}

/// Why a first message is not served that cannot be read.
pub(crate) fn unreadable(error: &std::io::Error) -> Refusal {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let code = if let Some(mpc_core::Error::OtherVersion { .. }) = inner { Code::OtherVersion } else { Code::Invalid };
    code.because(error.to_string())
}

/// Whose key a connection has.
pub(crate) enum Who {
    /// Somebody who is listed, or anybody where that is allowed.
    Client(Arc<Principal>),
    /// This party itself: its operator.
    Operator,
    /// Another party, which wants to know how this one is.
    Peer(Role),
}

/// Serves a connection until the caller closes it, or is no longer listed and what it asked before is done.
pub(crate) async fn serve_caller(shared: Arc<Shared>, caller: Caller) {
    let Caller { connection, fingerprint } = caller;
    let from = connection.remote_address();
    debug!(%fingerprint, %from, "connected");
    let mut access = shared.access.subscribe();
    let mut running = JoinSet::new();
    while let Some(who) = shared.recognise(&fingerprint) {
        tokio::select! {
            opened = connection.accept_bi() => {
                let Ok((send, recv)) = opened else {
                    debug!(%fingerprint, "disconnected");
                    return running.detach_all();
                };
                let client = who.name();
                // Of the highest level, so that every line has it whatever `log.level` says.
                let span = error_span!("request", client, session = Empty, model = Empty);
                running.spawn(converse(shared.clone(), who, fingerprint, send, recv).instrument(span));
            }
            // The caller is judged anew.
            _ = access.changed() => {}
            Some(_) = running.join_next() => {}
        }
    }
    // All strangers are one: each of them can have as many keys as it likes.
    let left_out = shared.quiet.admit(Cause::stranger(), Instant::now());
    if let Some(left_out) = left_out {
        warn!(%fingerprint, %from, left_out, "refused a caller whose key is not listed");
    }
    shared.telemetry.turned_away(fingerprint, from, left_out);
    let reason = format!("this party does not know the key {fingerprint}; its operator can list it under [[clients]]");
    let refused = Reply::Refused(Code::NotListed.because(reason.clone()));
    while !running.is_empty() {
        tokio::select! {
            Ok((mut send, _)) = connection.accept_bi() => drop(say(&mut send, &refused).await),
            _ = running.join_next() => {}
        }
    }
    endpoint::refuse(&connection, close::NOT_TRUSTED, &reason);
}

impl Who {
    /// For people and logs.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Client(principal) => principal.name.clone(),
            Self::Operator => "operator".into(),
            Self::Peer(role) => role.to_string(),
        }
    }

    /// Whose models it sees.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Self::Client(principal) => Some(&principal.tenant),
            Self::Operator | Self::Peer(_) => None,
        }
    }
}

async fn converse(shared: Arc<Shared>, who: Who, fingerprint: Fingerprint, mut send: SendStream, mut recv: RecvStream) {
    let mut record = Record::new();
    let ended = serve(&shared, &who, fingerprint, &mut record, &mut send, &mut recv).await;
    let left_out = match &ended {
        Ok(()) | Err(Ended::Cheating(_)) => Some(0),
        Err(_) => shared.quiet.admit(Cause::of(&who, &ended), Instant::now()),
    };
    shared.telemetry.ended(&record, &who, fingerprint, &ended, left_out);
    if let Some(left_out) = left_out {
        log_end(&ended, left_out);
    }
    if let (Some(ticket), Err(Ended::Refused(refusal))) = (record.ticket, &ended) {
        let (shared, refusal) = (shared.clone(), refusal.clone());
        tokio::spawn(async move { shared.admission.refuse(ticket, refusal).await });
    }
    if let Some(reply) = last_words(ended) {
        // A caller that is gone by now does not need the reason.
        drop(say(&mut send, &reply).await);
    }
    if send.finish().is_ok() {
        // Until the caller has everything, so that a connection or a party that is closed next does not cut it off.
        drop(timeout(shared.limits.wait(), send.stopped()).await);
    }
}

/// What is left to say at the end of a conversation.
fn last_words(ended: Result<(), Ended>) -> Option<Reply> {
    match ended {
        Ok(()) | Err(Ended::Left) => None,
        Err(Ended::Refused(refusal)) => Some(Reply::Refused(refusal)),
        Err(Ended::Failed(reason)) => Some(Reply::Failed { reason }),
        Err(Ended::Cheating(step)) => Some(Reply::Cheating { step }),
    }
}

/// A line on how a conversation ended; so many of its kind were left out before.
fn log_end(ended: &Result<(), Ended>, left_out: u64) {
    match ended {
        Ok(()) => {}
        Err(Ended::Left) => info!(left_out, "the client left"),
        Err(Ended::Refused(refusal)) => {
            info!(code = refusal.code.name(), reason = refusal.reason, left_out, "refused");
        }
        Err(Ended::Failed(reason)) => warn!(reason, left_out, "failed"),
        Err(Ended::Cheating(step)) => warn!(%step, "a party deviated from the protocol; the session is destroyed"),
    }
}

async fn serve(
    shared: &Arc<Shared>,
    who: &Who,
    fingerprint: Fingerprint,
    record: &mut Record,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Ended> {
    if let Who::Client(principal) = who {
        // Before anything is read, so that what cannot be read counts too.
        principal.admit()?;
    }
    let first = timeout(shared.limits.wait(), stream::receive_first(recv, MAX_CONTROL)).await;
    let request = first.map_err(|_| Ended::Left)?.map_err(|e| unreadable(&e))?;
    record.kind = Kind::of(&request);
    record.ticket = match &request {
        Request::Evaluate(Evaluate { stamp, .. }) | Request::Change(Change { stamp, .. }) => {
            Some((fingerprint.0, stamp.request))
        }
        _ => None,
    };
    let principal = match who {
        Who::Client(principal) => principal,
        Who::Operator => return serve_party(shared, true, request, send, recv).await,
        Who::Peer(_) => return serve_party(shared, false, request, send, recv).await,
    };
    let new = |stamp| shared.stamps.check(fingerprint, stamp, SystemTime::now());
    let may = |right| principal.check(right);
    if matches!(request, Request::Evaluate(_) | Request::Upload(_) | Request::Change(_)) {
        record.place = Some(shared.take_on()?);
    }
    match request {
        Request::Status => say(send, &Reply::Status(for_clients(status(shared)))).await,
        Request::Models => {
            let models = shared.catalog.list(&principal.tenant);
            say(send, &Reply::Models { minimum: shared.minimum, models }).await
        }
        Request::Gallery { publication } => {
            let model = shared.catalog.find(&principal.tenant, &publication);
            let model = model.ok_or_else(not_in_service)?;
            let gallery = shared.catalog.gallery(&model)?;
            let persons = gallery.enrolled.iter().map(|enrolled| enrolled.person.clone()).collect();
            say(send, &Reply::Gallery { persons, digest: gallery.digest, lacking: gallery.lacking() }).await
        }
        Request::Evaluate(request) => {
            may(if request.question == Question::Enrol { Right::Enrol } else { Right::Classify })?;
            new(&request.stamp)?;
            session::classify(shared, principal, fingerprint, request, record, send, recv).await
        }
        Request::Upload(request) => {
            may(Right::Publish)?;
            publish::upload(shared, principal, request, record, send, recv).await
        }
        Request::Change(request) => {
            may(match request.action {
                Action::Activate { .. } | Action::Retire { .. } => Right::Publish,
                Action::Enrol { .. } | Action::Remove { .. } => Right::Enrol,
            })?;
            new(&request.stamp)?;
            change::change(shared, principal, fingerprint, request, record, send).await
        }
        Request::Probe => probe(shared, send, recv).await,
        Request::Operate(_) => Err(Code::NoRight.because("only the party's own operator may ask for this").into()),
    }
}

/// What a party's key may ask for: another party's, or this one's `own`, which is its operator's.
async fn serve_party(
    shared: &Arc<Shared>,
    own: bool,
    request: Request,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Ended> {
    match request {
        Request::Status => say(send, &Reply::Status(status(shared))).await,
        Request::Probe => probe(shared, send, recv).await,
        Request::Operate(task) if own => operate(shared, task, send).await,
        _ => {
            let reason =
                "a party may ask how this one is, and measure the line; its operator may also look after the store";
            Err(Code::NoRight.because(reason).into())
        }
    }
}

/// Works on the store for the operator.
async fn operate(shared: &Shared, task: Task, send: &mut SendStream) -> Result<(), Ended> {
    let store = shared.catalog.store();
    let work = tokio::task::spawn_blocking(move || match task {
        Task::Backup { to } => store.backup(Path::new(&to)).map(|()| vec![format!("wrote {to}")]),
        Task::Verify => store.verify().and_then(Report::into_lines),
    });
    let lines = work.await.map_err(|_| Ended::panicked())?.map_err(Ended::failed)?;
    say(send, &Reply::Operated { lines }).await
}

/// Takes as much as it sends.
async fn probe(shared: &Shared, send: &mut SendStream, recv: &mut RecvStream) -> Result<(), Ended> {
    const CHUNK: usize = 1 << 14;
    let mut chunk = vec![0; CHUNK];
    let exchanged = async {
        for _ in 0..PROBE_BYTES / CHUNK {
            recv.read_exact(&mut chunk).await.map_err(|_| Ended::Left)?;
        }
        say(send, &Reply::Probed).await?;
        for _ in 0..PROBE_BYTES / CHUNK {
            send.write_all(&chunk).await.map_err(|_| Ended::Left)?;
        }
        Ok(())
    };
    timeout(shared.limits.wait(), exchanged).await.map_err(|_| Ended::Left)?
}

/// Sends a reply.
pub(crate) async fn say(send: &mut SendStream, message: &impl Serialize) -> Result<(), Ended> {
    stream::send(send, message).await.map_err(|_| Ended::Left)
}

/// What clients may know: problems name models of all tenants.
fn for_clients(status: Status) -> Status {
    Status { not_ready: Vec::new(), problems: Vec::new(), ..status }
}

fn status(shared: &Shared) -> Status {
    let role: Role = shared.mesh.role();
    Status {
        program: env!("CARGO_PKG_VERSION").into(),
        role: role.index() as u8,
        peers: [role.next(), role.prev()].map(|peer| shared.mesh.is_connected(peer)),
        troubles: [role.next(), role.prev()].map(|peer| shared.mesh.trouble(peer).unwrap_or_default()),
        clock_s: now(),
        sessions: shared.running.load(Ordering::Relaxed),
        models: shared.catalog.len() as u32,
        revision: shared.catalog.agreed().revision,
        not_ready: shared.obstacles(),
        problems: shared.problems(),
        measured: shared.lines.measured(),
    }
}
