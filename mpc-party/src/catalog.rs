//! The models in service: decoded once, shared by all sessions, and kept in the share store.
//!
//! What is in service is one [list](peer::Catalog), the same at all three parties; [`crate::agreement`] sees to that. A
//! publication on the list whose share is not here, or damaged, is *missing*: this party does not serve it, and says so.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use mpc_core::model::Manifest;
use mpc_core::wire::message::{Action, Id, ModelInfo, Upload, short};
use mpc_core::wire::peer;
use mpc_core::wire::stream;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, watch};

use crate::config::Limits;
use crate::model::{Description, Model};
use crate::store::{Header, Store};

/// Uploads that nobody has put into service are forgotten after this time.
const UPLOAD_KEPT: Duration = Duration::from_secs(24 * 3600);

/// The models in service and their store.
pub(crate) struct Catalog {
    store: Arc<Store>,
    limits: Limits,
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
    /// Held while what is in service changes, so that memory and disk see the same order.
    changing: AsyncMutex<()>,
    uploading: Mutex<HashSet<Id>>,
}

#[derive(Default)]
struct Inner {
    list: peer::Catalog,
    models: HashMap<Id, Arc<Model>>,
    /// Why a publication on the list is not served here.
    missing: HashMap<Id, String>,
    /// Out of service, but sessions that name them may still come for a while: others switch a moment later.
    draining: Vec<(Instant, Arc<Model>)>,
}

impl Catalog {
    /// Loads everything in service.
    ///
    /// # Errors
    /// The database cannot be read. A single damaged publication is missing, and no error.
    pub(crate) fn open(store: Store, limits: &Limits) -> Result<Self> {
        let list = store.catalog().context("restore a backup (mpc-party store restore)")?;
        let catalog = Self {
            store: Arc::new(store),
            limits: limits.clone(),
            inner: Mutex::default(),
            revision: watch::Sender::new(list.revision),
            changing: AsyncMutex::default(),
            uploading: Mutex::default(),
        };
        catalog.forget_old_uploads(&list)?;
        let (models, missing) = catalog.load_all(&list);
        *catalog.lock() = Inner { list, models, missing, draining: Vec::new() };
        Ok(catalog)
    }

    /// The store, for its operator.
    pub(crate) fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    /// What a tenant sees, by name.
    pub(crate) fn list(&self, tenant: &str) -> Vec<ModelInfo> {
        let inner = self.lock();
        let entries = inner.list.entries.iter().filter(|entry| entry.tenant == tenant);
        let info = |entry: &peer::Entry| Some(inner.models.get(&entry.publication)?.info(entry.revision));
        entries.filter_map(info).collect()
    }

    /// How many are served here.
    pub(crate) fn len(&self) -> usize {
        self.lock().models.len()
    }

    /// The list that this party has agreed to.
    pub(crate) fn agreed(&self) -> peer::Catalog {
        self.lock().list.clone()
    }

    /// One line for each model that should be served here and is not.
    pub(crate) fn missing(&self) -> Vec<String> {
        let inner = self.lock();
        let missing = |entry: &peer::Entry| {
            let reason = inner.missing.get(&entry.publication)?;
            Some(format!("{}/{}: {reason}; publish it again, or restore a backup", entry.tenant, entry.model))
        };
        inner.list.entries.iter().filter_map(missing).collect()
    }

    /// The tenant's model of a publication, if that is in service or was a moment ago.
    pub(crate) fn find(&self, tenant: &str, publication: &Id) -> Option<Arc<Model>> {
        let mut inner = self.lock();
        inner.draining.retain(|(until, _)| *until > Instant::now());
        let leaving = inner.draining.iter().map(|(_, model)| model);
        let model =
            inner.models.get(publication).or_else(|| leaving.rev().find(|model| model.publication == *publication));
        model.filter(|model| model.tenant == tenant).cloned()
    }

