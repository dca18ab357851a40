//! The models in service: decoded once, shared by all sessions, and kept in the share store.
//!
//! One [list](List) says what is in service; `agreement` keeps it the same at all three parties. A publication on the
//! list whose share is absent or damaged here is *missing*: this party does not serve it, and reports that.

mod changing;
mod uploading;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mpc_core::model::Manifest;
use mpc_core::session::Id;
use mpc_core::sharing::ArithmeticShare;
use mpc_core::wire::message::{Code, ModelInfo, Refusal, Upload, short};
use mpc_core::wire::peer::{Catalog as List, Entry};
use mpc_core::wire::share;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Mutex as AsyncMutex;
pub(crate) use uploading::Uploading;

use self::changing::Prepared;
use crate::config::Limits;
use crate::gallery::Gallery;
use crate::model::{Description, Model};
use crate::store::{Header, Result, Store, StoreError, TemplateKey};

/// Uploads that nobody has put into service are deleted after this time.
const UPLOAD_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Templates that no change has made part of a gallery are deleted after this time.
const TEMPLATE_KEPT: Duration = Duration::from_secs(3600);

/// Maximum number of templates that wait for such a change.
const TEMPLATES_WAITING: usize = 256;

/// The models in service and their store.
pub(crate) struct Catalog {
    store: Arc<Store>,
    limits: Limits,
    inner: Mutex<Inner>,
    /// Held while the list changes, so that memory and disk see the same order.
    changing: AsyncMutex<()>,
    uploading: Mutex<HashSet<Id>>,
    /// Templates that wait for a change, since when.
    waiting: Mutex<HashMap<TemplateKey, Instant>>,
}

#[derive(Default)]
struct Inner {
    list: List,
    /// The list prepared to follow it.
    prepared: Option<Prepared>,
    models: HashMap<Id, Arc<Model>>,
    /// Why a publication on the list is not served here.
    missing: HashMap<Id, String>,
    /// The galleries of models that compare; or why one cannot be used here.
    galleries: HashMap<Id, Result<Arc<Gallery>, String>>,
    /// Models out of service that sessions may still name for a while: other parties switch a moment later.
    draining: Vec<(Instant, Arc<Model>)>,
}

impl Catalog {
    /// Loads everything in service.
    ///
    /// # Errors
    /// The database cannot be read. A single damaged publication counts as missing, not as an error.
    pub(crate) fn open(store: Store, limits: &Limits) -> Result<Self> {
        let list = store.catalog()?;
        let catalog = Self {
            store: Arc::new(store),
            limits: limits.clone(),
            inner: Mutex::default(),
            changing: AsyncMutex::default(),
            uploading: Mutex::default(),
            waiting: Mutex::default(),
        };
        // A prepared list that another has overtaken is useless.
        let prepared = catalog.store.prepared()?.filter(|next| next.revision > list.revision);
        catalog.forget_old_uploads(&list, prepared.as_ref())?;
        let listed: HashSet<TemplateKey> = templates(&list).collect();
        let waiting = catalog.store.template_keys()?.into_iter().filter(|key| !listed.contains(key));
        catalog.waiting().extend(waiting.map(|key| (key, Instant::now())));
        let (models, missing) = catalog.load_all(&list);
        let galleries = catalog.load_galleries(&list, &models);
        let prepared = prepared.map(|list| Prepared { list, made: None });
        *catalog.lock() = Inner { list, prepared, models, missing, galleries, draining: Vec::new() };
        Ok(catalog)
    }

    /// The store, for its operator.
    pub(crate) fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    /// The models in service that a tenant sees.
    pub(crate) fn list(&self, tenant: &str) -> Vec<ModelInfo> {
        let inner = self.lock();
        let entries = inner.list.entries.iter().filter(|entry| entry.tenant == tenant);
        let info = |entry: &Entry| Some(inner.models.get(&entry.publication)?.info());
        entries.filter_map(info).collect()
    }

    /// The number of models that are served here.
    pub(crate) fn len(&self) -> usize {
        self.lock().models.len()
    }

