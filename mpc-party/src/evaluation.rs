//! A request for an evaluation, with the network that it is about: a model in service, or one that the client encloses.

use std::sync::Arc;

use mpc_core::Error;
use mpc_core::inference::head::Head;
use mpc_core::inference::secure::Weights;
use mpc_core::model::Graph;
use mpc_core::network::stream;
use mpc_core::plan::session_bytes;
use mpc_core::session::{Id, Mode};
use mpc_core::sharing::{InputRange, RangedShare};
use mpc_core::wire::message::{Code, Evaluate, Question, Refusal, Subject, model_digest};
use mpc_core::wire::peer::listed_digest;
use mpc_core::wire::share;
use quinn::RecvStream;

use crate::catalog::Catalog;
use crate::config::Limits;
use crate::gallery::Gallery;
use crate::model::{self, Description, Model, not_in_service};

/// The name of an enclosed network in logs and metrics. No model can have it.
const ENCLOSED: &str = "(enclosed)";

/// A request whose network is known.
pub(crate) struct Evaluation {
    /// The request.
    pub(crate) request: Evaluate,
    /// The digest of everything that the answer relies on in the list; the parties compare it before the session.
    pub(crate) listed: Id,
    target: Target,
}

/// The network, and the gallery that its outputs are compared with.
enum Target {
    /// A model in service, with the gallery that the question names.
    Published(Arc<Model>, Option<Arc<Gallery>>),
    /// The client's own graph, and its digest.
    Enclosed(Arc<Graph>, Id),
}

/// This party's part of the client's shares.
pub(crate) struct Shares {
    pub(crate) input: RangedShare,
    /// The weights of an enclosed network.
    pub(crate) enclosed: Option<Weights>,
}

impl Evaluation {
    /// Finds the network that a tenant's `request` is about.
    ///
    /// # Errors
    /// There is no such publication or gallery, or the graph is not valid.
    pub(crate) fn find(catalog: &Catalog, tenant: &str, request: Evaluate) -> Result<Self, Refusal> {
        let target = Target::find(catalog, tenant, &request)?;
        Ok(Self { listed: target.listed(tenant), request, target })
    }

    /// The name of the network, for logs and metrics.
    pub(crate) fn name(&self) -> &str {
        match &self.target {
            Target::Published(model, _) => &model.description.manifest.name,
            Target::Enclosed(..) => ENCLOSED,
        }
    }

    /// The weakest security that the owner of the weights allows.
    pub(crate) fn minimum(&self) -> Mode {
        match &self.target {
            Target::Published(model, _) => model.description.manifest.security,
            // The client owns the weights, and has chosen.
            Target::Enclosed(..) => Mode::Passive,
        }
    }

    /// The digest of the network, which the parties compare before the session.
    pub(crate) fn digest(&self) -> Id {
        match &self.target {
            Target::Published(model, _) => model.description.digest,
            Target::Enclosed(_, digest) => *digest,
        }
    }

    /// The graph to evaluate.
    pub(crate) fn graph(&self) -> &Graph {
        match &self.target {
            Target::Published(model, _) => &model.description.graph,
            Target::Enclosed(graph, _) => graph,
        }
    }

    /// This party's share of the weights, which may be `enclosed`.
    ///
    /// # Errors
    /// None in practice: the client has shared what the [demand](Evaluation::demand) named.
    pub(crate) fn weights<'a>(&'a self, enclosed: Option<&'a Weights>) -> Result<&'a Weights, Error> {
        match &self.target {
            Target::Published(model, _) => Ok(&model.weights),
            Target::Enclosed(..) => enclosed.ok_or_else(|| Error::invalid("weights", "did not come with the input")),
        }
    }

