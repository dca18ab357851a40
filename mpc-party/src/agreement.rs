//! All three parties have the same models in service.
//!
//! P0 decides only when a change is made. It sends its list to P1 and P2 when they connect and after each change. A
//! follower (P1 or P2) adopts a list with a greater revision only if
//!
//! 1. the follower has prepared this very list, for a change that it has checked itself and that all three have
//!    compared; or
//! 2. the other follower, asked directly, has exactly this list in service. In this way a follower catches up on what
//!    it has missed.
//!
//! If at most one party is corrupt, two that name the same list include an honest one, and by 1 an honest party's list
//! gains only what an authorised client has asked of it. Lists only move forward: two peers with a later list than P0's
//! show that P0's store was set back, and P0 adopts their list if both have the same. A party that was set back lacks
//! what came since; it reports that, and publishing those models again repairs it.
//!
//! The argument is in `docs/protocols.md`, "What is in service".

use std::sync::Arc;
use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::stream;
use mpc_core::session::Id;
use mpc_core::wire::codec::MAX_ENCODED;
use mpc_core::wire::message::{Code, Refusal};
use mpc_core::wire::peer::{Catalog as List, PeerRequest};
use parking_lot::Mutex;
use quinn::SendStream;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::catalog::Catalog;
use crate::cell::Cell;

/// Pause before P0 tries again to bring a peer up to date.
const PAUSE: Duration = Duration::from_secs(2);

/// Keeps this party's list the same as the peers'.
pub(crate) struct Agreement {
    cell: Cell,
    catalog: Arc<Catalog>,
    problem: Mutex<Option<String>>,
}

impl Agreement {
    pub(crate) fn new(cell: Cell, catalog: Arc<Catalog>) -> Self {
        Self { cell, catalog, problem: Mutex::default() }
    }

    /// Why the parties do not agree, if that is known.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    /// P0's side while the party serves: settles whenever a peer connects.
    pub(crate) async fn keep(&self) {
        let [mut p1, mut p2] = [Role::P1, Role::P2].map(|peer| self.cell.connections(peer));
        loop {
            tokio::select! {
                () = p1.next() => {}
                () = p2.next() => {}
            }
            // Agreement needs both peers; this wakes up again when a missing one connects.
            while self.cell.is_connected(Role::P1) && self.cell.is_connected(Role::P2) {
                let settled = {
                    let _alone = self.catalog.change().await;
                    self.settle().await
                };
                if settled.is_ok() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// P0 sends its list to both peers until all have the same. The caller holds [`Catalog::change`].
    ///
    /// # Errors
    /// The party that has another list, or cannot be asked.
    pub(crate) async fn settle(&self) -> Result<(), Refusal> {
        let settled = self.try_settle().await;
        let mut problem = self.problem.lock();
        if let Err(Refusal { reason, .. }) = &settled
            && problem.as_ref() != Some(reason)
        {
            warn!(reason, "the parties do not agree on what is in service");
        }
        *problem = settled.as_ref().err().map(|refusal| refusal.reason.clone());
        settled
    }

    async fn try_settle(&self) -> Result<(), Refusal> {
        let ours = self.catalog.agreed();
        let mut theirs = self.send(&ours).await?;
        if theirs[0] != theirs[1] && theirs.contains(&ours) {
            // A follower may have asked the other one a moment too early.
            theirs = self.send(&ours).await?;
        }
        let [p1, p2] = theirs;
        if p1 == ours && p2 == ours {
            return Ok(());
        }
        if p1 == p2 && p1.revision > ours.revision {
            warn!(
                ours = ours.revision,
                theirs = p1.revision,
                "this store was set back; adopting the list that both peers have in service"
            );
            return self.catalog.apply(p1).await.map_err(|error| Code::Internal.because(format!("{error}")));
        }
        let said = [("P0", &ours), ("P1", &p1), ("P2", &p2)].map(|(party, list)| format!("{party} {}", list.revision));
        Err(Code::Disagreement.because(format!(
            "their lists of what is in service differ (changes: {}): a store was set back or replaced; restore the latest backup of \
             the party with the lowest number, or of P0 where the numbers are the same",
            said.join(", ")
        )))
    }

    /// Sends P0's list to both peers; returns theirs.
    async fn send(&self, list: &List) -> Result<[List; 2], Refusal> {
        let send = |peer| self.ask(peer, PeerRequest::Catalog(list.clone()));
        let (p1, p2) = tokio::join!(send(Role::P1), send(Role::P2));
        Ok([p1?, p2?])
    }

    /// Asks a peer about its list.
    async fn ask<T: DeserializeOwned>(&self, peer: Role, request: PeerRequest) -> Result<T, Refusal> {
        let lost = |error: String| Code::Unavailable.because(format!("{peer}: {error}"));
        let exchange = async {
            let (_send, mut recv) = self.cell.ask(peer, request).await?;
            stream::receive(&mut recv, MAX_ENCODED).await.map_err(|e| e.to_string())
        };
        match timeout(self.cell.wait(), exchange).await {
            Ok(answer) => answer.map_err(lost),
            Err(_) => Err(lost(format!("no answer about what is in service within {:?}", self.cell.wait()))),
        }
    }

    /// P1's and P2's side.
    pub(crate) async fn hear(&self, list: List, mut send: SendStream) {
        let _alone = self.catalog.change().await;
        let problem = self.follow(list).await.err();
        if let Some(reason) = &problem {
            warn!(reason, "the parties do not agree on what is in service");
        }
        *self.problem.lock() = problem;
        // If P0 is gone, it asks again when it is back.
        drop(stream::send(&mut send, &self.catalog.agreed()).await);
    }

    /// Adopts P0's list, if the rules allow it.
    async fn follow(&self, list: List) -> Result<(), String> {
        let ours = self.catalog.agreed();
        let (p0, here) = (list.revision, ours.revision);
        if list == ours {
            return Ok(());
        }
        if p0 <= here {
            return Err(format!(
                "P0's list of what is in service is not this party's (changes: P0 {p0}, here {here}): P0's store was set back"
            ));
        }
        if !self.catalog.is_prepared(&list) {
            self.confirm(&list).await?;
        }
        let applied = self.catalog.apply(list).await;
        applied.map_err(|error| format!("cannot store what is in service: {error}"))?;
        info!(from = here, to = p0, "took over what is in service");
        Ok(())
    }

    /// Checks that the other follower has this list in service.
    async fn confirm(&self, list: &List) -> Result<(), String> {
        let other = if self.cell.role() == Role::P1 { Role::P2 } else { Role::P1 };
        // After a start P0 may connect a moment before the other follower.
        drop(self.cell.connected(self.cell.wait() / 2).await);
        let asked = self.ask(other, PeerRequest::InService).await;
        let theirs: Id = asked.map_err(|refusal| refusal.reason)?;
        if theirs == list.digest().map_err(|e| e.to_string())? {
            return Ok(());
        }
        let revision = list.revision;
        Err(format!(
            "P0 says that change {revision} of what is in service is made; this party has not prepared it and {other} does not \
             have it, so it is not taken over: a store was set back or replaced, or P0 is not honest"
        ))
    }

    /// Tells a peer what is in service here.
    pub(crate) async fn say(&self, mut send: SendStream) {
        if let Ok(digest) = self.catalog.agreed().digest() {
            // If the peer is gone, it asks again when it is back.
            drop(stream::send(&mut send, &digest).await);
        }
    }
}
