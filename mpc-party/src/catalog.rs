//! The models in service: decoded once, shared by all sessions, and kept in the share store.
//!
//! What is in service is one [list](peer::Catalog), the same at all three parties; [`crate::agreement`] sees to that. A
//! publication on the list whose share is not here, or damaged, is *missing*: this party does not serve it, and says so.

mod uploading;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use mpc_core::model::Manifest;
use mpc_core::sharing::ArithmeticShare;
use mpc_core::wire::message::{Action, Code, Id, ModelInfo, Refusal, Upload, short};
use mpc_core::wire::peer;
use mpc_core::wire::stream;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, watch};
pub(crate) use uploading::Uploading;

use crate::config::Limits;
use crate::gallery::{Gallery, has_person, with_person, without_person};
use crate::model::{Description, Model};
use crate::store::{Header, Store, TemplateKey};

/// Uploads that nobody has put into service are forgotten after this time.
const UPLOAD_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Templates that no change has made part of a gallery are forgotten after this time.
const TEMPLATE_KEPT: Duration = Duration::from_secs(3600);

/// Most templates that wait for such a change.
const TEMPLATES_WAITING: usize = 256;

/// The models in service and their store.
pub(crate) struct Catalog {
    store: Arc<Store>,
    limits: Limits,
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
    /// Held while what is in service changes, so that memory and disk see the same order.
    changing: AsyncMutex<()>,
    uploading: Mutex<HashSet<Id>>,
    /// Templates that wait for a change, since when.
    waiting: Mutex<HashMap<TemplateKey, Instant>>,
}