    /// Checks an upload before its share is read; the model's name.
    ///
    /// # Errors
    /// What is wrong with it, or that the party has no room.
    pub(crate) fn check(&self, tenant: &str, upload: &Upload) -> Result<String> {
        let description = Description::new(&upload.manifest, &upload.graph, &self.limits)?;
        let most = 2 + 16 * description.weight_words() as u64;
        ensure!(upload.length <= most, "a share of {} bytes, at most {most} belong to these weights", upload.length);
        let (mut pending, most) = (0, self.limits.models);
        for (id, header) in self.store.headers()? {
            let foreign = id == upload.publication && header.is_ok_and(|header| header.tenant != tenant);
            ensure!(!foreign, "this publication belongs to another tenant");
            pending += usize::from(id != upload.publication && !self.is_listed(&id));
        }
        ensure!(pending < most, "{pending} uploads wait to be put into service already (limits.models)");
        self.store.check_room(upload.length)?;
        Ok(description.manifest.name)
    }

    /// Begins an upload or goes on with it.
    ///
    /// # Errors
    /// The same publication is being uploaded now, or the store cannot take it.
    pub(crate) async fn begin(self: &Arc<Self>, tenant: &str, upload: Upload) -> Result<Uploading> {
        let id = upload.publication;
        let alone = self.uploading.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        ensure!(alone, "this publication is being uploaded over another connection now");
        let mut uploading = Uploading { catalog: self.clone(), id, length: upload.length, have: 0 };
        let begun_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Upload { manifest, graph, length, digest, .. } = upload;
        let header = Header { tenant: tenant.into(), manifest, graph, length, digest, begun_s, complete: false };
        uploading.have = self.stored(move |store| store.begin(&id, &header)).await?;
        Ok(uploading)
    }

    /// The name of the model that a tenant has uploaded as this publication.
    pub(crate) fn name(&self, tenant: &str, publication: &Id) -> Option<String> {
        let (_, header) = self.store.headers().ok()?.into_iter().find(|(id, _)| id == publication)?;
        let header = header.ok().filter(|header| header.tenant == tenant)?;
        Some(Manifest::parse(&header.manifest).ok()?.name)
    }

    /// Waits for the end of another change, and holds off the next one.
    pub(crate) async fn change(&self) -> AsyncMutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The list after an action of this tenant; none where nothing is left to do.
    ///
    /// # Errors
    /// The action is not possible here: no such publication or model, or no room.
    pub(crate) fn after(&self, tenant: &str, action: &Action) -> Result<Option<peer::Catalog>> {
        match action {
            Action::Activate { publication } => {
                let (header, _) = self.store.read(publication)?;
                ensure!(header.complete && header.tenant == tenant, "this publication is not stored here");
                let name = Manifest::parse(&header.manifest)?.name;
                let inner = self.lock();
                if inner.models.contains_key(publication) {
                    return Ok(None);
                }
                let next = inner.list.with(tenant, &name, Some(*publication));
                let most = self.limits.models;
                ensure!(next.entries.len() <= most, "this party serves {most} models already (limits.models)");
                Ok(Some(next))
            }
            Action::Retire { model } => {
                let inner = self.lock();
                let named = |entry: &&peer::Entry| entry.tenant == tenant && entry.model == *model;
                ensure!(inner.list.entries.iter().any(|entry| named(&entry)), "there is no model {model:?} in service");
                Ok(Some(inner.list.with(tenant, model, None)))
            }
        }
    }

    /// An uploaded publication, decoded.
    ///
    /// # Errors
    /// It is not here, damaged, or of another tenant or name than `entry` says.
    pub(crate) async fn load(self: &Arc<Self>, tenant: &str, publication: Id) -> Result<Model> {
        let (catalog, tenant) = (self.clone(), tenant.to_owned());
        tokio::task::spawn_blocking(move || catalog.load_now(&tenant, None, &publication)).await.context("loading")?
    }

    /// Makes `list` what is in service, on disk and then in memory. Publications that leave the list are forgotten. The caller
    /// holds [`Catalog::change`].
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed.
    pub(crate) async fn apply(self: &Arc<Self>, list: peer::Catalog) -> Result<()> {
        let catalog = self.clone();
        tokio::task::spawn_blocking(move || catalog.apply_now(list)).await.context("storing")?
    }

