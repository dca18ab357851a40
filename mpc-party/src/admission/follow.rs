//! P1's and P2's side of admission.

use mpc_core::Role;
use mpc_core::network::stream;
use mpc_core::session::Id;
use mpc_core::wire::message::{Code, MAX_CONTROL, Refusal};
use mpc_core::wire::peer::{Decision, Propose, Verdict, nonce_commitment, session_id};
use quinn::{RecvStream, SendStream};
use tokio::sync::OwnedSemaphorePermit;

use super::matching::Proposal;
use super::{Admission, Admitted, fresh, lost, say};
use crate::telemetry::metrics::Limit;

impl Admission {
    /// Matches the client's request with P0's proposal, accepts, and waits for P0's commit and for memory.
    pub(super) async fn follow(&self, request: Propose, mib: Option<u32>) -> Result<Admitted, Refusal> {
        if !self.cell.is_connected(Role::P0) {
            return Err(Code::Unavailable.because("P0, which orders the sessions, is not connected; try again"));
        }
        let ticket = (request.client, request.request);
        let Proposal { propose, commitment, mut send, mut recv } = self.matching.await_proposal(ticket).await?;
        if propose != request {
            let refusal = Code::Disagreement.because(if propose.tenant == request.tenant {
                "the client did not ask all parties the same".into()
            } else {
                let (theirs, ours) = (&propose.tenant, &request.tenant);
                format!(
                    "P0 lists this client under the tenant {theirs:?}, this party under {ours:?}: [[clients]] differ"
                )
            });
            say(Role::P0, &mut send, &Verdict::Refuse(refusal.clone())).await?;
            return Err(refusal);
        }
        let nonce = fresh()?;
        say(Role::P0, &mut send, &Verdict::Accept { nonce }).await?;
        // No time limit but the client's: the request is in P0's queue.
        match stream::receive(&mut recv, MAX_CONTROL).await.map_err(|e| lost(Role::P0, &e))? {
            Decision::Abort(refusal) => Err(refusal),
            Decision::Commit { nonces, .. } if nonces[self.cell.role().index()] != nonce => {
                let reason = "P0 committed a session with a random number that this party did not send";
                Err(Code::Disagreement.because(reason))
            }
            Decision::Commit { nonces, .. } if nonce_commitment(&propose.digest, &nonces[0]) != commitment => {
                let reason = "P0 reveals a random number other than the one it had committed to";
                Err(Code::Disagreement.because(reason))
            }
            Decision::Commit { nonces, conditions } => {
                let session = session_id(&propose.digest, &propose.client, &nonces);
                let memory = match mib {
                    Some(mib) => Some(self.reserve(session, mib).await?),
                    None => None,
                };
                Ok(Admitted { session, _place: None, _memory: memory, conditions })
            }
        }
    }

    /// Reserves memory for a session that P0 has committed; without any, tells the peers.
    async fn reserve(&self, session: Id, mib: u32) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Some(memory) = self.capacity.memory_within(mib, self.cell.wait() / 2).await {
            return Ok(memory);
        }
        let (party, all) = (self.cell.role(), self.capacity.memory_mib);
        let free = all - self.capacity.reserved_mib();
        let reason = format!(
            "{party} has {free} MiB of {all} MiB (limits.memory_mib) free and the question needs {mib} MiB; try again later"
        );
        let (cell, told) = (self.cell.clone(), reason.clone());
        tokio::spawn(async move { cell.abort(session, told).await });
        Err(self.turned_away(Limit::Memory, Code::Busy.because(reason)))
    }

    /// Serves a proposal of P0.
    pub(crate) async fn serve_proposal(&self, propose: Propose, commitment: Id, send: SendStream, recv: RecvStream) {
        let ticket = (propose.client, propose.request);
        let proposal = Proposal { propose, commitment, send, recv };
        let early = match self.matching.meet(ticket, proposal) {
            Ok(early) => early,
            Err(refused) => return refused.0.refuse(refused.1).await,
        };
        if early && self.intake.is_stopping() {
            self.matching.expire(ticket, self.intake.stopping()).await;
        } else if early {
            let wait = self.cell.wait();
            tokio::time::sleep(wait).await;
            let reason = format!("the client's request did not arrive here within {wait:?}");
            self.matching.expire(ticket, Code::Unavailable.because(reason)).await;
        }
    }
}
