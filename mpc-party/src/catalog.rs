//! The models in service: decoded once, shared by all sessions, and kept in the share store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use mpc_core::inference::secure::Weights;
use mpc_core::model::{Graph, Manifest};
use mpc_core::plan::session_bytes;
use mpc_core::ring::Tensor;
use mpc_core::sharing::{ArithmeticShare, Dealt};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Classify, Id, ModelInfo, Publish, model_digest};
use tokio::sync::Mutex as AsyncMutex;
use zeroize::Zeroizing;

use crate::config::Limits;
use crate::store::{Public, Record, Store};

/// The public part of a model, checked.
pub(crate) struct Description {
    /// As it was published.
    pub(crate) info: ModelInfo,
    /// What is declared about it.
    pub(crate) manifest: Manifest,
    /// What is evaluated.
    pub(crate) graph: Graph,
    /// What the parties compare before a session.
    pub(crate) digest: Id,
}

impl Description {
    /// Checks what a publisher, who need not be honest, says of a model.
    ///
    /// # Errors
    /// The field or node that is wrong, or the limit that is exceeded.
    pub(crate) fn new(info: ModelInfo, limits: &Limits) -> Result<Self> {
        let manifest = Manifest::parse(&info.manifest)?;
        let graph: Graph = codec::decode(&info.graph).context("graph")?;
        graph.validate()?;
        let (stated, computed) = (&manifest.input.shape, &graph.input().shape);
        ensure!(stated == computed, "the manifest's input has shape {stated:?}, the graph's {computed:?}");
        let description = Self { digest: model_digest(&info.manifest, &info.graph), info, manifest, graph };
        let (words, limit) = (description.weight_words(), limits.model_words());
        ensure!(words <= limit, "the model has {words} weights, this party takes at most {limit} (limits.model_mib)");
        Ok(description)
    }

    /// Number of weights.
    pub(crate) fn weight_words(&self) -> usize {
        let sizes = self.graph.weights.iter().map(|spec| spec.shape.iter().product::<usize>());
        sizes.fold(0, usize::saturating_add)
    }

    /// Shape of the input that `request` announces.
    ///
    /// # Errors
    /// The limit that it exceeds.
    pub(crate) fn input_shape(&self, request: &Classify, limits: &Limits) -> Result<Vec<usize>> {
        let most = self.graph.max_windows();
        let in_range = |&n: &u32| (1..=most).contains(&n);
        ensure!(!request.windows.is_empty(), "the request has no input");
        ensure!(request.windows.iter().all(in_range), "an input of this model has 1 to {most} windows");
        let batch = request.windows.iter().fold(0usize, |sum, &n| sum.saturating_add(n as usize));
        ensure!(
            batch <= limits.batch,
            "{batch} windows at once, this party takes at most {} (limits.batch)",
            limits.batch
        );
        let shape = self.graph.input().full_shape(batch);
        let words = shape.iter().fold(1usize, |product, &side| product.saturating_mul(side));
        ensure!(words <= limits.input_words(), "the input is too large for this party (limits.input_mib)");
        let mib = session_bytes(&self.graph, batch, request.security).div_ceil(1 << 20);
        ensure!(
            mib <= limits.session_mib,
            "the question needs about {mib} MiB while it is computed, this party allows {} MiB for one \
             (limits.session_mib); ask about fewer inputs at once",
            limits.session_mib
        );
        Ok(shape)
    }
}

/// A model in service.
pub(crate) struct Model {
    /// What everybody may know.
    pub(crate) description: Description,
    /// This party's share of the weights, in the order of the graph.
    pub(crate) weights: Weights,
}

impl Model {
    /// Cuts the share of all weights, one flat vector, into tensors.
    ///
    /// # Panics
    /// If the vector is not as long as [`Description::weight_words`].
    pub(crate) fn new(description: Description, own: &[u64], next: &[u64]) -> Self {
        let mut start = 0;
        let weights = description.graph.weights.iter().map(|spec| {
            let range = start..start + spec.shape.iter().product::<usize>();
            start = range.end;
            let cut = |flat: &[u64]| {
                Tensor::from_shape_vec(&spec.shape[..], flat[range.clone()].to_vec())
                    .expect("as many as the shape says")
            };
            ArithmeticShare::new(cut(own), cut(next))
        });
        let weights = Weights::new(weights.collect());
        Self { description, weights }
    }
}

