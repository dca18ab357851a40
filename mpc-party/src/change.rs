//! Changing what is in service: the publisher asks all three parties, and a change is made that all three have checked and prepared.
//!
//! Each party P_i holds the same list L, and its shares of what the change is about. The change has a session of its own.
//!
//! 1. *Admission.* Each party checks by itself that the client may, that the request is new and that the change is possible, and computes the
//!    next list from L and the request alone. P0 proposes the change to P1 and P2, which match it with the client's own request (as for a question,
//!    see [`crate::admission`]).
//! 2. *Hello*, 1 round. P1 and P2 forget, on disk, what they had prepared before. Each two parties compare digests of L and of the next list.
//! 3. A model's shares are [compared](mpc_core::inference::secure::Weights::compare) between their holders. (A template comes from
//!    a session that was checked.)
//! 4. *Seen*, 1 round: each party tells both others that it has got this far. P1 and P2 then write the next list to their disks as prepared.
//! 5. *Prepared*, 1 round: each party tells both others that it has done so.
//! 6. P0 writes the next list to its disk: from now on the change is made. It tells P1 and P2 ([`crate::agreement`]), which take over what they have
//!    prepared, and answers the publisher; they do so when they have it.
//!
//! A party that dies before 6 has the old list, and so have all; one that dies later hears of the new one when it is back, and has it prepared, and
//! the shares for it. Sessions of a model that leaves run to their end.
//!
//! P0 alone says when, and whether, a prepared change is made; it cannot say which. That two honest parties never take over different lists
//! of one revision follows from 2, 4 and 5: `docs/protocols.md`, "What is in service".

use std::sync::Arc;

use mpc_core::Party;
use mpc_core::Role;
use mpc_core::link::Link;
use mpc_core::link::round::words;
use mpc_core::network::Network;
use mpc_core::network::identity::Fingerprint;
use mpc_core::network::quic::QuicNetwork;
use mpc_core::prss::Prss;
use mpc_core::session::{Id, Mode};
use mpc_core::wire::message::{Action, Change, Reply};
use mpc_core::wire::peer::{Catalog, ChangeHello, Propose};
use quinn::SendStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{Instrument, info};

use crate::access::Principal;
use crate::request::{Ended, say};
use crate::serve::Shared;
use crate::session::greet;
use crate::telemetry::{Record, hex};

/// Serves a publisher until the change is made.
pub(crate) async fn change(
    shared: &Arc<Shared>,
    principal: &Principal,
    client: Fingerprint,
    change: Change,
    record: &mut Record,
    send: &mut SendStream,
) -> Result<(), Ended> {
    match &change.action {
        Action::Activate { publication, .. } => {
            record.subject.publication = Some(hex(publication));
            record.subject.model = shared.catalog.name(&principal.tenant, publication);
        }
        Action::Retire { model, .. } => record.subject.model = Some(model.clone()),
        Action::Enrol { publication, .. } | Action::Remove { publication, .. } => {
            record.subject.publication = Some(hex(publication));
            let model = shared.catalog.find(&principal.tenant, publication);
            record.subject.model = model.map(|model| model.description.manifest.name.clone());
        }
    }
    let propose = Propose {
        request: change.stamp.request,
        digest: change.digest()?,
        client: client.0,
        tenant: principal.tenant.clone(),
    };
    let limit = shared.limits.session_timeout();
    // A task of its own: a change that has begun is not dropped half-way where the time is up.
    let making = tokio::spawn(make(shared.clone(), propose, change.action).in_current_span());
    let made = timeout(limit, making).await;
    let made = made.map_err(|_| Ended::Failed(format!("the change was not made within {limit:?}")))?;
    let revision = made.map_err(|_| Ended::panicked())??;
    let (action, model) = (record.kind.name(), &record.subject.model);
    info!(revision, action, model, "changed what is in service");
    say(send, &Reply::Changed { revision }).await
}

async fn make(shared: Arc<Shared>, propose: Propose, action: Action) -> Result<u64, Ended> {
    match shared.mesh.role() {
        Role::P0 => order(&shared, propose, action).await,
        _ => follow(&shared, propose, action).await,
    }
}

/// P0's side; the revision with the change.
async fn order(shared: &Arc<Shared>, propose: Propose, action: Action) -> Result<u64, Ended> {
    let catalog = &shared.catalog;
    let _alone = catalog.change().await;
    shared.agreement.settle(shared).await?;
    let (next, _) = agree(shared, propose, action).await?;
    let revision = next.revision;
    if next != catalog.agreed() {
        catalog.apply(next).await.map_err(Ended::failed)?;
    }
    shared.agreement.settle(shared).await.map_err(|reason| {
        Ended::Failed(format!("the change is made, and takes effect once all parties have heard of it: {reason}"))
    })?;
    Ok(revision)
}