    /// Waits until an action is done, as far as this party knows; the revision since then.
    pub(crate) async fn done(&self, tenant: &str, action: &Action) -> u64 {
        let mut revision = self.revision.subscribe();
        let is_done = |_: &u64| {
            let inner = self.lock();
            match action {
                Action::Activate { publication } => inner.models.contains_key(publication),
                Action::Retire { model } => {
                    !inner.list.entries.iter().any(|entry| entry.tenant == tenant && entry.model == *model)
                }
            }
        };
        // The sender lives as long as this catalog.
        revision.wait_for(is_done).await.map_or(0, |revision| *revision)
    }

    fn apply_now(&self, list: peer::Catalog) -> Result<()> {
        let (models, missing) = self.load_all(&list);
        let before = self.agreed();
        let kept: HashSet<Id> = list.entries.iter().map(|entry| entry.publication).collect();
        let forget: Vec<Id> = before.entries.iter().map(|e| e.publication).filter(|id| !kept.contains(id)).collect();
        self.store.set_catalog(&list, &forget)?;
        let revision = list.revision;
        let mut inner = self.lock();
        let until = Instant::now() + self.limits.session_timeout();
        let leaving: Vec<_> =
            inner.models.extract_if(|id, _| !kept.contains(id)).map(|(_, model)| (until, model)).collect();
        inner.draining.extend(leaving);
        (inner.list, inner.models, inner.missing) = (list, models, missing);
        drop(inner);
        self.revision.send_replace(revision);
        Ok(())
    }

    /// The models on a list, those in memory as they are.
    fn load_all(&self, list: &peer::Catalog) -> (HashMap<Id, Arc<Model>>, HashMap<Id, String>) {
        let (mut models, mut missing) = (HashMap::new(), HashMap::new());
        for entry in &list.entries {
            let id = entry.publication;
            let known = self.lock().models.get(&id).cloned();
            let loaded = known.map_or_else(|| self.load_now(&entry.tenant, Some(&entry.model), &id).map(Arc::new), Ok);
            match loaded {
                Ok(model) => drop(models.insert(id, model)),
                Err(error) => {
                    let (tenant, model, publication) = (&entry.tenant, &entry.model, short(&id));
                    tracing::error!(tenant, model, publication, "not served here: {error:#}");
                    missing.insert(id, format!("{error:#}"));
                }
            }
        }
        (models, missing)
    }

    fn load_now(&self, tenant: &str, name: Option<&str>, id: &Id) -> Result<Model> {
        let (header, share) = self.store.read(id)?;
        ensure!(header.complete, "the upload of this publication is not complete here");
        ensure!(header.tenant == tenant, "this publication belongs to another tenant");
        let description = Description::new(&header.manifest, &header.graph, &self.limits)?;
        if let Some(name) = name.filter(|name| *name != description.manifest.name) {
            bail!("this publication is of the model {:?}, not of {name:?}", description.manifest.name);
        }
        let dealt = stream::decode_dealt(&share, &[description.weight_words()]).context("the share")?;
        Ok(Model::new(*id, header.tenant, description, &dealt))
    }

    fn is_listed(&self, id: &Id) -> bool {
        self.lock().list.entries.iter().any(|entry| entry.publication == *id)
    }

    fn forget_old_uploads(&self, list: &peer::Catalog) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let listed = |id: &Id| list.entries.iter().any(|entry| entry.publication == *id);
        let old = |header: &Header| Duration::from_secs(header.begun_s) + UPLOAD_KEPT < now;
        let headers = self.store.headers()?.into_iter();
        let forget = headers.filter(|(id, header)| !listed(id) && header.as_ref().is_ok_and(old));
        self.store.remove(&forget.map(|(id, _)| id).collect::<Vec<_>>())
    }

    /// Work on the store, on a thread that may wait for the disk.
    async fn stored<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> Result<T> + Send + 'static) -> Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.context("storing")?
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that goes on. What has arrived stays when it is dropped.
pub(crate) struct Uploading {
    catalog: Arc<Catalog>,
    id: Id,
    length: u64,
    /// Bytes that are stored.
    have: u64,
}

impl Uploading {
    /// Bytes that are stored.
    pub(crate) fn have(&self) -> u64 {
        self.have
    }

    /// Bytes of the next chunk; 0 where nothing is left.
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

    /// The share is whole. Where it repairs a model in service, that is served again.
    ///
    /// # Errors
    /// It is not what was announced.
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
        self.catalog.uploading.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
