//! Serves a request for an evaluation, from its first message to the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use mpc_core::inference::head::Released;
use mpc_core::kernel::wipe_stack;
use mpc_core::network::stream;
use mpc_core::ring::Tensor;
use mpc_core::session::Mode;
use mpc_core::wire::message::{Code, Evaluate, Refusal, Reply, Subject, short};
use mpc_core::wire::peer::Propose;
use tokio::time::timeout;
use tracing::{Instrument, Span, info, info_span};

use crate::access::Principal;
use crate::admission::Admission;
use crate::catalog::Catalog;
use crate::config::{Config, Limits};
use crate::conversation::Conversation;
use crate::ended::Ended;
use crate::evaluation::Evaluation;
use crate::session::Sessions;
use crate::telemetry::metrics::Phase;
use crate::telemetry::{Details, Telemetry};

/// Serves requests for evaluations.
pub(crate) struct Evaluations {
    catalog: Arc<Catalog>,
    admission: Arc<Admission>,
    sessions: Arc<Sessions>,
    telemetry: Arc<Telemetry>,
    rules: Rules,
}

/// The operator's rules for evaluations.
struct Rules {
    limits: Limits,
    /// The weakest security that the party accepts.
    minimum: Mode,
}

impl Evaluations {
    pub(crate) fn new(
        catalog: Arc<Catalog>,
        admission: Arc<Admission>,
        sessions: Arc<Sessions>,
        telemetry: Arc<Telemetry>,
        config: &Config,
    ) -> Self {
        let rules = Rules { limits: config.limits.clone(), minimum: config.security.minimum };
        Self { catalog, admission, sessions, telemetry, rules }
    }

    /// Serves a request until the client has the answer, leaves, or the time is up.
    pub(crate) async fn serve(
        &self,
        principal: &Principal,
        request: Evaluate,
        conversation: &mut Conversation,
    ) -> Result<(), Ended> {
        let limit = self.rules.limits.session_timeout().min(Duration::from_millis(request.timeout_ms));
        let client_leaves = conversation.send.stopped();
        tokio::select! {
            ended = self.answer(principal, request, conversation) => ended,
            _ = client_leaves => Err(Ended::Left),
            () = tokio::time::sleep(limit) => Err(Ended::Failed(format!("no answer within {limit:?}, the time limit of the session"))),
        }
    }

    async fn answer(
        &self,
        principal: &Principal,
        request: Evaluate,
        conversation: &mut Conversation,
    ) -> Result<(), Ended> {
        describe(&request, &mut conversation.record.details);
        let evaluation = Evaluation::find(&self.catalog, &principal.tenant, request)?;
        let (request, name) = (&evaluation.request, evaluation.name().to_owned());
        conversation.record.details.model = Some(name.clone());
        Span::current().record("model", &name);
        self.rules.check_security(&evaluation)?;
        let demand = evaluation.demand(&self.rules.limits, principal.input_words)?;
        let _place = principal.enter()?;
        let propose = Propose {
            request: request.stamp.request,
            digest: request.digest()?,
            client: conversation.who.key.0,
            tenant: principal.tenant.clone(),
        };
        let admission = self.admission.admit(propose, Some(demand.mib));
        let admitted = admission.instrument(info_span!("admission")).await?;
        let phase = |phase, took| self.telemetry.metrics.phase(&name, phase, took);
        phase(Phase::Queue, conversation.record.age());
        let session = admitted.session;
        conversation.record.details.session = Some(HEXLOWER.encode(&session));
        Span::current().record("session", short(&session));
        info!(inputs = request.windows.len(), security = %request.security, "starts");

        let template = (request.subject.publication(), session);
        let mut running = self.sessions.start(evaluation, admitted).await?;
        conversation.say(&Reply::Accepted { session }).await?;
        let (wait, accepted) = (self.rules.limits.wait(), Instant::now());
        let shares = timeout(wait, demand.receive(&mut conversation.recv)).instrument(info_span!("input")).await;
        // This thread serves other requests next.
        wipe_stack();
        let shares = shares
            .map_err(|_| Ended::Failed(format!("the input share did not arrive within {wait:?}")))?
            .map_err(|e| Ended::Failed(format!("the input share did not arrive: {e}")))?;
        phase(Phase::Input, accepted.elapsed());
        let computing = Instant::now();
        let (released, meter) = running.answer(shares).instrument(info_span!("compute")).await?;
        phase(Phase::Compute, computing.elapsed());
        conversation.record.meter = Some(meter);
        info!(rounds = meter.rounds, bytes_sent = meter.bytes_sent, "computed");
        match released {
            Released::Kept(share) => {
                self.catalog.keep_template(template, share).await.map_err(Ended::failed)?;
                conversation.say(&Reply::Kept { meter }).await
            }
            Released::ToClient(mut outputs) => {
                // A graph that is served has one output.
                let components = outputs.swap_remove(0);
                let shape = components[0].shape().iter().map(|&side| side as u64).collect();
                conversation.say(&Reply::Output { shape, meter }).await?;
                send(conversation, &components).await
            }
        }
    }
}

async fn send(conversation: &mut Conversation, components: &[Tensor<u64>; 2]) -> Result<(), Ended> {
    for component in components {
        stream::send_words(&mut conversation.send, component).await.map_err(|_| Ended::Left)?;
    }
    Ok(())
}

fn describe(request: &Evaluate, details: &mut Details) {
    if let Subject::Published(publication) = &request.subject {
        details.publication = Some(HEXLOWER.encode(publication));
    }
    details.inputs = Some(request.windows.len());
    details.windows = Some(request.windows.iter().map(|&n| u64::from(n)).sum());
    details.security = Some(request.security);
}

impl Rules {
    /// Refuses a security weaker than this party, the model or the question demands.
    fn check_security(&self, evaluation: &Evaluation) -> Result<(), Refusal> {
        let (asked, question) = (evaluation.request.security, &evaluation.request.question);
        let demands = [
            (self.minimum, "this party's operator demands (security.minimum)"),
            (evaluation.minimum(), "the model's manifest demands (security)"),
            (question.minimum(), "a template that the parties keep demands"),
        ];
        match demands.into_iter().find(|(minimum, _)| asked < *minimum) {
            None => Ok(()),
            Some((minimum, who)) => Err(Code::WeakSecurity
                .because(format!("the request asks for {asked} security, {who} {minimum} security; ask for that"))),
        }
    }
}
