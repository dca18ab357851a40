//! All three parties have the same models in service.
//!
//! P0's list counts. P0 sends it to P1 and P2 when they connect and after each change; a party whose list is older takes it
//! over, and answers with the list that it has then. Lists only move forward: a peer with a later one than P0 shows that P0's
//! store was set back. P0 then takes over what both peers say, if they say the same. A party that was set back
//! lacks what came since; it says so, and publishing those models again repairs it.
//!
//! A dishonest P0 can take models out of service, and bring in what a publisher has uploaded to the other parties
//! themselves; it could refuse to work anyway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::mesh::Mesh;
use mpc_core::wire::codec::MAX_ENCODED;
use mpc_core::wire::message::{Code, Refusal, Versioned};
use mpc_core::wire::peer::{Catalog, PeerRequest};
use mpc_core::wire::stream;
use quinn::SendStream;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::serve::Shared;

/// Pause before P0 tries again to bring a peer up to date.
const PAUSE: Duration = Duration::from_secs(2);

/// What is known of the others' lists.
pub(crate) struct Agreement {
    mesh: Mesh,
    /// Longest wait for a peer.
    wait: Duration,
    problem: Mutex<Option<String>>,
}

impl Agreement {
    pub(crate) fn new(mesh: Mesh, wait: Duration) -> Self {
        Self { mesh, wait, problem: Mutex::default() }
    }

    /// Why the parties do not agree, if that is known.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// P0's side, as long as the party serves: whenever a peer connects.
    pub(crate) async fn keep(shared: Arc<Shared>) {
        let agreement = &shared.agreement;
        let mesh = &agreement.mesh;
        let [mut p1, mut p2] = [Role::P1, Role::P2].map(|peer| mesh.connections(peer));
        loop {
            tokio::select! {
                () = p1.next() => {}
                () = p2.next() => {}
            }
            // As long as one is not connected there is nobody to agree with; when it is, this wakes up again.
            while mesh.is_connected(Role::P1) && mesh.is_connected(Role::P2) {
                let settled = {
                    let _alone = shared.catalog.change().await;
                    agreement.settle(&shared).await
                };
                if settled.is_ok() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// P0 sends its list to both peers until all have the same. The caller holds [`crate::catalog::Catalog::change`].
    ///
    /// # Errors
    /// Which party has another one, or cannot be asked.
    pub(crate) async fn settle(&self, shared: &Shared) -> Result<(), Refusal> {
        let settled = self.try_settle(shared).await;
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(Refusal { reason, .. }) = &settled
            && problem.as_ref() != Some(reason)
        {
            warn!(reason, "the parties do not agree on what is in service");
        }
        *problem = settled.as_ref().err().map(|refusal| refusal.reason.clone());
        settled
    }

    async fn try_settle(&self, shared: &Shared) -> Result<(), Refusal> {
        let ours = shared.catalog.agreed();
        let (p1, p2) = tokio::join!(self.send(Role::P1, &ours), self.send(Role::P2, &ours));
        let (p1, p2) = (p1?, p2?);
        if p1 == ours && p2 == ours {
            return Ok(());
        }
        if p1 == p2 && p1.revision > ours.revision {
            warn!(
                ours = ours.revision,
                theirs = p1.revision,
                "this store was set back; taking over what both peers have in service"
            );
            return shared.catalog.apply(p1).await.map_err(|error| Code::Internal.because(format!("{error:#}")));
        }
        let said = [("P0", &ours), ("P1", &p1), ("P2", &p2)].map(|(party, list)| format!("{party} {}", list.revision));
        Err(Code::Disagreement.because(format!(
            "their lists of what is in service differ (changes: {}): a store was set back or replaced; restore the latest backup of \
             the party with the lowest number, or of P0 where the numbers are the same",
            said.join(", ")
        )))
    }

    /// Sends P0's list to a peer; the peer's.
    async fn send(&self, peer: Role, list: &Catalog) -> Result<Catalog, Refusal> {
        let lost = |error: String| Code::Unavailable.because(format!("{peer}: {error}"));
        let exchange = async {
            let (mut send, mut recv) = self.mesh.control(peer).await.map_err(|e| e.to_string())?;
            let request = Versioned::new(PeerRequest::Catalog(list.clone()));
            stream::send(&mut send, &request).await.map_err(|e| e.to_string())?;
            stream::receive(&mut recv, MAX_ENCODED).await.map_err(|e| e.to_string())
        };
        match timeout(self.wait, exchange).await {
            Ok(answer) => answer.map_err(lost),
            Err(_) => Err(lost(format!("no answer about what is in service within {:?}", self.wait))),
        }
    }

    /// P1's and P2's side.
    pub(crate) async fn hear(&self, shared: &Shared, list: Catalog, mut send: SendStream) {
        let _alone = shared.catalog.change().await;
        let ours = shared.catalog.agreed();
        let mut problem = None;
        if list.revision > ours.revision {
            let (from, to) = (ours.revision, list.revision);
            match shared.catalog.apply(list).await {
                Ok(()) => info!(from, to, "took over what is in service from P0"),
                Err(error) => problem = Some(format!("cannot store what is in service: {error:#}")),
            }
        } else if list != ours {
            let (p0, here) = (list.revision, ours.revision);
            problem = Some(format!(
                "P0's list of what is in service is not this party's (changes: P0 {p0}, here {here}): P0's store was set back"
            ));
        }
        if let Some(reason) = &problem {
            warn!(reason, "the parties do not agree on what is in service");
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        // Where P0 is gone, it asks again when it is back.
        drop(stream::send(&mut send, &shared.catalog.agreed()).await);
    }
}
