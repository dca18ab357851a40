//! P0's side of admission.

use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::stream;
use mpc_core::session::Id;
use mpc_core::wire::message::{Code, MAX_CONTROL, Refusal};
use mpc_core::wire::peer::{Decision, PeerRequest, Propose, Verdict, nonce_commitment, session_id};
use quinn::{RecvStream, SendStream};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{Admission, Admitted, fresh, lost, say};
use crate::telemetry::metrics::Limit;

impl Admission {
    /// Proposes the request to both followers, waits for a place and for memory, and commits it.
    pub(super) async fn order(&self, propose: Propose, mib: Option<u32>) -> Result<Admitted, Refusal> {
        // A measurement made while the request waits serves later ones.
        let conditions = self.lines.conditions();
        let nonce = fresh()?;
        let commitment = nonce_commitment(&propose.digest, &nonce);
        let ask = |peer| self.propose(peer, &propose, commitment);
        let (p1, p2) = tokio::join!(ask(Role::P1), ask(Role::P2));
        let (mut p1, mut p2) = match (p1, p2) {
            (Ok(p1), Ok(p2)) => (p1, p2),
            (Err(refusal), accepted) | (accepted, Err(refusal)) => {
                if let Ok(mut accepted) = accepted {
                    accepted.call_off(&refusal).await;
                }
                return Err(refusal);
            }
        };
        let (mut place, mut memory) = (None, None);
        if let Some(mib) = mib {
            place = self.capacity.place().await;
            if place.is_none() {
                let refusal = self.intake.stopping();
                tokio::join!(p1.call_off(&refusal), p2.call_off(&refusal));
                return Err(self.turned_away(Limit::Stopping, refusal));
            }
            memory = self.capacity.memory(mib).await;
        }
        let nonces = [nonce, p1.nonce, p2.nonce];
        let commit = Decision::Commit { nonces, conditions };
        // If one peer is lost, the other still learns of the session, and then from its connections that the peer is
        // gone.
        let (told, too) = tokio::join!(p1.decide(&commit), p2.decide(&commit));
        told.and(too)?;
        let session = session_id(&propose.digest, &propose.client, &nonces);
        Ok(Admitted { session, _place: place, _memory: memory, conditions })
    }

    async fn propose(&self, peer: Role, propose: &Propose, commitment: Id) -> Result<Accepted, Refusal> {
        let request = PeerRequest::Propose { propose: propose.clone(), commitment };
        let asked = self.cell.ask(peer, request).await;
        let (send, mut recv) = asked.map_err(|reason| Code::Unavailable.because(reason))?;
        // The peer itself may wait for the client this long.
        match hear(peer, &mut recv, 2 * self.cell.wait()).await? {
            Verdict::Accept { nonce } => Ok(Accepted { peer, nonce, send }),
            Verdict::Refuse(Refusal { code, reason }) => Err(code.because(format!("{peer}: {reason}"))),
        }
    }
}

/// A peer that accepted and waits for the decision.
struct Accepted {
    peer: Role,
    nonce: Id,
    send: SendStream,
}

impl Accepted {
    async fn decide(&mut self, decision: &Decision) -> Result<(), Refusal> {
        say(self.peer, &mut self.send, decision).await
    }

    async fn call_off(&mut self, refusal: &Refusal) {
        // A peer that has left has itself cancelled the request.
        drop(self.decide(&Decision::Abort(refusal.clone())).await);
    }
}

async fn hear<T: DeserializeOwned>(peer: Role, recv: &mut RecvStream, wait: Duration) -> Result<T, Refusal> {
    match timeout(wait, stream::receive(recv, MAX_CONTROL)).await {
        Ok(heard) => heard.map_err(|e| lost(peer, &e)),
        Err(_) => Err(Code::Unavailable.because(format!("{peer} did not answer within {wait:?}"))),
    }
}