    /// The list that this party has agreed to.
    pub(crate) fn agreed(&self) -> List {
        self.lock().list.clone()
    }

    /// One line for each model in service that this party does not serve.
    pub(crate) fn missing(&self) -> Vec<String> {
        let inner = self.lock();
        let problem = |entry: &Entry| {
            let (name, id) = (format!("{}/{}", entry.tenant, entry.model), entry.publication);
            if let Some(reason) = inner.missing.get(&id) {
                return Some(format!("{name}: {reason}; publish it again, or restore a backup"));
            }
            let reason = match inner.galleries.get(&id)? {
                Ok(gallery) => gallery.problem()?,
                Err(reason) => reason.clone(),
            };
            Some(format!("{name}: the gallery cannot be used: {reason}"))
        };
        inner.list.entries.iter().filter_map(problem).collect()
    }

    /// The gallery of a model in service; its templates may be lacking.
    ///
    /// # Errors
    /// The model compares nothing, or the store cannot be read.
    pub(crate) fn gallery(&self, model: &Model) -> Result<Arc<Gallery>, Refusal> {
        match self.lock().galleries.get(&model.publication) {
            Some(Ok(gallery)) => Ok(gallery.clone()),
            Some(Err(reason)) => Err(Code::Incomplete.because(format!("the gallery cannot be used here: {reason}"))),
            None => {
                let name = &model.description.manifest.name;
                Err(Code::Invalid.because(format!("nobody can be enrolled with the model {name:?}")))
            }
        }
    }

    /// Keeps a template that a session has computed, until a change makes it part of the gallery.
    ///
    /// # Errors
    /// Too many wait for that, or the store cannot take it.
    pub(crate) async fn keep_template(&self, key: TemplateKey, template: ArithmeticShare) -> Result<()> {
        self.store.check_room(1 << 20)?;
        let expired = self.expired_templates();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= TEMPLATES_WAITING {
                let reason = "too many templates wait to be enrolled here; try again in an hour";
                return Err(StoreError::Refused(reason.into()));
            }
            waiting.insert(key, Instant::now());
        }
        let kept = self.stored(move |store| store.keep_template(&key, &template, &expired)).await;
        if kept.is_err() {
            self.waiting().remove(&key);
        }
        kept
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

    /// Checks an upload before its share is read; returns the model's name.
    ///
    /// # Errors
    /// The description is wrong, or the party has no room.
    pub(crate) fn check(&self, tenant: &str, upload: &Upload) -> Result<String, Refusal> {
        let description = Description::new(&upload.manifest, &upload.graph, &self.limits)?;
        let most = 2 + 16 * description.weight_words() as u64;
        if upload.length > most {
            let reason = format!("a share of {} bytes, at most {most} belong to these weights", upload.length);
            return Err(Code::Invalid.because(reason));
        }
        let (mut pending, most) = (0, self.limits.models);
        for (id, header) in self.store.headers().map_err(|e| fault(&e))? {
            if id == upload.publication && header.is_ok_and(|header| header.tenant != tenant) {
                return Err(Code::NoRight.because("this publication belongs to another tenant"));
            }
            pending += usize::from(id != upload.publication && !self.is_listed(&id));
        }
        if pending >= most {
            let reason = format!("{pending} uploads wait to be put into service already (limits.models)");
            return Err(Code::Full.because(reason));
        }
        self.store.check_room(upload.length).map_err(|full| Code::Full.because(full.to_string()))?;
        Ok(description.manifest.name)
    }

    /// Begins or resumes an upload.
    ///
    /// # Errors
    /// The same publication is being uploaded now, or the store cannot take it.
    pub(crate) async fn begin(self: &Arc<Self>, tenant: &str, upload: Upload) -> Result<Uploading, Refusal> {
        let id = upload.publication;
        let alone = self.uploading.lock().insert(id);
        if !alone {
            return Err(Code::Busy.because("this publication is being uploaded over another connection now"));
        }
        let mut uploading = Uploading { catalog: self.clone(), id, length: upload.length, have: 0 };
        let begun_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Upload { manifest, graph, length, digest, .. } = upload;
        let header = Header { tenant: tenant.into(), manifest, graph, length, digest, begun_s, complete: false };
        uploading.have = self.stored(move |store| store.begin(&id, &header)).await.map_err(|e| fault(&e))?;
        Ok(uploading)
    }

