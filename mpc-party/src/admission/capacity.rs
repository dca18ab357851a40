//! The places and the memory that running sessions share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::Limits;

/// Places and memory, each handed out in order.
pub(super) struct Capacity {
    /// Only P0 limits the places.
    places: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    /// All the memory, in MiB.
    pub(super) memory_mib: u64,
}

impl Capacity {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.sessions)),
            memory: Arc::new(Semaphore::new(limits.memory_mib as usize)),
            memory_mib: limits.memory_mib,
        }
    }

    /// Hands out no further place.
    pub(super) fn close(&self) {
        self.places.close();
    }

    /// The next free place, or nothing once [`Capacity::close`] was called.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// `mib` MiB, as soon as they are free.
    pub(super) async fn memory(&self, mib: u32) -> Option<OwnedSemaphorePermit> {
        // This semaphore is never closed.
        self.memory.clone().acquire_many_owned(mib).await.ok()
    }

    /// `mib` MiB, if they become free within `wait`.
    pub(super) async fn memory_within(&self, mib: u32, wait: Duration) -> Option<OwnedSemaphorePermit> {
        timeout(wait, self.memory(mib)).await.ok().flatten()
    }

    /// The memory that is handed out, in MiB.
    pub(super) fn reserved_mib(&self) -> u64 {
        self.memory_mib - self.memory.available_permits() as u64
    }
}
