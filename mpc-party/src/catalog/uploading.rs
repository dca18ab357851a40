//! Uploads in progress.

use std::sync::Arc;

use mpc_core::session::Id;

use super::Catalog;
use crate::store::Result;

/// An upload in progress. The chunks that have arrived stay stored when this is dropped.
pub(crate) struct Uploading {
    pub(super) catalog: Arc<Catalog>,
    pub(super) id: Id,
    pub(super) length: u64,
    /// Bytes that are stored.
    pub(super) have: u64,
}

impl Uploading {
    /// Bytes that are stored.
    pub(crate) fn have(&self) -> u64 {
        self.have
    }

    /// Bytes of the next chunk; 0 when the share is whole.
    pub(crate) fn wanted(&self) -> usize {
        (self.length - self.have).min(crate::store::CHUNK as u64) as usize
    }

    /// Stores the next chunk.
    ///
    /// # Errors
    /// The store cannot take it.
    pub(crate) async fn append(&mut self, chunk: zeroize::Zeroizing<Vec<u8>>) -> Result<()> {
        let (id, index, length) = (self.id, (self.have / crate::store::CHUNK as u64) as u32, chunk.len() as u64);
        self.catalog.stored(move |store| store.append(&id, index, &chunk)).await?;
        self.have += length;
        Ok(())
    }

    /// Completes the upload of a whole share. If it repairs a model in service, that model is served again.
    ///
    /// # Errors
    /// The share is not the announced one.
    pub(crate) async fn complete(self) -> Result<()> {
        let id = self.id;
        self.catalog.stored(move |store| store.complete(&id)).await?;
        if self.catalog.is_listed(&id) {
            let _alone = self.catalog.change().await;
            self.catalog.apply(self.catalog.agreed()).await?;
        }
        Ok(())
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.catalog.uploading.lock().remove(&self.id);
    }
}