    /// The name of the model that a tenant has uploaded as this publication.
    pub(crate) fn name(&self, tenant: &str, publication: &Id) -> Option<String> {
        let (_, header) = self.store.headers().ok()?.into_iter().find(|(id, _)| id == publication)?;
        let header = header.ok().filter(|header| header.tenant == tenant)?;
        Some(Manifest::parse(&header.manifest).ok()?.name)
    }

    /// An uploaded publication, decoded.
    ///
    /// # Errors
    /// The publication is not here, damaged, or of another tenant.
    pub(crate) fn load(&self, tenant: &str, publication: &Id) -> Result<Model, Refusal> {
        self.load_now(tenant, None, publication)
    }

    /// Puts `list` into service, on disk and then in memory. Publications that leave the list are deleted. The
    /// caller holds [`Catalog::change`].
    ///
    /// # Errors
    /// The store cannot be written; nothing has changed.
    pub(crate) async fn apply(self: &Arc<Self>, list: List) -> Result<()> {
        let catalog = self.clone();
        tokio::task::spawn_blocking(move || catalog.apply_now(list)).await.unwrap_or_else(|_| Err(interrupted()))
    }

    fn apply_now(&self, list: List) -> Result<()> {
        let (models, missing) = self.load_all(&list);
        let before = self.agreed();
        let kept: HashSet<Id> = list.entries.iter().map(|entry| entry.publication).collect();
        let forget: Vec<Id> = before.entries.iter().map(|e| e.publication).filter(|id| !kept.contains(id)).collect();
        let galleries = self.load_galleries(&list, &models);
        self.store.replace_catalog(before.revision, &list, &forget, &self.old_templates(&before, &list))?;
        let mut inner = self.lock();
        let overtaken = inner.prepared.take_if(|prepared| prepared.list.revision <= list.revision);
        let made = overtaken.filter(|prepared| prepared.list == list).and_then(|prepared| prepared.made);
        let until = Instant::now() + self.limits.session_timeout();
        let leaving: Vec<_> =
            inner.models.extract_if(|id, _| !kept.contains(id)).map(|(_, model)| (until, model)).collect();
        inner.draining.extend(leaving);
        (inner.list, inner.models, inner.missing, inner.galleries) = (list, models, missing, galleries);
        drop(inner);
        // If the client no longer waits, nobody is told.
        let _ = made.map(|made| made.send(()));
        Ok(())
    }

    /// The models on a list; those in memory are reused.
    fn load_all(&self, list: &List) -> (HashMap<Id, Arc<Model>>, HashMap<Id, String>) {
        let (mut models, mut missing) = (HashMap::new(), HashMap::new());
        for entry in &list.entries {
            let id = entry.publication;
            let known = self.lock().models.get(&id).filter(|model| model.revision == entry.revision).cloned();
            let loaded = known.map_or_else(|| self.load_now(&entry.tenant, Some(entry), &id).map(Arc::new), Ok);
            match loaded {
                Ok(model) => drop(models.insert(id, model)),
                Err(error) => {
                    let (tenant, model, publication) = (&entry.tenant, &entry.model, short(&id));
                    tracing::error!(tenant, model, publication, "not served here: {error}");
                    missing.insert(id, error.to_string());
                }
            }
        }
        (models, missing)
    }

