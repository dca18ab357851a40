//! Publishing in two phases: the shares are stored, and enter service when the publisher knows that all three parties
//! have theirs.

use mpc_core::wire::message::{Commit, MAX_CONTROL, Publish, Reply};
use mpc_core::wire::stream;
use quinn::{RecvStream, SendStream};
use tokio::time::timeout;
use tracing::info;

use crate::request::{Ended, say};
use crate::serve::Shared;

/// Serves a publisher until its model is in service. What is pending when the conversation ends early is forgotten.
pub(crate) async fn publish(
    shared: &Shared,
    request: Publish,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Ended> {
    let description = shared.catalog.check(request).map_err(Ended::refused)?;
    let (name, publication, words) =
        (description.manifest.name.clone(), description.info.publication, description.weight_words());
    say(send, &Reply::Ready).await?;

    let limit = shared.limits.session_timeout();
    let late = |what: &str| Ended::Failed(format!("{what} did not arrive within {limit:?}"));
    let weights = timeout(limit, stream::receive_dealt(recv, &[words])).await;
    let weights = weights.map_err(|_| late("the weight shares"))?.map_err(Ended::failed)?;
    let pending = shared.catalog.put(description, weights).await.map_err(Ended::failed)?;
    say(send, &Reply::Stored).await?;

    let commit = timeout(limit, stream::receive::<Commit>(recv, MAX_CONTROL)).await;
    let commit = commit.map_err(|_| late("the publisher's commit"))?.map_err(Ended::failed)?;
    if commit.publication != publication {
        return Err(Ended::Failed("the commit names another publication".into()));
    }
    shared.catalog.commit(pending).await.map_err(Ended::failed)?;
    info!(model = name, weights = words, "published");
    say(send, &Reply::Published).await
}
