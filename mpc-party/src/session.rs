//! One classification, from the client's request to the output share.
//!
//! An asynchronous task talks to the client; a thread of the session's own talks to the peers and computes. The task
//! watches the client and the clock and ends the thread when either is gone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use mpc_core::error::Error;
use mpc_core::inference::head::{Output, Released};
use mpc_core::inference::secure::evaluate;
use mpc_core::kernel::wipe_stack;
use mpc_core::link::Link;
use mpc_core::network::Network;
use mpc_core::network::identity::Fingerprint;
use mpc_core::network::quic::{Cancel, QuicNetwork};
use mpc_core::network::stream;
use mpc_core::party::Computed;
use mpc_core::prss::Prss;
use mpc_core::session::{Conditions, Id, Meter};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Evaluate, Reply, Subject, short};
use mpc_core::wire::peer::{Propose, SessionHello};
use mpc_core::{Party, Role};
use quinn::{RecvStream, SendStream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Instrument, Span, info, info_span};

use crate::access::Principal;
use crate::admission::Admitted;
use crate::asked::{Asked, Shares};
use crate::request::{Ended, say};
use crate::serve::Shared;
use crate::telemetry::metrics::Step;
use crate::telemetry::{Record, hex};

/// Serves a classification until the output share is with the client.
pub(crate) async fn classify(
    shared: &Arc<Shared>,
    principal: &Principal,
    client: Fingerprint,
    request: Evaluate,
    record: &mut Record,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Ended> {
    let limit = shared.limits.session_timeout().min(std::time::Duration::from_millis(request.timeout_ms));
    let client_leaves = send.stopped();
    tokio::select! {
        ended = converse(shared, principal, client, request, record, send, recv) => ended,
        _ = client_leaves => Err(Ended::Left),
        () = tokio::time::sleep(limit) => Err(Ended::Failed(format!("no answer within {limit:?}, the time limit of the session"))),
    }
}

async fn converse(
    shared: &Arc<Shared>,
    principal: &Principal,
    client: Fingerprint,
    request: Evaluate,
    record: &mut Record,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Ended> {
    let Record { subject, .. } = record;
    if let Subject::Published(publication) = &request.subject {
        subject.publication = Some(hex(publication));
    }
    subject.inputs = Some(request.windows.len());
    subject.windows = Some(request.windows.iter().map(|&n| u64::from(n)).sum());
    subject.security = Some(request.security);
    let asked = Asked::find(&shared.catalog, &principal.tenant, &request)?;
    let name = asked.name().to_owned();
    subject.model = Some(name.clone());
    Span::current().record("model", &name);
    shared.check_security(request.security, asked.minimum(), &request.question)?;
    let demand = asked.demand(&request, &shared.limits, principal.input_words)?;
    let _place = principal.enter()?;
    let propose = Propose {
        request: request.stamp.request,
        digest: request.digest()?,
        client: client.0,
        tenant: principal.tenant.clone(),
    };
    let admission = shared.admission.admit(propose, shared.lines.conditions(), Some(demand.mib));
    let admitted = admission.instrument(info_span!("admission")).await;
    let admitted = admitted.map_err(|refusal| shared.not_admitted(refusal))?;
    shared.telemetry.metrics.step(&name, Step::Queue, record.age());
    let session = admitted.session;
    record.subject.session = Some(hex(&session));
    Span::current().record("session", short(&session));
    info!(inputs = request.windows.len(), security = %request.security, "starts");

    let key = (request.subject.publication(), session);
    let listed = asked.listed(&principal.tenant);
    let mut running = Running::start(shared, Work { asked, listed, request }, admitted).await?;
    say(send, &Reply::Accepted { session }).await?;
    let (wait, accepted) = (shared.limits.wait(), Instant::now());
    let shares = timeout(wait, demand.receive(recv)).instrument(info_span!("input")).await;
    // This thread serves others next.
    wipe_stack();
    let shares = shares
        .map_err(|_| Ended::Failed(format!("the input share did not arrive within {wait:?}")))?
        .map_err(|e| Ended::Failed(format!("the input share did not arrive: {e}")))?;
    shared.telemetry.metrics.step(&name, Step::Input, accepted.elapsed());
    let computing = Instant::now();
    let (released, meter) = running.answer(shares).instrument(info_span!("compute")).await?;
    shared.telemetry.metrics.step(&name, Step::Compute, computing.elapsed());
    record.meter = Some(meter);
    info!(rounds = meter.rounds, bytes_sent = meter.bytes_sent, "computed");
    let [own, next] = match released {
        Released::ToClient(components) => components,
        Released::Kept(template) => {
            shared.catalog.keep_template(key, template).await.map_err(Ended::failed)?;
            return say(send, &Reply::Kept { meter }).await;
        }
    };
    let shape = own.shape().iter().map(|&side| side as u64).collect();
    say(send, &Reply::Output { shape, meter }).await?;
    stream::send_words(send, &own).await.map_err(|_| Ended::Left)?;
    stream::send_words(send, &next).await.map_err(|_| Ended::Left)
}

/// What a session's thread works on.
struct Work {
    asked: Asked,
    /// [`Asked::listed`].
    listed: Id,
    request: Evaluate,
}

type Answer = (Released, Meter);

/// A session's thread, seen from its task. Dropped, the thread ends at its next wait.
struct Running {
    cancel: Option<Cancel>,
    shares: Option<mpsc::Sender<Shares>>,
    answer: oneshot::Receiver<Result<Answer, Error>>,
}

impl Running {
    /// Starts the thread and waits until the three parties have told each other that they mean the same session.
    async fn start(shared: &Arc<Shared>, work: Work, admitted: Admitted) -> Result<Self, Ended> {
        let (ready, is_ready) = oneshot::channel();
        let (shares, arriving) = mpsc::channel();
        let (done, answer) = oneshot::channel();
        let span = Span::current();
        let shared = shared.clone();
        let name = format!("session {}", short(&admitted.session));
        let spawned = thread::Builder::new().name(name).spawn(move || {
            let _in_span = span.entered();
            let _counted = Counted::new(&shared.running);
            let result = run(&shared, &work, &admitted, ready, &arriving);
            // Nobody listens where the session was given up.
            drop(done.send(result));
            drop(admitted);
            wipe_stack();
        });
        spawned.map_err(|e| Ended::Failed(format!("no thread for the session: {e}")))?;
        let mut running = Self { cancel: None, shares: Some(shares), answer };
        match is_ready.await {
            Ok(cancel) => running.cancel = Some(cancel),
            Err(_) => return Err(running.ended().await),
        }
        Ok(running)
    }

    /// Hands over what the client has shared and waits for the answer.
    async fn answer(&mut self, shares: Shares) -> Result<Answer, Ended> {
        if self.shares.take().is_none_or(|thread| thread.send(shares).is_err()) {
            return Err(self.ended().await);
        }
        let answer = (&mut self.answer).await.map_err(|_| Ended::panicked())?.map_err(Ended::from)?;
        self.cancel = None;
        Ok(answer)
    }

    /// Why the thread ended early.
    async fn ended(&mut self) -> Ended {
        match (&mut self.answer).await {
            Ok(Err(error)) => error.into(),
            _ => Ended::panicked(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(cancel) = &self.cancel {
            cancel.abort("the client left, or the time was up");
        }
    }
}

/// The thread of a session.
fn run(
    shared: &Shared,
    work: &Work,
    admitted: &Admitted,
    ready: oneshot::Sender<Cancel>,
    arriving: &mpsc::Receiver<Shares>,
) -> Result<Answer, Error> {
    let Admitted { session, conditions, .. } = *admitted;
    let Work { asked, listed, request } = work;
    let mut network = shared.mesh.session(session, shared.limits.wait())?;
    let hello = SessionHello::new(session, request, asked.digest(), *listed, conditions);
    greet(&mut network, &hello, SessionHello::difference).inspect_err(|error| network.abort(error))?;
    let (own, next) = network.prss_keys()?;
    let given_up = || Error::Aborted("the client left before its input was complete".into());
    ready.send(network.cancel()).map_err(|_| given_up())?;
    let shares = arriving.recv().map_err(|_| given_up())?;

    let link = Link::new(Box::new(network), Prss::new(own, next));
    let mut party = Party::new(link, request.security, &hello.digest()?);
    let output = compute(&mut party, work, conditions, shares).inspect_err(|error| party.link().abort(error))?;
    let party = party.verify()?;
    Ok((party.release(output)?, party.meter()))
}

/// From what the client has shared to what may leave this party once it is verified.
fn compute(party: &mut Party, work: &Work, conditions: Conditions, shares: Shares) -> Result<Computed<Output>, Error> {
    let Work { asked, request, .. } = work;
    let Shares { input, enclosed } = shares;
    let (head, weights) = (asked.head(request)?, asked.weights(enclosed.as_ref())?);
    evaluate(party, asked.graph(), weights, &input, &request.windows, &head, conditions)
}

/// Exchanges hellos of fixed length with both peers: 1 round. Sends to both before it waits for either.
///
/// # Errors
/// [`Error::Malformed`] that says in what a peer's differs from ours; errors of the network.
pub(crate) fn greet<H: Serialize + DeserializeOwned>(
    network: &mut QuicNetwork,
    hello: &H,
    difference: impl Fn(&H, &H) -> Option<&'static str>,
) -> Result<(), Error> {
    let ours = codec::encode(hello)?;
    let peers = [network.role().next(), network.role().prev()];
    for peer in peers {
        network.send(peer, &ours)?;
    }
    for peer in peers {
        let mut theirs = vec![0; ours.len()];
        network.recv(peer, &mut theirs)?;
        let difference = codec::decode(&theirs).map(|theirs| difference(hello, &theirs));
        let difference = difference.unwrap_or(Some("encoding of the session's parameters"));
        if let Some(what) = difference {
            return Err(mismatch(peer, what));
        }
    }
    Ok(())
}

fn mismatch(peer: Role, what: &str) -> Error {
    Error::Malformed { peer, expected: format!("the same {what} as here"), got: "another one".into() }
}

/// Counts what lasts as long as this.
pub(crate) struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    pub(crate) fn new(number: &'a AtomicU32) -> Self {
        number.fetch_add(1, Ordering::Relaxed);
        Self(number)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
