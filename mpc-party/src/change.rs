//! Changing what is in service: the publisher asks all three parties, and the change is made once all three have
//! checked and prepared it.
//!
//! Each party P_i holds the same list L, and its shares of the models and templates concerned. A change has a session
//! of its own.
//!
//! 1. *Admission.* Each party checks by itself that the client may, that the request is new and that the change is
//!    possible, and computes the next list from L and the request alone. P0 proposes the change to P1 and P2, which
//!    match it with the client's own request (as for a question, see [`crate::admission`]).
//! 2. *Hello*, 1 round. P1 and P2 delete from disk what they had prepared before. Each two parties compare digests of L
//!    and of the next list.
//! 3. A model's shares are [compared](mpc_core::inference::secure::Weights::compare) between their holders. (A template
//!    comes from a session that was checked.)
//! 4. *Seen*, 1 round: each party tells both others that it has reached this step. P1 and P2 then write the next list
//!    to their disks as prepared.
//! 5. *Prepared*, 1 round: each party tells both others that it has done so.
//! 6. P0 writes the next list to its disk: from now on the change is made. P0 tells P1 and P2 ([`crate::agreement`]),
//!    which adopt what they have prepared. Each party then answers the publisher.
//!
//! If a party dies before step 6, all keep the old list. A party that dies later learns of the new list when it is
//! back, and has it prepared, with its shares. Sessions of a model that leaves run to their end.
//!
//! P0 alone decides when, and whether, a prepared change is made, but not which. That two honest parties never adopt
//! different lists of one revision follows from 2, 4 and 5: `docs/protocols.md`, "What is in service".

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use mpc_core::link::Link;
use mpc_core::link::round::words;
use mpc_core::network::Network;
use mpc_core::network::quic::QuicNetwork;
use mpc_core::session::{Id, Mode};
use mpc_core::wire::message::{Action, Change, Reply};
use mpc_core::wire::peer::{Catalog as List, ChangeHello, Propose};
use mpc_core::{Party, Role};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Instrument, info};

use crate::access::Principal;
use crate::admission::Admission;
use crate::agreement::Agreement;
use crate::catalog::Catalog;
use crate::cell::{Cell, greet, party};
use crate::conversation::Conversation;
use crate::ended::Ended;
use crate::telemetry::Details;

/// Makes the changes that clients request.
pub(crate) struct Changes {
    cell: Cell,
    catalog: Arc<Catalog>,
    agreement: Arc<Agreement>,
    admission: Arc<Admission>,
    /// Time limit for a change.
    limit: Duration,
}

/// A change that a client has requested.
struct Requested {
    propose: Propose,
    action: Action,
}

impl Requested {
    fn tenant(&self) -> &str {
        &self.propose.tenant
    }
}

/// The next list and, where this party has prepared it, the receiver that tells when P0 has made the change.
type Agreed = (List, Option<oneshot::Receiver<()>>);

impl Changes {
    pub(crate) fn new(
        cell: Cell,
        catalog: Arc<Catalog>,
        agreement: Arc<Agreement>,
        admission: Arc<Admission>,
        limit: Duration,
    ) -> Self {
        Self { cell, catalog, agreement, admission, limit }
    }

