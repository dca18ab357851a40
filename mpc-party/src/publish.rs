//! Uploading a share of a model. What has arrived is stored chunk by chunk, so that an upload which was interrupted goes
//! on where it was; nothing enters service by it.

use std::sync::Arc;

use mpc_core::network::stream;
use mpc_core::wire::message::{Reply, Upload, short};
use quinn::{RecvStream, SendStream};
use tokio::time::timeout;
use tracing::info;

use crate::access::Principal;
use crate::request::{Ended, say};
use crate::serve::Shared;
use crate::telemetry::{Record, hex};

/// Serves a publisher until its share is stored.
pub(crate) async fn upload(
    shared: &Arc<Shared>,
    principal: &Principal,
    upload: Upload,
    record: &mut Record,
    send: &mut SendStream,
    recv: &mut RecvStream,
) -> Result<(), Ended> {
    let (publication, length) = (short(&upload.publication), upload.length);
    record.subject.publication = Some(hex(&upload.publication));
    record.subject.model = Some(shared.catalog.check(&principal.tenant, &upload)?);
    let mut uploading = shared.catalog.begin(&principal.tenant, upload).await?;
    let have = uploading.have();
    say(send, &Reply::Ready { have }).await?;

    let limit = shared.limits.session_timeout();
    while uploading.wanted() > 0 {
        let chunk = timeout(limit, stream::receive_bytes(recv, uploading.wanted())).await;
        let chunk =
            chunk.map_err(|_| Ended::Failed(format!("no further piece of the share arrived within {limit:?}")))?;
        uploading.append(chunk.map_err(|_| Ended::Left)?).await.map_err(Ended::failed)?;
    }
    uploading.complete().await.map_err(Ended::failed)?;
    info!(publication, bytes = length - have, "stored a share");
    say(send, &Reply::Stored).await
}
