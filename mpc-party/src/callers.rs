//! Serves callers: recognises them, and dispatches each request to the owner that serves it.

use std::path::Path;
use std::sync::Arc;

use mpc_core::network::stream;
use mpc_core::session::Mode;
use mpc_core::wire::message::{
    Action, Change, Code, Evaluate, MAX_CONTROL, Maintenance, PROBE_BYTES, Question, Reply, Request, Stamp,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument, debug, error_span};

use crate::access::{Access, Caller, Principal, Standing};
use crate::admission::Admission;
use crate::catalog::Catalog;
use crate::change::Changes;
use crate::config::{Limits, Right};
use crate::conversation::Conversation;
use crate::ended::{Ended, unreadable};
use crate::evaluate::Evaluations;
use crate::intake::Intake;
use crate::model::not_in_service;
use crate::overview::Overview;
use crate::store::Verification;
use crate::telemetry::{Kind, Telemetry};
use crate::upload;

/// Everything that serves the requests of callers.
pub(crate) struct Callers {
    pub(crate) access: Arc<Access>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) evaluations: Evaluations,
    pub(crate) changes: Arc<Changes>,
    pub(crate) overview: Overview,
    pub(crate) limits: Limits,
    /// The weakest security that the party accepts, as clients are told.
    pub(crate) minimum: Mode,
}

impl Callers {
    /// Serves a connection until the caller closes it, or until the caller is no longer listed and its last requests
    /// have ended.
    pub(crate) async fn serve(self: Arc<Self>, caller: impl Caller) {
        let (fingerprint, from) = (caller.key(), caller.address());
        debug!(%fingerprint, %from, "connected");
        let mut access = self.access.changes();
        let mut running = JoinSet::new();
        while let Some(who) = self.access.recognise(fingerprint) {
            tokio::select! {
                opened = caller.next() => {
                    let Some((send, recv)) = opened else {
                        debug!(%fingerprint, "disconnected");
                        return running.detach_all();
                    };
                    let client = who.name();
                    // At the highest level, so that every line has the span under any `log.level`.
                    let span = error_span!("request", client, session = Empty, model = Empty);
                    let conversation = Conversation::new(who, send, recv);
                    running.spawn(self.clone().converse(conversation).instrument(span));
                }
                // Recognise the caller again.
                _ = access.changed() => {}
                Some(_) = running.join_next() => {}
            }
        }
        self.telemetry.turned_away(fingerprint, from);
        let reason =
            format!("this party does not know the key {fingerprint}; its operator can list it under [[clients]]");
        let refused = Reply::Refused(Code::NotListed.because(reason.clone()));
        while !running.is_empty() {
            tokio::select! {
                Some((mut send, _)) = caller.next() => drop(stream::send(&mut send, &refused).await),
                _ = running.join_next() => {}
            }
        }
        caller.refuse(&reason);
    }

    async fn converse(self: Arc<Self>, mut conversation: Conversation) {
        let ended = self.dispatch(&mut conversation).await;
        self.telemetry.ended(&conversation.record, &conversation.who, &ended);
        if let (Some(ticket), Err(Ended::Refused(refusal))) = (conversation.ticket, &ended) {
            let (admission, refusal) = (self.admission.clone(), refusal.clone());
            tokio::spawn(async move { admission.refuse(ticket, refusal).await });
        }
        if let Some(reply) = ended.err().and_then(Ended::into_reply) {
            // A caller that has left does not need the reason.
            drop(conversation.say(&reply).await);
        }
        if conversation.send.finish().is_ok() {
            // Wait until the caller has everything, so that closing the connection or the party next does not cut it
            // off.
            drop(timeout(self.limits.wait(), conversation.send.stopped()).await);
        }
    }

    /// Reads the request and has it served.
    async fn dispatch(&self, conversation: &mut Conversation) -> Result<(), Ended> {
        if let Standing::Client(principal) = &conversation.who.standing {
            // Count before reading, so that unreadable requests count too.
            principal.count_request()?;
        }
        let first = timeout(self.limits.wait(), stream::receive_first(&mut conversation.recv, MAX_CONTROL)).await;
        let request = first.map_err(|_| Ended::Left)?.map_err(|e| unreadable(&e))?;
        conversation.record.kind = Kind::of(&request);
        if let Request::Evaluate(Evaluate { stamp, .. }) | Request::Change(Change { stamp, .. }) = &request {
            conversation.ticket = Some((conversation.who.key.0, stamp.request));
        }
        match &conversation.who.standing {
            Standing::Client(principal) => {
                let principal = principal.clone();
                self.serve_client(&principal, request, conversation).await
            }
            Standing::Operator => self.serve_party(true, request, conversation).await,
            Standing::Peer(_) => self.serve_party(false, request, conversation).await,
        }
    }