/// The models in service and their store.
pub(crate) struct Catalog {
    store: Arc<Store>,
    limits: Limits,
    /// By name.
    models: Mutex<HashMap<String, Arc<Model>>>,
    /// Held while a publication enters service, so that memory and disk see the same order.
    changing: AsyncMutex<()>,
}

impl Catalog {
    /// Loads everything in service.
    ///
    /// # Errors
    /// A record is damaged, or does not fit the limits any more.
    pub(crate) fn open(store: Store, limits: &Limits) -> Result<Self> {
        let mut models = HashMap::new();
        for Record { publication, public, weights } in store.load()? {
            let info = ModelInfo { publication, manifest: public.manifest, graph: public.graph };
            let model = Description::new(info, limits).and_then(|description| from_bytes(description, &weights));
            let model = model.with_context(|| format!("stored model {:?}", public.name))?;
            models.insert(public.name, Arc::new(model));
        }
        Ok(Self {
            store: Arc::new(store),
            limits: limits.clone(),
            models: Mutex::new(models),
            changing: AsyncMutex::default(),
        })
    }

    /// Everything in service, by name.
    pub(crate) fn list(&self) -> Vec<ModelInfo> {
        let mut list: Vec<_> = self.lock().values().map(|model| model.description.info.clone()).collect();
        list.sort_by(|a, b| a.manifest.cmp(&b.manifest));
        list
    }

    /// How many are in service.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The model of a publication, if that is in service.
    pub(crate) fn find(&self, publication: &Id) -> Option<Arc<Model>> {
        self.lock().values().find(|model| model.description.info.publication == *publication).cloned()
    }

    /// Checks a publication before its weights are read.
    ///
    /// # Errors
    /// What is wrong with it, or that the party is full.
    pub(crate) fn check(&self, publish: Publish) -> Result<Description> {
        let Publish { publication, manifest, graph } = publish;
        let description = Description::new(ModelInfo { publication, manifest, graph }, &self.limits)?;
        let full = self.len() >= self.limits.models && !self.lock().contains_key(&description.manifest.name);
        ensure!(!full, "this party serves {} models already (limits.models)", self.limits.models);
        ensure!(self.find(&publication).is_none(), "this publication is in service already");
        Ok(description)
    }

    /// Stores a publication, pending; dropping what is returned forgets it.
    ///
    /// # Errors
    /// The store cannot take it.
    pub(crate) async fn put(&self, description: Description, weights: Dealt<u64>) -> Result<Pending> {
        let store = self.store.clone();
        let stored = tokio::task::spawn_blocking(move || {
            let words = description.weight_words();
            let [own, next] = [&weights.own, &weights.next].map(|component| component.expand(&[words]));
            let (own, next) = own.as_slice().zip(next.as_slice()).context("components are contiguous")?;
            let bytes = own.iter().chain(next).flat_map(|word| word.to_le_bytes()).collect();
            let Description { info, manifest, .. } = &description;
            let public =
                Public { name: manifest.name.clone(), manifest: info.manifest.clone(), graph: info.graph.clone() };
            store.put(&Record { publication: info.publication, public, weights: Zeroizing::new(bytes) })?;
            Ok::<_, anyhow::Error>(Pending { model: Some(Arc::new(Model::new(description, own, next))), store })
        });
        stored.await.context("storing")?
    }

    /// Puts a pending publication into service, in the place of the model of the same name.
    ///
    /// # Errors
    /// The store cannot be written; the older model stays in service.
    pub(crate) async fn commit(&self, mut pending: Pending) -> Result<Arc<Model>> {
        let _changing = self.changing.lock().await;
        let model = pending.model.take().context("a pending publication has its model")?;
        let (store, id) = (self.store.clone(), model.description.info.publication);
        tokio::task::spawn_blocking(move || store.commit(&id)).await.context("storing")??;
        self.lock().insert(model.description.manifest.name.clone(), model.clone());
        Ok(model)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Model>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A publication that is stored but not in service. Dropped, it is forgotten.
pub(crate) struct Pending {
    model: Option<Arc<Model>>,
    store: Arc<Store>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(model) = &self.model
            && let Err(error) = self.store.remove(&model.description.info.publication)
        {
            tracing::warn!("cannot forget a pending publication before the next start: {error:#}");
        }
    }
}

fn from_bytes(description: Description, bytes: &[u8]) -> Result<Model> {
    let words: Vec<u64> = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let n = description.weight_words();
    if bytes.len() != 16 * n {
        return Err(anyhow!("{} bytes of weight shares where {} belong", bytes.len(), 16 * n));
    }
    Ok(Model::new(description, &words[..n], &words[n..]))
}
