//! A model as a party holds it: the public part, checked, and its share of the weights.

use anyhow::{Context, Result, ensure};
use mpc_core::inference::head::Head;
use mpc_core::inference::secure::Weights;
use mpc_core::model::{Graph, Manifest};
use mpc_core::plan::session_bytes;
use mpc_core::ring::Tensor;
use mpc_core::sharing::{ArithmeticShare, Dealt};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Classify, Id, ModelInfo, model_digest};

use crate::config::Limits;
use crate::gallery::Gallery;

/// The public part of a model, checked.
pub(crate) struct Description {
    /// The manifest as it was published.
    text: String,
    /// The graph as it was published.
    encoded: Vec<u8>,
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
    pub(crate) fn new(text: &str, encoded: &[u8], limits: &Limits) -> Result<Self> {
        let manifest = Manifest::parse(text)?;
        let graph: Graph = codec::decode(encoded).context("graph")?;
        graph.validate()?;
        let (stated, computed) = (&manifest.input.shape, &graph.input().shape);
        ensure!(stated == computed, "the manifest's input has shape {stated:?}, the graph's {computed:?}");
        let (declared, computed) = (manifest.outputs(), &graph.output().shape);
        ensure!(
            *computed == [declared],
            "the manifest declares {declared} outputs, the graph's have shape {computed:?}"
        );
        let digest = model_digest(text, encoded);
        let description = Self { text: text.to_owned(), encoded: encoded.to_vec(), digest, manifest, graph };
        let (words, limit) = (description.weight_words(), limits.model_words());
        ensure!(words <= limit, "the model has {words} weights, this party takes at most {limit} (limits.model_mib)");
        Ok(description)
    }

    /// Number of weights.
    pub(crate) fn weight_words(&self) -> usize {
        let sizes = self.graph.weights.iter().map(|spec| spec.shape.iter().product::<usize>());
        sizes.fold(0, usize::saturating_add)
    }

    /// What `request` asks for.
    ///
    /// # Errors
    /// It does not suit the model, or needs a gallery that it does not have.
    pub(crate) fn head<'a>(&self, request: &Classify, gallery: Option<&'a Gallery>) -> Result<Head<'a>> {
        let (inputs, templates) = (request.windows.len(), gallery.map(|gallery| &gallery.templates));
        Ok(Head::new(&request.question, &self.manifest, inputs, templates)?)
    }

    /// Shape of the input that `request` announces, of at most so many words, and the memory that its session may need, in MiB.
    ///
    /// # Errors
    /// The limit that it exceeds.
    pub(crate) fn demand(
        &self,
        request: &Classify,
        head: &Head<'_>,
        limits: &Limits,
        words: usize,
    ) -> Result<(Vec<usize>, u32)> {
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
        let input = shape.iter().fold(1usize, |product, &side| product.saturating_mul(side));
        ensure!(input <= words, "the input is larger than this client's may be (input_mib)");
        let search = head.search(&self.graph, request.windows.len());
        let mib = session_bytes(&self.graph, batch, search, request.security).div_ceil(1 << 20);
        for (allowed, whom) in
            [(limits.session_mib, "one (limits.session_mib)"), (limits.memory_mib, "all together (limits.memory_mib)")]
        {
            ensure!(
                mib <= allowed,
                "the question needs about {mib} MiB while it is computed, this party allows {allowed} MiB for {whom}; ask \
                 about fewer inputs at once"
            );
        }
        Ok((shape, u32::try_from(mib)?))
    }
}

/// A model in service.
pub(crate) struct Model {
    /// Which publication it is.
    pub(crate) publication: Id,
    /// Whose it is.
    pub(crate) tenant: String,
    /// What its tenant may know.
    pub(crate) description: Description,
    /// This party's share of the weights, in the order of the graph.
    pub(crate) weights: Weights,
}

impl Model {
    /// Cuts the dealt share of all weights, one flat vector, into tensors.
    ///
    /// # Panics
    /// If the vector is not as long as [`Description::weight_words`].
    pub(crate) fn new(publication: Id, tenant: String, description: Description, dealt: &Dealt<u64>) -> Self {
        let words = description.weight_words();
        let [own, next] = [&dealt.own, &dealt.next].map(|component| component.expand(&[words]));
        let mut start = 0;
        let weights = description.graph.weights.iter().map(|spec| {
            let range = start..start + spec.shape.iter().product::<usize>();
            start = range.end;
            let cut = |flat: &Tensor<u64>| {
                let flat = flat.as_slice().expect("expanded in standard layout");
                Tensor::from_shape_vec(&spec.shape[..], flat[range.clone()].to_vec())
                    .expect("as many as the shape says")
            };
            ArithmeticShare::new(cut(&own), cut(&next))
        });
        let weights = Weights::new(weights.collect());
        Self { publication, tenant, description, weights }
    }

    /// As its tenant sees it, put into service by the change of that number.
    pub(crate) fn info(&self, revision: u64) -> ModelInfo {
        let Description { text, encoded, .. } = &self.description;
        ModelInfo { publication: self.publication, revision, manifest: text.clone(), graph: encoded.clone() }
    }
}