    async fn serve_client(
        &self,
        principal: &Principal,
        request: Request,
        conversation: &mut Conversation,
    ) -> Result<(), Ended> {
        let key = conversation.who.key;
        let new = |stamp: &Stamp| self.access.check_new(key, stamp);
        let may = |right| principal.check(right);
        if matches!(request, Request::Evaluate(_) | Request::Upload(_) | Request::Change(_)) {
            conversation.place = Some(self.intake.take_on()?);
        }
        match request {
            Request::Status => conversation.say(&Reply::Status(self.overview.status_for_clients())).await,
            Request::Models => {
                let models = self.catalog.list(&principal.tenant);
                conversation.say(&Reply::Models { minimum: self.minimum, models }).await
            }
            Request::Gallery { publication } => {
                let model = self.catalog.find(&principal.tenant, &publication).ok_or_else(not_in_service)?;
                let gallery = self.catalog.gallery(&model)?;
                let persons = gallery.enrolled.iter().map(|enrolled| enrolled.person.clone()).collect();
                let reply = Reply::Gallery { persons, digest: gallery.digest, lacking: gallery.lacking() };
                conversation.say(&reply).await
            }
            Request::Evaluate(request) => {
                may(if request.question == Question::Enrol { Right::Enrol } else { Right::Classify })?;
                new(&request.stamp)?;
                self.evaluations.serve(principal, request, conversation).await
            }
            Request::Upload(request) => {
                may(Right::Publish)?;
                let limit = self.limits.session_timeout();
                upload::serve(&self.catalog, limit, &principal.tenant, request, conversation).await
            }
            Request::Change(request) => {
                may(match request.action {
                    Action::Activate { .. } | Action::Retire { .. } => Right::Publish,
                    Action::Enrol { .. } | Action::Remove { .. } => Right::Enrol,
                })?;
                new(&request.stamp)?;
                self.changes.serve(principal, request, conversation).await
            }
            Request::Probe => self.probe(conversation).await,
            Request::Operate(_) => Err(Code::NoRight.because("only the party's own operator may ask for this").into()),
        }
    }

    /// Serves the holder of a party's key: another party, or this party's operator, whose key is this party's `own`.
    async fn serve_party(&self, own: bool, request: Request, conversation: &mut Conversation) -> Result<(), Ended> {
        match request {
            Request::Status => conversation.say(&Reply::Status(self.overview.status())).await,
            Request::Probe => self.probe(conversation).await,
            Request::Operate(task) if own => self.operate(task, conversation).await,
            _ => {
                let reason = "a party may ask for this one's status and measure the line; its operator may also maintain the store";
                Err(Code::NoRight.because(reason).into())
            }
        }
    }

    /// Works on the store for the operator.
    async fn operate(&self, task: Maintenance, conversation: &mut Conversation) -> Result<(), Ended> {
        let store = self.catalog.store();
        let work = tokio::task::spawn_blocking(move || match task {
            Maintenance::Backup { to } => store.backup(Path::new(&to)).map(|()| vec![format!("wrote {to}")]),
            Maintenance::Verify => store.verify().and_then(Verification::into_lines),
        });
        let lines = work.await.map_err(|_| Ended::panicked())?.map_err(Ended::failed)?;
        conversation.say(&Reply::Operated { lines }).await
    }

    /// Measures the line to the caller: receives [`PROBE_BYTES`], then sends as many.
    async fn probe(&self, conversation: &mut Conversation) -> Result<(), Ended> {
        const CHUNK: usize = 1 << 14;
        let mut chunk = vec![0; CHUNK];
        let exchanged = async {
            for _ in 0..PROBE_BYTES / CHUNK {
                conversation.recv.read_exact(&mut chunk).await.map_err(|_| Ended::Left)?;
            }
            conversation.say(&Reply::Probed).await?;
            for _ in 0..PROBE_BYTES / CHUNK {
                conversation.send.write_all(&chunk).await.map_err(|_| Ended::Left)?;
            }
            Ok(())
        };
        timeout(self.limits.wait(), exchanged).await.map_err(|_| Ended::Left)?
    }
}
