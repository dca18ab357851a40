//! A model as a party holds it: the checked public part, and the party's share of the weights.

use mpc_core::inference::secure::Weights;
use mpc_core::model::{Graph, Manifest};
use mpc_core::ring::Tensor;
use mpc_core::session::Id;
use mpc_core::sharing::{ArithmeticShare, Dealt};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Code, ModelInfo, Refusal, model_digest};

use crate::config::Limits;

/// The public part of a model, checked.
pub(crate) struct Description {
    /// The manifest as it was published.
    text: String,
    /// The graph as it was published.
    encoded: Vec<u8>,
    /// The publisher's declarations.
    pub(crate) manifest: Manifest,
    /// The graph to evaluate.
    pub(crate) graph: Graph,
    /// The digest of both, which the parties compare before a session.
    pub(crate) digest: Id,
}

impl Description {
    /// Checks the description of a model by a publisher, who need not be honest.
    ///
    /// # Errors
    /// The field or node that is wrong, or the limit that is exceeded.
    pub(crate) fn new(text: &str, encoded: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let invalid = |reason: String| Err(Code::Invalid.because(reason));
        let manifest = Manifest::parse(text).map_err(|e| Code::Invalid.because(e.to_string()))?;
        let graph = graph(encoded)?;
        let (stated, computed) = (&manifest.input.shape, &graph.input().shape);
        if stated != computed {
            return invalid(format!("the manifest's input has shape {stated:?}, the graph's {computed:?}"));
        }
        let (stated, computed) = (manifest.input.frac_bits, graph.input().frac_bits);
        if stated != computed {
            return invalid(format!("the manifest's input has {stated} fractional bits, the graph's {computed}"));
        }
        let (declared, bounded) = (manifest.input.dealt(), graph.input_range());
        if declared != bounded {
            return invalid(format!(
                "inputs within the manifest's range of +-{} are dealt with {} bits, the graph is made for {}: compile and publish the \
                 model again",
                manifest.input.range,
                declared.component_bits(),
                bounded.component_bits()
            ));
        }
        let (declared, computed) = (manifest.outputs(), &graph.output().shape);
        if *computed != [declared] {
            return invalid(format!("the manifest declares {declared} outputs, the graph's have shape {computed:?}"));
        }
        let digest = model_digest(text, encoded);
        let description = Self { text: text.to_owned(), encoded: encoded.to_vec(), digest, manifest, graph };
        let (words, limit) = (description.weight_words(), limits.model_words());
        if words > limit {
            let reason = format!("the model has {words} weights, this party takes at most {limit} (limits.model_mib)");
            return Err(Code::TooLarge.because(reason));
        }
        Ok(description)
    }

    /// Number of weights.
    pub(crate) fn weight_words(&self) -> usize {
        weight_words(&self.graph)
    }
}

/// A model in service.
pub(crate) struct Model {
    /// The publication.
    pub(crate) publication: Id,
    /// The tenant that owns it.
    pub(crate) tenant: String,
    /// The revision that put it into service; 0 before that.
    pub(crate) revision: u64,
    /// The public part.
    pub(crate) description: Description,
    /// This party's share of the weights, in the order of the graph.
    pub(crate) weights: Weights,
}

impl Model {
    /// Joins the public part with the dealt share of all weights, one flat vector.
    ///
    /// # Panics
    /// If the vector is not as long as [`Description::weight_words`].
    pub(crate) fn new(
        publication: Id,
        tenant: String,
        revision: u64,
        description: Description,
        dealt: &Dealt<u64>,
    ) -> Self {
        let weights = weights(&description.graph, dealt);
        Self { publication, tenant, revision, description, weights }
    }

    /// The public part, as the tenant's clients receive it.
    pub(crate) fn info(&self) -> ModelInfo {
        let Description { text, encoded, .. } = &self.description;
        ModelInfo {
            publication: self.publication,
            revision: self.revision,
            manifest: text.clone(),
            graph: encoded.clone(),
        }
    }
}

/// Decodes and checks the graph of a client, who need not be honest.
///
/// # Errors
/// The node that is wrong.
pub(crate) fn graph(encoded: &[u8]) -> Result<Graph, Refusal> {
    let checked = |graph: Graph| graph.validate().and_then(|()| graph.check_served()).map(|()| graph);
    let graph = codec::decode(encoded).and_then(checked);
    graph.map_err(|e| Code::Invalid.because(format!("graph: {e}")))
}

/// Number of weights of a graph.
pub(crate) fn weight_words(graph: &Graph) -> usize {
    let sizes = graph.weights.iter().map(|spec| spec.shape.iter().product::<usize>());
    sizes.fold(0, usize::saturating_add)
}

/// Cuts the dealt share of all weights, one flat vector, into tensors.
///
/// # Panics
/// If the vector is not as long as [`weight_words`].
pub(crate) fn weights(graph: &Graph, dealt: &Dealt<u64>) -> Weights {
    let words = weight_words(graph);
    let [own, next] = [&dealt.own, &dealt.next].map(|component| component.expand(&[words]));
    let mut start = 0;
    let shares = graph.weights.iter().map(|spec| {
        let range = start..start + spec.shape.iter().product::<usize>();
        start = range.end;
        let cut = |flat: &Tensor<u64>| {
            let flat = flat.as_slice().expect("expanded in standard layout");
            Tensor::from_shape_vec(&spec.shape[..], flat[range.clone()].to_vec()).expect("as many as the shape says")
        };
        ArithmeticShare::new(cut(&own), cut(&next))
    });
    Weights::new(shares.collect())
}

/// The refusal of a publication that this party does not serve to the caller.
pub(crate) fn not_in_service() -> Refusal {
    let reason = "no such publication is in service here; it may have been replaced, ask for the models again";
    Code::NotFound.because(reason)
}
