//! Uploading a share of a model. Each chunk is stored as it arrives, so that an interrupted upload resumes where it
//! stopped. An upload puts nothing into service.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use mpc_core::network::stream;
use mpc_core::wire::message::{Reply, Upload, short};
use tokio::time::timeout;
use tracing::info;

use crate::catalog::Catalog;
use crate::conversation::Conversation;
use crate::ended::Ended;

/// Serves a publisher until its share is stored; each piece of the share is awaited for at most `limit`.
pub(crate) async fn serve(
    catalog: &Arc<Catalog>,
    limit: Duration,
    tenant: &str,
    upload: Upload,
    conversation: &mut Conversation,
) -> Result<(), Ended> {
    let (publication, length) = (short(&upload.publication), upload.length);
    conversation.record.details.publication = Some(HEXLOWER.encode(&upload.publication));
    conversation.record.details.model = Some(catalog.check(tenant, &upload)?);
    let mut uploading = catalog.begin(tenant, upload).await?;
    let have = uploading.have();
    conversation.say(&Reply::Ready { have }).await?;

    while uploading.wanted() > 0 {
        let chunk = timeout(limit, stream::receive_bytes(&mut conversation.recv, uploading.wanted())).await;
        let chunk =
            chunk.map_err(|_| Ended::Failed(format!("no further piece of the share arrived within {limit:?}")))?;
        uploading.append(chunk.map_err(|_| Ended::Left)?).await.map_err(Ended::failed)?;
    }
    uploading.complete().await.map_err(Ended::failed)?;
    info!(publication, bytes = length - have, "stored a share");
    conversation.say(&Reply::Stored).await
}
