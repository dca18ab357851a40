//! Putting a model into service: its weights are shared, never shown.

use mpc_core::model;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::sharing::{Dealt, share};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Commit, Id, Publish, Reply, Request, publication_id};
use ndarray::IxDyn;

use crate::connect::{Client, Conversation, Peer, join};
use crate::error::{Error, Result};
use crate::session::fresh_id;

impl Client {
    /// Shares a model's weights to the three parties and puts it into service under its manifest's name. An earlier model of
    /// that name stays in service until all three have stored the new one.
    ///
    /// # Errors
    /// [`Error::Refused`] where a party does not take it, for example because this client may not publish.
    pub async fn publish(&self, model: &model::Model) -> Result<Id> {
        let manifest = toml::to_string(&model.manifest).map_err(|e| Error::Internal(e.to_string()))?;
        let graph = codec::encode(&model.graph)?;
        let words: Vec<u64> = model.encode_weights()?.iter().flatten().copied().collect();
        let weights =
            Tensor::from_shape_vec(IxDyn(&[words.len()]), words).map_err(|e| Error::Internal(e.to_string()))?;
        let publication = publication_id(&manifest, &graph, &fresh_id()?);

        let request = Request::Publish(Publish { publication, manifest, graph });
        let ready = join(self.parties().map(|peer| announce(peer, request.clone()))).await?;
        let mut dealt = share::<Arithmetic, u64>(&weights)?.into_iter();
        let stored = join(ready.map(|conversation| {
            let dealt = dealt.next().expect("one for each of the three");
            store(conversation, dealt)
        }))
        .await?;
        join(stored.map(|conversation| commit(conversation, publication))).await?;
        Ok(publication)
    }
}

async fn announce(peer: &Peer, request: Request) -> Result<Conversation<'_>> {
    let mut conversation = peer.ask(request).await?;
    conversation.expect(&Reply::Ready).await?;
    Ok(conversation)
}

async fn store(mut conversation: Conversation<'_>, weights: Dealt<u64>) -> Result<Conversation<'_>> {
    conversation.deal(&weights).await?;
    conversation.expect(&Reply::Stored).await?;
    Ok(conversation)
}

async fn commit(mut conversation: Conversation<'_>, publication: Id) -> Result<()> {
    conversation.say(&Commit { publication }).await?;
    conversation.expect(&Reply::Published).await
}