#[derive(Default)]
struct Inner {
    list: peer::Catalog,
    models: HashMap<Id, Arc<Model>>,
    /// Why a publication on the list is not served here.
    missing: HashMap<Id, String>,
    /// Of models that compare; or why theirs cannot be used here.
    galleries: HashMap<Id, Result<Arc<Gallery>, String>>,
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
            waiting: Mutex::default(),
        };
        catalog.forget_old_uploads(&list)?;
        let listed: HashSet<TemplateKey> = templates(&list).collect();
        let waiting = catalog.store.template_keys()?.into_iter().filter(|key| !listed.contains(key));
        catalog.waiting().extend(waiting.map(|key| (key, Instant::now())));
        let (models, missing) = catalog.load_all(&list);
        let galleries = catalog.load_galleries(&list, &models);
        *catalog.lock() = Inner { list, models, missing, galleries, draining: Vec::new() };
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
        let problem = |entry: &peer::Entry| {
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
        self.store.check_room(1 << 20).map_err(anyhow::Error::msg)?;
        let expired = self.expired_templates();
        {
            let mut waiting = self.waiting();
            ensure!(
                waiting.len() < TEMPLATES_WAITING,
                "too many templates wait to be enrolled here; try again in an hour"
            );
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

    /// Checks an upload before its share is read; the model's name.
    ///
    /// # Errors
    /// What is wrong with it, or that the party has no room.
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
        self.store.check_room(upload.length).map_err(|reason| Code::Full.because(reason))?;
        Ok(description.manifest.name)
    }

    /// Begins an upload or goes on with it.
    ///
    /// # Errors
    /// The same publication is being uploaded now, or the store cannot take it.
    pub(crate) async fn begin(self: &Arc<Self>, tenant: &str, upload: Upload) -> Result<Uploading, Refusal> {
        let id = upload.publication;
        let alone = self.uploading.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
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

    /// Waits for the end of another change, and holds off the next one.
    pub(crate) async fn change(&self) -> AsyncMutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The list after an action of this tenant; none where nothing is left to do.
    ///
    /// # Errors
    /// The action is not possible here: no such publication or model, or no room.
    pub(crate) fn after(&self, tenant: &str, action: &Action) -> Result<Option<peer::Catalog>, Refusal> {
        match action {
            Action::Activate { publication, forget_gallery } => {
                let stored = self.store.read(publication).map(|(header, _)| header);
                let ours = stored.ok().filter(|header| header.complete && header.tenant == tenant);
                let header = ours.ok_or_else(|| Code::NotFound.because("this publication is not stored here"))?;
                let name = Manifest::parse(&header.manifest).map_err(|e| Code::Invalid.because(e.to_string()))?.name;
                if self.is_listed(publication) {
                    return Ok(None);
                }
                let inner = self.lock();
                may_forget(&inner.list, tenant, &name, *forget_gallery)?;
                let next = inner.list.with(tenant, &name, Some(*publication));
                let most = self.limits.models;
                if next.entries.len() > most {
                    return Err(Code::Full.because(format!("this party serves {most} models already (limits.models)")));
                }
                Ok(Some(next))
            }
            Action::Retire { model, forget_gallery } => {
                let inner = self.lock();
                if in_service(&inner.list, tenant, model).is_none() {
                    return Err(Code::NotFound.because(format!("there is no model {model:?} in service")));
                }
                may_forget(&inner.list, tenant, model, *forget_gallery)?;
                Ok(Some(inner.list.with(tenant, model, None)))
            }
            Action::Enrol { publication, person, template } => {
                let list = self.own(tenant, publication)?;
                let next = with_person(&list, publication, person, *template, self.limits.templates)?;
                let template = (*publication, *template);
                if next.is_some() && !self.store.has_template(&template).map_err(|e| fault(&e))? {
                    return Err(Code::NotFound.because(format!("the template is not here; enrol {person:?} once more")));
                }
                Ok(next)
            }
            Action::Remove { publication, person } => {
                without_person(&self.own(tenant, publication)?, publication, person).map(Some)
            }
        }
    }

    /// The list, if a publication on it is this tenant's.
    fn own(&self, tenant: &str, publication: &Id) -> Result<peer::Catalog, Refusal> {
        self.find(tenant, publication).ok_or_else(not_in_service)?;
        Ok(self.agreed())
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
                Action::Activate { publication, .. } => inner.models.contains_key(publication),
                Action::Retire { model, .. } => in_service(&inner.list, tenant, model).is_none(),
                Action::Enrol { publication, person, template } => {
                    has_person(&inner.list, publication, person, Some(template))
                }
                Action::Remove { publication, person } => !has_person(&inner.list, publication, person, None),
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
        let galleries = self.load_galleries(&list, &models);
        self.store.set_catalog(&list, &forget, &self.old_templates(&before, &list))?;
        let revision = list.revision;
        let mut inner = self.lock();
        let until = Instant::now() + self.limits.session_timeout();
        let leaving: Vec<_> =
            inner.models.extract_if(|id, _| !kept.contains(id)).map(|(_, model)| (until, model)).collect();
        inner.draining.extend(leaving);
        *inner = Inner { list, models, missing, galleries, draining: std::mem::take(&mut inner.draining) };
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

    /// The galleries of the models on a list that compare, those in memory as they are.
    fn load_galleries(
        &self,
        list: &peer::Catalog,
        models: &HashMap<Id, Arc<Model>>,
    ) -> HashMap<Id, Result<Arc<Gallery>, String>> {
        let gallery = |entry: &peer::Entry| {
            let embedding = models.get(&entry.publication)?.description.manifest.embedding.as_ref()?;
            let before = self.lock().galleries.get(&entry.publication).and_then(|known| known.as_ref().ok().cloned());
            let whole = |before: &&Arc<Gallery>| before.enrolled == entry.gallery && before.templates.is_some();
            let load = || Gallery::load(&self.store, entry, embedding.size, before.as_deref()).map(Arc::new);
            let loaded =
                before.as_ref().filter(whole).cloned().map_or_else(load, Ok).map_err(|error| format!("{error:#}"));
            let problem = loaded.as_ref().map_or_else(|reason| Some(reason.clone()), |gallery| gallery.problem());
            if let Some(reason) = problem {
                tracing::error!(tenant = entry.tenant, model = entry.model, "the gallery cannot be used: {reason}");
            }
            Some((entry.publication, loaded))
        };
        list.entries.iter().filter_map(gallery).collect()
    }

    /// Templates that leave with the list `before`, and those that have waited too long to be on one.
    fn old_templates(&self, before: &peer::Catalog, list: &peer::Catalog) -> Vec<TemplateKey> {
        let listed: HashSet<TemplateKey> = templates(list).collect();
        self.waiting().retain(|key, _| !listed.contains(key));
        templates(before).filter(|key| !listed.contains(key)).chain(self.expired_templates()).collect()
    }

    /// Templates that have waited too long; they wait no more.
    fn expired_templates(&self) -> Vec<TemplateKey> {
        self.waiting().extract_if(|_, since| since.elapsed() > TEMPLATE_KEPT).map(|(key, _)| key).collect()
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

    fn waiting(&self) -> MutexGuard<'_, HashMap<TemplateKey, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tenant's model of that name.
fn in_service<'a>(list: &'a peer::Catalog, tenant: &str, model: &str) -> Option<&'a peer::Entry> {
    list.entries.iter().find(|entry| entry.tenant == tenant && entry.model == model)
}

/// A model leaves service together with its gallery only if its publisher says so.
fn may_forget(list: &peer::Catalog, tenant: &str, model: &str, forget_gallery: bool) -> Result<(), Refusal> {
    let enrolled = in_service(list, tenant, model).map_or(0, |entry| entry.gallery.len());
    let s = if enrolled == 1 { "" } else { "s" };
    if enrolled == 0 || forget_gallery {
        return Ok(());
    }
    Err(Code::WouldForget.because(format!(
        "{enrolled} person{s} enrolled with the model {model:?} would be forgotten: their templates belong to the publication in service"
    )))
}

/// The templates in the galleries of a list.
fn templates(list: &peer::Catalog) -> impl Iterator<Item = TemplateKey> {
    list.entries.iter().flat_map(|entry| entry.gallery.iter().map(|enrolled| (entry.publication, enrolled.template)))
}

/// A publication that this party does not serve to whoever asks.
pub(crate) fn not_in_service() -> Refusal {
    let reason = "no such publication is in service here; it may have been replaced, ask for the models again";
    Code::NotFound.because(reason)
}

/// The store cannot do what it should.
fn fault(error: &anyhow::Error) -> Refusal {
    Code::Internal.because(format!("{error:#}"))
}