    /// The galleries of the models on a list that compare; those in memory are reused.
    fn load_galleries(
        &self,
        list: &List,
        models: &HashMap<Id, Arc<Model>>,
    ) -> HashMap<Id, Result<Arc<Gallery>, String>> {
        let gallery = |entry: &Entry| {
            let embedding = models.get(&entry.publication)?.description.manifest.embedding.as_ref()?;
            let before = self.lock().galleries.get(&entry.publication).and_then(|known| known.as_ref().ok().cloned());
            let whole = |before: &&Arc<Gallery>| before.enrolled == entry.gallery && before.templates.is_some();
            let load = || Gallery::load(&self.store, entry, embedding.size, before.as_deref()).map(Arc::new);
            let loaded =
                before.as_ref().filter(whole).cloned().map_or_else(load, Ok).map_err(|error| error.to_string());
            let problem = loaded.as_ref().map_or_else(|reason| Some(reason.clone()), |gallery| gallery.problem());
            if let Some(reason) = problem {
                tracing::error!(tenant = entry.tenant, model = entry.model, "the gallery cannot be used: {reason}");
            }
            Some((entry.publication, loaded))
        };
        list.entries.iter().filter_map(gallery).collect()
    }

    /// Templates that leave with the list `before`, and those that have waited too long to be on one.
    fn old_templates(&self, before: &List, list: &List) -> Vec<TemplateKey> {
        let listed: HashSet<TemplateKey> = templates(list).collect();
        self.waiting().retain(|key, _| !listed.contains(key));
        templates(before).filter(|key| !listed.contains(key)).chain(self.expired_templates()).collect()
    }

    /// Removes and returns the templates that have waited too long.
    fn expired_templates(&self) -> Vec<TemplateKey> {
        self.waiting().extract_if(|_, since| since.elapsed() > TEMPLATE_KEPT).map(|(key, _)| key).collect()
    }

    fn load_now(&self, tenant: &str, entry: Option<&Entry>, id: &Id) -> Result<Model, Refusal> {
        let (header, share) = self.store.read(id).map_err(|e| fault(&e))?;
        if !header.complete {
            return Err(Code::Incomplete.because("the upload of this publication is not complete here"));
        }
        if header.tenant != tenant {
            return Err(Code::NoRight.because("this publication belongs to another tenant"));
        }
        let description = Description::new(&header.manifest, &header.graph, &self.limits)?;
        if let Some(entry) = entry.filter(|entry| entry.model != description.manifest.name) {
            let (name, listed) = (description.manifest.name, &entry.model);
            return Err(Code::Invalid.because(format!("this publication is of the model {name:?}, not of {listed:?}")));
        }
        let dealt = share::decode_dealt(&share, &[description.weight_words()]);
        let dealt = dealt.map_err(|e| Code::Invalid.because(format!("the share: {e}")))?;
        let revision = entry.map_or(0, |entry| entry.revision);
        Ok(Model::new(*id, header.tenant, revision, description, &dealt))
    }

    fn is_listed(&self, id: &Id) -> bool {
        self.lock().list.entries.iter().any(|entry| entry.publication == *id)
    }

    fn forget_old_uploads(&self, list: &List, prepared: Option<&List>) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let entries: Vec<_> = [Some(list), prepared].into_iter().flatten().flat_map(|list| &list.entries).collect();
        let listed = |id: &Id| entries.iter().any(|entry| entry.publication == *id);
        let old = |header: &Header| Duration::from_secs(header.begun_s) + UPLOAD_KEPT < now;
        let headers = self.store.headers()?.into_iter();
        let forget = headers.filter(|(id, header)| !listed(id) && header.as_ref().is_ok_and(old));
        self.store.remove(&forget.map(|(id, _)| id).collect::<Vec<_>>())
    }

    /// Runs work on the store, on a thread that may wait for the disk.
    async fn stored<T: Send + 'static>(&self, work: impl FnOnce(&Store) -> Result<T> + Send + 'static) -> Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.unwrap_or_else(|_| Err(interrupted()))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TemplateKey, Instant>> {
        self.waiting.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

/// The templates in the galleries of a list.
fn templates(list: &List) -> impl Iterator<Item = TemplateKey> {
    list.entries.iter().flat_map(|entry| entry.gallery.iter().map(|enrolled| (entry.publication, enrolled.template)))
}

/// The refusal for an error of the store.
fn fault(error: &StoreError) -> Refusal {
    Code::Internal.because(error.to_string())
}

/// The error where a thread that worked on the store panicked, or ended with the party.
fn interrupted() -> StoreError {
    StoreError::Refused("the work on the store was interrupted".into())
}
