//! A session: one evaluation by the three parties, on a thread of its own that talks to the peers and computes.
//!
//! The task that talks to the client watches the client and the clock, and ends the thread when the client leaves or
//! the time is up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use mpc_core::Party;
use mpc_core::error::Error;
use mpc_core::inference::head::{Output, Released};
use mpc_core::inference::secure::evaluate;
use mpc_core::kernel::wipe_stack;
use mpc_core::network::Network;
use mpc_core::network::quic::Cancel;
use mpc_core::party::Computed;
use mpc_core::session::{Conditions, Meter};
use mpc_core::wire::message::short;
use mpc_core::wire::peer::SessionHello;
use tokio::sync::oneshot;
use tracing::Span;

use crate::admission::Admitted;
use crate::cell::{Cell, greet, party};
use crate::counted::Counted;
use crate::ended::Ended;
use crate::evaluation::{Evaluation, Shares};

/// Runs sessions.
pub(crate) struct Sessions {
    cell: Cell,
    running: AtomicU32,
}

/// This party's part of the answer, and the cost of the session.
pub(crate) type Answer = (Released, Meter);

impl Sessions {
    pub(crate) fn new(cell: Cell) -> Self {
        Self { cell, running: AtomicU32::new(0) }
    }

    /// Number of running sessions.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Starts the thread and waits until the three parties have confirmed to each other that they mean the same
    /// session.
    ///
    /// # Errors
    /// The session ended early, or the operating system gives no thread.
    pub(crate) async fn start(
        self: &Arc<Self>,
        evaluation: Evaluation,
        admitted: Admitted,
    ) -> Result<RunningSession, Ended> {
        let (ready, is_ready) = oneshot::channel();
        let (shares, arriving) = mpsc::channel();
        let (done, answer) = oneshot::channel();
        let (sessions, span) = (self.clone(), Span::current());
        let name = format!("session {}", short(&admitted.session));
        let spawned = thread::Builder::new().name(name).spawn(move || {
            let _in_span = span.entered();
            let _counted = Counted::new(&sessions.running);
            let result = sessions.run(&evaluation, &admitted, ready, &arriving);
            // Nobody listens if the session was given up.
            drop(done.send(result));
            drop(admitted);
            wipe_stack();
        });
        spawned.map_err(|e| Ended::Failed(format!("no thread for the session: {e}")))?;
        let mut running = RunningSession { cancel: None, shares: Some(shares), answer };
        match is_ready.await {
            Ok(cancel) => running.cancel = Some(cancel),
            Err(_) => return Err(running.ended().await),
        }
        Ok(running)
    }

    /// The thread of a session.
    fn run(
        &self,
        evaluation: &Evaluation,
        admitted: &Admitted,
        ready: oneshot::Sender<Cancel>,
        arriving: &mpsc::Receiver<Shares>,
    ) -> Result<Answer, Error> {
        let Admitted { session, conditions, .. } = *admitted;
        let request = &evaluation.request;
        let mut network = self.cell.enter(session)?;
        let hello = SessionHello::new(session, request, evaluation.digest(), evaluation.listed, conditions);
        greet(&mut network, &hello, SessionHello::difference).inspect_err(|error| network.abort(error))?;
        let cancel = network.cancel();
        let mut party = party(network, request.security, &hello.digest()?)?;
        let given_up = || Error::Aborted("the client left before its input was complete".into());
        ready.send(cancel).map_err(|_| given_up())?;
        let shares = arriving.recv().map_err(|_| given_up())?;

        let output = compute(&mut party, evaluation, conditions, shares);
        let output = output.inspect_err(|error| party.link().abort(error))?;
        let party = party.verify()?;
        Ok((party.release(output)?, party.meter()))
    }
}

/// Evaluates the client's shares; the output may leave this party once it is verified.
fn compute(
    party: &mut Party,
    evaluation: &Evaluation,
    conditions: Conditions,
    shares: Shares,
) -> Result<Computed<Output>, Error> {
    let Shares { input, enclosed } = shares;
    let (head, weights) = (evaluation.head()?, evaluation.weights(enclosed.as_ref())?);
    evaluate(party, evaluation.graph(), weights, &[input], &evaluation.request.windows, &head, conditions)
}

/// A session's thread, as its task sees it. If this is dropped, the thread ends at its next wait.
pub(crate) struct RunningSession {
    cancel: Option<Cancel>,
    shares: Option<mpsc::Sender<Shares>>,
    answer: oneshot::Receiver<Result<Answer, Error>>,
}

impl RunningSession {
    /// Hands over the client's shares and waits for the answer.
    ///
    /// # Errors
    /// The session ended early.
    pub(crate) async fn answer(&mut self, shares: Shares) -> Result<Answer, Ended> {
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

impl Drop for RunningSession {
    fn drop(&mut self) {
        if let Some(cancel) = &self.cancel {
            cancel.abort("the client left, or the time was up");
        }
    }
}