/// P1's and P2's side.
async fn follow(shared: &Arc<Shared>, propose: Propose, action: Action) -> Result<u64, Ended> {
    let (next, made) = agree(shared, propose, action).await?;
    let wait = 2 * shared.limits.wait();
    let unknown = |why: &str| Ended::Failed(format!("{why}; ask what is in service"));
    let Some(made) = made else { return Ok(next.revision) };
    match timeout(wait, made).await {
        Ok(Ok(())) => Ok(next.revision),
        Ok(Err(_)) => Err(unknown("another change came before P0 said that this one is made")),
        Err(_) => Err(unknown(&format!("P0 did not say within {wait:?} that the change is made"))),
    }
}

/// Steps 1 to 5: all three mean the same change of the same list, hold shares of the same weights, and P1 and P2 have prepared the next list. At
/// P0 the caller holds [`Catalog::change`](crate::catalog::Catalog::change).
async fn agree(shared: &Arc<Shared>, propose: Propose, action: Action) -> Result<Agreed, Ended> {
    let tenant = propose.tenant.clone();
    // Before anybody waits for the others.
    shared.catalog.after(&tenant, &action)?;
    let admitted = shared.admission.admit(propose, shared.lines.conditions(), None).await;
    let session = admitted.map_err(|refusal| shared.not_admitted(refusal))?.session;
    let _alone = match shared.mesh.role() {
        // It has been alone since before it proposed.
        Role::P0 => None,
        _ => Some(shared.catalog.change().await),
    };
    let shared = shared.clone();
    let meeting = tokio::task::spawn_blocking(move || meet(&shared, session, &tenant, &action)).await;
    Ok(meeting.map_err(|_| Ended::panicked())??)
}

/// The next list, and where this party has prepared it, what tells that P0 has made the change.
type Agreed = (Catalog, Option<oneshot::Receiver<()>>);

/// Steps 2 to 5.
fn meet(shared: &Shared, session: Id, tenant: &str, action: &Action) -> mpc_core::Result<Agreed> {
    let mut network = shared.mesh.session(session, shared.limits.wait())?;
    let next = greet_peers(shared, &mut network, session, tenant, action).inspect_err(|error| network.abort(error))?;
    let (own, following) = network.prss_keys().inspect_err(|error| network.abort(error))?;
    let mut party = Party::new(Box::new(network), Prss::new(own, following), Mode::Active, &session);
    let made = prepare(shared, &mut party, tenant, action, &next).inspect_err(|error| party.link().abort(error))?;
    Ok((next, made))
}

/// Step 2; the next list.
fn greet_peers(
    shared: &Shared,
    network: &mut QuicNetwork,
    session: Id,
    tenant: &str,
    action: &Action,
) -> mpc_core::Result<Catalog> {
    let catalog = &shared.catalog;
    catalog.forget_prepared().map_err(ended)?;
    let before = catalog.agreed();
    let next = catalog.after(tenant, action).map_err(|refusal| ended(refusal.into()))?;
    greet(network, &ChangeHello::new(session, &before, &next)?, ChangeHello::difference)?;
    Ok(next)
}

/// Steps 3 to 5.
fn prepare(
    shared: &Shared,
    party: &mut Party,
    tenant: &str,
    action: &Action,
    next: &Catalog,
) -> mpc_core::Result<Option<oneshot::Receiver<()>>> {
    let catalog = &shared.catalog;
    if let Action::Activate { publication, .. } = action {
        let model = catalog.load(tenant, publication).map_err(ended)?;
        model.weights.compare(party, &model.description.digest)?;
    }
    pass(party.link())?;
    let waits = party.role() != Role::P0 && *next != catalog.agreed();
    let made = waits.then(|| catalog.prepare(next.clone())).transpose().map_err(ended)?;
    pass(party.link())?;
    party.link().flush()?;
    Ok(made)
}

/// Tells both peers that this party has got this far, and waits until they have: 1 round, 2 bytes.
fn pass(link: &mut Link) -> mpc_core::Result<()> {
    let peers = [link.role().next(), link.role().prev()];
    link.round(|round| {
        peers.into_iter().try_for_each(|peer| round.send(peer, &[0u8]))?;
        Ok(<(_, _)>::from(peers.map(|peer| words::<u8>(peer, 1))))
    })
    .map(drop)
}

fn ended(error: anyhow::Error) -> mpc_core::Error {
    mpc_core::Error::Aborted(format!("{error:#}"))
}