    /// The head that answers the question.
    ///
    /// # Errors
    /// The question does not suit the model or its gallery.
    pub(crate) fn head(&self) -> Result<Head<'_>, Error> {
        match &self.target {
            Target::Published(model, gallery) => {
                let templates = gallery.as_ref().and_then(|gallery| gallery.templates.as_ref());
                let Description { manifest, graph, .. } = &model.description;
                Head::new(&self.request.question, manifest, graph, self.request.windows.len(), templates)
            }
            Target::Enclosed(..) => Ok(Head::Outputs),
        }
    }

    /// The shares that the client must send, of at most `words` words, and the memory that the session may need.
    ///
    /// # Errors
    /// The limit that the request exceeds.
    pub(crate) fn demand(&self, limits: &Limits, words: usize) -> Result<Demand, Refusal> {
        let request = &self.request;
        let head = self.head().map_err(|e| Code::Invalid.because(e.to_string()))?;
        let graph = self.graph();
        let most = graph.max_windows();
        let in_range = |&n: &u32| (1..=most).contains(&n);
        if request.windows.is_empty() {
            return Err(Code::Invalid.because("the request has no input"));
        }
        if !request.windows.iter().all(in_range) {
            return Err(Code::Invalid.because(format!("an input of this model has 1 to {most} windows")));
        }
        let batch = request.windows.iter().fold(0usize, |sum, &n| sum.saturating_add(n as usize));
        if batch > limits.batch {
            let reason = format!("{batch} windows at once, this party takes at most {} (limits.batch)", limits.batch);
            return Err(Code::TooLarge.because(reason));
        }
        let enclosed = match &self.target {
            Target::Published(..) => None,
            Target::Enclosed(graph, _) => Some(graph.clone()),
        };
        let input = graph.input().full_shape(batch);
        let weights = enclosed.as_deref().map_or(0, model::weight_words);
        let shared = input.iter().fold(1usize, |product, &side| product.saturating_mul(side)).saturating_add(weights);
        if shared > words {
            return Err(Code::TooLarge.because("the input exceeds this client's limit (input_mib)"));
        }
        let search = head.search(graph, request.windows.len());
        let bytes = session_bytes(graph, batch, search, request.security).saturating_add(32 * weights as u64);
        let mib = bytes.div_ceil(1 << 20);
        for (allowed, whom) in
            [(limits.session_mib, "one (limits.session_mib)"), (limits.memory_mib, "all together (limits.memory_mib)")]
        {
            if mib > allowed {
                return Err(Code::TooLarge.because(format!(
                    "the question needs about {mib} MiB while it is computed, and this party allows {allowed} MiB for {whom}; \
                     ask about fewer inputs at once"
                )));
            }
        }
        // Configured limits are far below.
        let mib = u32::try_from(mib).unwrap_or(u32::MAX);
        Ok(Demand { input, range: graph.input_range(), enclosed, mib })
    }
}

impl Target {
    fn find(catalog: &Catalog, tenant: &str, request: &Evaluate) -> Result<Self, Refusal> {
        match &request.subject {
            Subject::Published(publication) => {
                let model = catalog.find(tenant, publication).ok_or_else(not_in_service)?;
                let gallery = gallery(catalog, &model, request)?;
                Ok(Self::Published(model, gallery))
            }
            Subject::Enclosed(encoded) => {
                if request.question != Question::Output {
                    let reason = "the only question about an enclosed network is for its output";
                    return Err(Code::Invalid.because(reason));
                }
                Ok(Self::Enclosed(Arc::new(model::graph(encoded)?), model_digest("", encoded)))
            }
        }
    }

    /// The digest of everything that an answer for this tenant relies on in the list.
    fn listed(&self, tenant: &str) -> Id {
        match self {
            Self::Published(model, gallery) => {
                let gallery = gallery.as_ref().map(|gallery| &gallery.digest);
                let (name, publication) = (&model.description.manifest.name, &model.publication);
                listed_digest(&model.tenant, name, publication, model.revision, gallery)
            }
            Self::Enclosed(..) => listed_digest(tenant, "", &Id::default(), 0, None),
        }
    }
}

/// The gallery that a question names, with all its templates, if they suit the security asked for.
fn gallery(catalog: &Catalog, model: &Model, request: &Evaluate) -> Result<Option<Arc<Gallery>>, Refusal> {
    let (Question::Is { gallery: digest, .. } | Question::Who { gallery: digest }) = &request.question else {
        return Ok(None);
    };
    let gallery = catalog.gallery(model)?;
    if gallery.digest != *digest {
        return Err(Code::GalleryChanged.because("the gallery has changed since you looked; ask again"));
    }
    if let Some(problem) = gallery.problem() {
        return Err(Code::Incomplete.because(problem));
    }
    gallery.check_security(request.security)?;
    Ok(Some(gallery))
}

/// The shares and the memory that a session needs.
pub(crate) struct Demand {
    /// Shape of the input.
    input: Vec<usize>,
    /// The range that the input is dealt for.
    range: InputRange,
    /// The graph whose weights the client shares too.
    enclosed: Option<Arc<Graph>>,
    /// Memory during the computation, in MiB.
    pub(crate) mib: u32,
}

impl Demand {
    /// Reads the shares that the client sends.
    ///
    /// # Errors
    /// Those of [`stream::receive_dealt`].
    pub(crate) async fn receive(&self, recv: &mut RecvStream) -> std::io::Result<Shares> {
        let input = stream::receive_dealt(recv, &self.input, self.range.bytes()).await?;
        let enclosed = match &self.enclosed {
            Some(graph) => {
                let dealt = stream::receive_dealt(recv, &[model::weight_words(graph)], share::WORD).await?;
                Some(model::weights(graph, &dealt))
            }
            None => None,
        };
        Ok(Shares { input: RangedShare::from_dealt(&input, &self.input, self.range), enclosed })
    }
}
