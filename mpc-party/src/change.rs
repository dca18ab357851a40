//! Changing what is in service: the publisher asks all three parties, P0 orders, and one write to P0's disk decides.
//!
//! 1. Each party checks that the publisher may, and that the share is complete with it. P0 proposes the change to P1 and
//!    P2, which match it with the publisher's own request (as for a question, see [`crate::admission`]).
//! 2. A model's shares are [compared](mpc_core::inference::secure::Weights::compare) between their holders. (A template comes from
//!    a session that was checked.)
//! 3. P0 writes the next list to its disk: from now on the change is made. It tells P1 and P2 ([`crate::agreement`]), which write it
//!    to theirs, and answers the publisher; they do so when they have it.
//!
//! A party that dies before 3 has the old list, and so have all; one that dies later hears of the new one when it
//! is back, and has the shares for it. Sessions of a model that leaves run to their end.

use std::sync::Arc;

use mpc_core::Party;
use mpc_core::Role;
use mpc_core::link::Link;
use mpc_core::network::Network;
use mpc_core::network::identity::Fingerprint;
use mpc_core::prss::Prss;
use mpc_core::security::Mode;
use mpc_core::wire::message::{Action, Change, Id, Reply};
use mpc_core::wire::peer::Propose;
use quinn::SendStream;
use tokio::time::timeout;
use tracing::{Instrument, info};

use crate::access::Principal;
use crate::model::Model;
use crate::request::{Ended, say};
use crate::serve::Shared;
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
        Role::P0 => order(&shared, propose, &action).await,
        _ => follow(&shared, propose, &action).await,
    }
}

/// P0's side; the revision with the change.
async fn order(shared: &Arc<Shared>, propose: Propose, action: &Action) -> Result<u64, Ended> {
    let catalog = &shared.catalog;
    let _alone = catalog.change().await;
    shared.agreement.settle(shared).await?;
    let tenant = propose.tenant.clone();
    let next = catalog.after(&tenant, action)?;
    agree(shared, propose, action).await?;
    if let Some(next) = next {
        catalog.apply(next).await.map_err(Ended::failed)?;
    }
    shared.agreement.settle(shared).await.map_err(|reason| {
        Ended::Failed(format!("the change is made, and takes effect once all parties have heard of it: {reason}"))
    })?;
    Ok(catalog.agreed().revision)
}

/// P1's and P2's side.
async fn follow(shared: &Arc<Shared>, propose: Propose, action: &Action) -> Result<u64, Ended> {
    let tenant = propose.tenant.clone();
    shared.catalog.after(&tenant, action)?;
    agree(shared, propose, action).await?;
    let wait = 2 * shared.limits.wait();
    timeout(wait, shared.catalog.done(&tenant, action)).await.map_err(|_| {
        Ended::Failed(format!("P0 did not say within {wait:?} that the change is made; ask what is in service"))
    })
}

/// All three mean the same change, and hold shares of the same weights.
async fn agree(shared: &Arc<Shared>, propose: Propose, action: &Action) -> Result<(), Ended> {
    let tenant = propose.tenant.clone();
    let admitted = shared.admission.admit(propose, shared.lines.conditions(), None).await;
    let admitted = admitted.map_err(|refusal| shared.not_admitted(refusal))?;
    if let Action::Activate { publication, .. } = action {
        let model = shared.catalog.load(&tenant, *publication).await.map_err(Ended::failed)?;
        let (shared, session) = (shared.clone(), admitted.session);
        let compared = tokio::task::spawn_blocking(move || compare(&shared, session, &model)).await;
        compared.map_err(|_| Ended::panicked())??;
    }
    Ok(())
}

/// Compares the shares of a model's weights with both peers, in a session of that name.
fn compare(shared: &Shared, session: Id, model: &Model) -> mpc_core::Result<()> {
    let mut network = shared.mesh.session(session, shared.limits.wait())?;
    let (own, next) = network.prss_keys().inspect_err(|error| network.abort(error))?;
    let mut party = Party::new(Link::new(Box::new(network), Prss::new(own, next)), Mode::Active, &session);
    model.weights.compare(&mut party, &model.description.digest).inspect_err(|error| party.link().abort(error))
}