    /// Serves a publisher until the change is made.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        principal: &Principal,
        change: Change,
        conversation: &mut Conversation,
    ) -> Result<(), Ended> {
        self.describe(&principal.tenant, &change.action, &mut conversation.record.details);
        let propose = Propose {
            request: change.stamp.request,
            digest: change.digest()?,
            client: conversation.who.key.0,
            tenant: principal.tenant.clone(),
        };
        // A separate task: a change under way is not dropped halfway when the time is up.
        let changes = self.clone();
        let making = async move { changes.make(&Arc::new(Requested { propose, action: change.action })).await };
        let made = timeout(self.limit, tokio::spawn(making.in_current_span())).await;
        let made = made.map_err(|_| Ended::Failed(format!("the change was not made within {:?}", self.limit)))?;
        let revision = made.map_err(|_| Ended::panicked())??;
        let (action, model) = (conversation.record.kind.name(), &conversation.record.details.model);
        info!(revision, action, model, "changed what is in service");
        conversation.say(&Reply::Changed { revision }).await
    }

    fn describe(&self, tenant: &str, action: &Action, details: &mut Details) {
        match action {
            Action::Activate { publication, .. } => {
                details.publication = Some(HEXLOWER.encode(publication));
                details.model = self.catalog.name(tenant, publication);
            }
            Action::Retire { model, .. } => details.model = Some(model.clone()),
            Action::Enrol { publication, .. } | Action::Remove { publication, .. } => {
                details.publication = Some(HEXLOWER.encode(publication));
                let model = self.catalog.find(tenant, publication);
                details.model = model.map(|model| model.description.manifest.name.clone());
            }
        }
    }

    /// Makes the change; returns its revision.
    async fn make(self: &Arc<Self>, requested: &Arc<Requested>) -> Result<u64, Ended> {
        match self.cell.role() {
            Role::P0 => self.order(requested).await,
            _ => self.follow(requested).await,
        }
    }

    /// P0's side.
    async fn order(self: &Arc<Self>, requested: &Arc<Requested>) -> Result<u64, Ended> {
        let _alone = self.catalog.change().await;
        self.agreement.settle().await?;
        let (next, _) = self.agree(requested).await?;
        let revision = next.revision;
        if next != self.catalog.agreed() {
            self.catalog.apply(next).await.map_err(Ended::failed)?;
        }
        self.agreement.settle().await.map_err(|reason| {
            Ended::Failed(format!("the change is made, and takes effect once all parties know of it: {reason}"))
        })?;
        Ok(revision)
    }

    /// P1's and P2's side.
    async fn follow(self: &Arc<Self>, requested: &Arc<Requested>) -> Result<u64, Ended> {
        let (next, made) = self.agree(requested).await?;
        let wait = 2 * self.cell.wait();
        let unknown = |why: &str| Ended::Failed(format!("{why}; ask what is in service"));
        let Some(made) = made else { return Ok(next.revision) };
        match timeout(wait, made).await {
            Ok(Ok(())) => Ok(next.revision),
            Ok(Err(_)) => Err(unknown("another change came before P0 said that this one is made")),
            Err(_) => Err(unknown(&format!("P0 did not say within {wait:?} that the change is made"))),
        }
    }

    /// Steps 1 to 5: all three mean the same change of the same list and hold shares of the same weights, and P1 and P2
    /// prepare the next list. At P0 the caller holds [`Catalog::change`].
    async fn agree(self: &Arc<Self>, requested: &Arc<Requested>) -> Result<Agreed, Ended> {
        // Check first, before waiting for the others.
        self.catalog.after(requested.tenant(), &requested.action)?;
        let session = self.admission.admit(requested.propose.clone(), None).await?.session;
        let _alone = match self.cell.role() {
            // P0 has held off other changes since before its proposal.
            Role::P0 => None,
            _ => Some(self.catalog.change().await),
        };
        let (changes, requested) = (self.clone(), requested.clone());
        let meeting = tokio::task::spawn_blocking(move || changes.meet(session, &requested)).await;
        Ok(meeting.map_err(|_| Ended::panicked())??)
    }

    /// Steps 2 to 5.
    fn meet(&self, session: Id, requested: &Requested) -> mpc_core::Result<Agreed> {
        let mut network = self.cell.enter(session)?;
        let greeted = self.greet_peers(&mut network, session, requested);
        let next = greeted.inspect_err(|error| network.abort(error))?;
        let mut party = party(network, Mode::Active, &session)?;
        let made = self.prepare(&mut party, requested, &next).inspect_err(|error| party.link().abort(error))?;
        Ok((next, made))
    }

    /// Step 2; returns the next list.
    fn greet_peers(&self, network: &mut QuicNetwork, session: Id, requested: &Requested) -> mpc_core::Result<List> {
        self.catalog.forget_prepared().map_err(aborted)?;
        let before = self.catalog.agreed();
        let next = self.catalog.after(requested.tenant(), &requested.action).map_err(aborted)?;
        greet(network, &ChangeHello::new(session, &before, &next)?, ChangeHello::difference)?;
        Ok(next)
    }

    /// Steps 3 to 5.
    fn prepare(
        &self,
        party: &mut Party,
        requested: &Requested,
        next: &List,
    ) -> mpc_core::Result<Option<oneshot::Receiver<()>>> {
        if let Action::Activate { publication, .. } = &requested.action {
            let model = self.catalog.load(requested.tenant(), publication).map_err(aborted)?;
            model.weights.compare(party, &model.description.digest)?;
        }
        pass(party.link())?;
        let waits = party.role() != Role::P0 && *next != self.catalog.agreed();
        let made = waits.then(|| self.catalog.prepare(next.clone())).transpose().map_err(aborted)?;
        pass(party.link())?;
        party.link().flush()?;
        Ok(made)
    }
}

/// Tells both peers that this party has reached this step, and waits for the same from them: 1 round, 2 bytes.
fn pass(link: &mut Link) -> mpc_core::Result<()> {
    let peers = [link.role().next(), link.role().prev()];
    link.round(|round| {
        peers.into_iter().try_for_each(|peer| round.send(peer, &[0u8]))?;
        Ok(<(_, _)>::from(peers.map(|peer| words::<u8>(peer, 1))))
    })
    .map(drop)
}

fn aborted(reason: impl std::fmt::Display) -> mpc_core::Error {
    mpc_core::Error::Aborted(reason.to_string())
}
