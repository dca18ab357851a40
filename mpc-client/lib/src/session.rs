//! One question, one session: encode, share, submit to the three, compare the duplicates, reconstruct.

use std::time::Duration;

use mpc_core::model::manifest::{Reveal, UNKNOWN};
use mpc_core::model::{Graph, Manifest};
use mpc_core::ring::fixed;
use mpc_core::ring::{Arithmetic, Boolean, Domain, Tensor};
use mpc_core::session::{Id, Meter, Mode};
use mpc_core::sharing::{InputRange, Share, reconstruct, share, share_ranged};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Evaluate, Question, Reply, Request, Stamp, Subject};
use mpc_core::wire::share::WORD;
use ndarray::{ArrayD, IxDyn};

use crate::connect::{Client, Conversation, Parts, Peer, join};
use crate::error::{Error, Result};
use crate::transport::Transport;

/// A model that all three parties of a cluster serve.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Names this publication of the model.
    pub publication: Id,
    /// The change that put it into service; later changes have greater numbers.
    pub revision: u64,
    /// The model's inputs and outputs.
    pub manifest: Manifest,
    /// The computation.
    pub graph: Graph,
    /// The weakest security for its evaluation: the strictest that its manifest or a party demands.
    pub minimum: Mode,
}

/// An input in fixed point, checked against the range that its model declares.
#[derive(Clone)]
pub struct Encoded {
    pub(crate) windows: u32,
    pub(crate) words: Vec<u64>,
}

/// The answer of the three parties.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// One entry per input.
    pub predictions: Vec<Prediction>,
    /// The security of the predictions; `None` where they were computed in the clear.
    pub security: Option<Mode>,
    /// Rounds between the parties.
    pub rounds: u64,
    /// Payload bytes that each party sent to the others.
    pub bytes_sent: [u64; 3],
}

/// The revealed facts about one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Position in the manifest's labels; one past the last where none applies.
    pub label: usize,
    /// One score per label, where the manifest reveals scores.
    pub scores: Option<Vec<f64>>,
}

/// The terms of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) security: Mode,
    pub(crate) timeout: Duration,
}

/// A session that all three parties have admitted.
struct Admission<'a, T: Transport> {
    session: Id,
    conversations: [Conversation<'a, T>; 3],
    security: Mode,
}

/// An answer of real numbers.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Vec<f64>>,
    pub(crate) security: Option<Mode>,
    pub(crate) rounds: u64,
    pub(crate) bytes_sent: [u64; 3],
}

impl Model {
    /// The label of a prediction, in words.
    pub fn label(&self, prediction: &Prediction) -> &str {
        self.manifest.labels.get(prediction.label).map_or(UNKNOWN, String::as_str)
    }

    /// Encodes features `[windows, sample shape...]` in fixed point.
    ///
    /// # Errors
    /// [`Error::Input`] on another shape, more windows than the model takes, a number that is not finite, or one beyond
    /// the declared range.
    pub fn encode(&self, features: &ArrayD<f32>) -> Result<Encoded> {
        let input = &self.manifest.input;
        let windows = features.shape().first().copied().unwrap_or(0);
        let most = self.manifest.windows.as_ref().map_or(1, |windows| windows.max);
        if features.shape().get(1..) != Some(&input.shape[..]) || !(1..=most).contains(&windows) {
            let (got, name) = (features.shape(), &self.manifest.name);
            return Err(Error::Input(format!(
                "features of shape {got:?} do not fit {name}, which takes 1 to {most} windows of {:?}",
                input.shape
            )));
        }
        let encode = |&value: &f32| {
            if !value.is_finite() {
                return Err(Error::Input("holds a number that is not finite (NaN or infinity)".into()));
            }
            let word = (value.abs() <= input.range).then(|| fixed::encode(value.into(), input.frac_bits)).flatten();
            word.ok_or_else(|| {
                Error::Input(format!("holds {value}, beyond the declared range of +-{} of the model", input.range))
            })
        };
        let words = features.iter().map(encode).collect::<Result<_>>()?;
        Ok(Encoded { windows: windows as u32, words })
    }
}

impl<T: Transport> Client<T> {
    /// The label of each input by `model`, with `security` or the [minimum](Model::minimum), whichever is stricter. The
    /// shares follow the request at once, and a party reads them once it has admitted it; the parties give up after
    /// `timeout`.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Aborted`] where a party says so or is lost, [`Error::Cheating`] where one
    /// deviates, [`Error::Disagreement`] where the parties contradict each other.
    pub async fn classify(
        &self,
        model: &Model,
        inputs: &[Encoded],
        security: Mode,
        timeout: Duration,
    ) -> Result<Evaluation> {
        let terms = Terms { security, timeout };
        let Manifest { labels, unknown, reveal, .. } = &model.manifest;
        match reveal {
            Reveal::Label => {
                let labels = labels.len() + usize::from(unknown.is_some());
                self.positions(model, Question::Label, terms, inputs, [inputs.len(), labels]).await
            }
            Reveal::Scores => {
                let shape = [inputs.len(), labels.len()];
                let rows = self.rows(model, Question::Label, terms, inputs, shape).await?;
                Ok(rows.labels(&model.manifest, inputs))
            }
        }
    }

    /// Whether inputs 2i and 2i + 1 are of the same person, by a `model` that compares: a prediction for each two,
    /// whose label is a position in [`VERDICTS`](mpc_core::model::manifest::VERDICTS) and whose score is the cosine. As
    /// [`Client::classify`].
    ///
    /// # Errors
    /// As there.
    pub async fn compare(
        &self,
        model: &Model,
        inputs: &[Encoded],
        security: Mode,
        timeout: Duration,
    ) -> Result<Evaluation> {
        self.verdicts(model, Question::Same, Terms { security, timeout }, inputs, inputs.len() / 2).await
    }

    /// The verdicts, same or different, for each of `rows` comparisons.
    pub(crate) async fn verdicts(
        &self,
        model: &Model,
        question: Question,
        terms: Terms,
        inputs: &[Encoded],
        rows: usize,
    ) -> Result<Evaluation> {
        let threshold = model.manifest.embedding.as_ref().map_or(1.0, |embedding| embedding.threshold);
        match model.manifest.reveal {
            Reveal::Label => self.positions(model, question, terms, inputs, [rows, 2]).await,
            Reveal::Scores => Ok(self.rows(model, question, terms, inputs, [rows, 1]).await?.verdicts(threshold)),
        }
    }

    /// An answer with one of `candidates` positions for each row.
    pub(crate) async fn positions(
        &self,
        model: &Model,
        question: Question,
        terms: Terms,
        inputs: &[Encoded],
        [rows, candidates]: [usize; 2],
    ) -> Result<Evaluation> {
        let Admission { conversations, security, .. } = self.admit(model, question, terms, inputs).await?;
        let (index, rounds, bytes_sent) = self.output::<Boolean>(conversations, &[rows]).await?;
        let prediction = |&label: &u64| match usize::try_from(label) {
            Ok(label) if label < candidates => Ok(Prediction { label, scores: None }),
            _ => Err(Error::Disagreement(format!("the answer is none of the {candidates} that are possible"))),
        };
        let predictions = index.iter().map(prediction).collect::<Result<_>>()?;
        Ok(Evaluation { predictions, security: Some(security), rounds, bytes_sent })
    }

    /// An answer of real numbers, rounded to [`Manifest::score_bits`].
    async fn rows(
        &self,
        model: &Model,
        question: Question,
        terms: Terms,
        inputs: &[Encoded],
        shape: [usize; 2],
    ) -> Result<Rows> {
        let frac_bits = model.manifest.score_bits(&model.graph);
        let Admission { conversations, security, .. } = self.admit(model, question, terms, inputs).await?;
        let (words, rounds, bytes_sent) = self.output::<Arithmetic>(conversations, &shape).await?;
        let words: Vec<f64> = words.iter().map(|&word| fixed::decode(word, frac_bits)).collect();
        let rows = words.chunks_exact(shape[1]).map(<[f64]>::to_vec).collect();
        Ok(Rows { rows, security: Some(security), rounds, bytes_sent })
    }

    /// Has the parties keep the template of all `inputs`, under the name of the session.
    pub(crate) async fn keep(&self, model: &Model, terms: Terms, inputs: &[Encoded]) -> Result<(Id, Evaluation)> {
        let Admission { session, conversations, security } = self.admit(model, Question::Enrol, terms, inputs).await?;
        let kept = conversations.map(|mut conversation| async move {
            match conversation.reply().await? {
                Reply::Kept { meter } => Ok(meter),
                other => Err(conversation.peer().unexpected(&other)),
            }
        });
        let (rounds, bytes_sent) = spent(&self.join_session(kept).await?);
        Ok((session, Evaluation { predictions: Vec::new(), security: Some(security), rounds, bytes_sent }))
    }

    /// Has the parties admit a question about a published model.
    async fn admit(
        &self,
        model: &Model,
        question: Question,
        terms: Terms,
        inputs: &[Encoded],
    ) -> Result<Admission<'_, T>> {
        let compares = model.manifest.task.compares();
        if compares == (question == Question::Label) {
            return Err(Error::WrongTask { model: model.manifest.name.clone(), compares });
        }
        let security = model.minimum.max(question.minimum()).max(terms.security);
        let request = Evaluate {
            stamp: Stamp::fresh()?,
            subject: Subject::Published(model.publication),
            question,
            windows: inputs.iter().map(|input| input.windows).collect(),
            security,
            timeout_ms: milliseconds(terms.timeout),
        };
        let (input, range) = (batch(model, inputs)?, model.graph.input_range());
        self.submit(request, (&input, range), None).await
    }

    /// The output of the enclosed `graph` on `input` with `security`, and its cost; `inputs` is the batch size.
    /// `weights` are those of the graph, one flat vector.
    pub(crate) async fn enclosed(
        &self,
        graph: &Graph,
        terms: Terms,
        inputs: usize,
        input: &Tensor<u64>,
        weights: &Tensor<u64>,
    ) -> Result<(Tensor<u64>, u64, [u64; 3])> {
        let request = Evaluate {
            stamp: Stamp::fresh()?,
            subject: Subject::Enclosed(codec::encode(graph)?),
            question: Question::Output,
            windows: vec![1; inputs],
            security: terms.security,
            timeout_ms: milliseconds(terms.timeout),
        };
        let admission = self.submit(request, (input, graph.input_range()), Some(weights)).await?;
        self.output::<Arithmetic>(admission.conversations, &graph.output().full_shape(inputs)).await
    }

    /// Submits a request to the three, compares the names of the session they admit, and sends each a share of the
    /// input, and of the weights of an enclosed graph.
    async fn submit(
        &self,
        request: Evaluate,
        (input, range): (&Tensor<u64>, InputRange),
        weights: Option<&Tensor<u64>>,
    ) -> Result<Admission<'_, T>> {
        // A party gets at most two explicit components.
        let bytes = 2 * (range.bytes() * input.len() + WORD * weights.map_or(0, Tensor::len));
        let ahead = self.ahead.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX)).ok();
        let mut dealt = share_ranged(input, range)?.map(|share| vec![(share, range.bytes())]);
        if let Some(weights) = weights {
            let shares = share::<Arithmetic, u64>(weights)?;
            dealt.iter_mut().zip(shares).for_each(|(dealt, share)| dealt.push((share, WORD)));
        }
        let mut dealt = dealt.into_iter();
        let admitted = join(self.parties().map(|peer| {
            let dealt = dealt.next().expect("one for each of the three");
            submit_to(peer, Request::Evaluate(request.clone()), dealt, ahead.is_some())
        }))
        .await?;
        let [session, others @ ..] = admitted.each_ref().map(|(_, session)| *session);
        if others.iter().any(|other| *other != session) {
            return Err(Error::Disagreement("they admitted the request under different names".into()));
        }
        let conversations = admitted.map(|(conversation, _)| conversation);
        Ok(Admission { session, conversations, security: request.security })
    }

    /// Waits for the shares of an output of `shape` and reconstructs it.
    async fn output<D: Domain>(
        &self,
        conversations: [Conversation<'_, T>; 3],
        shape: &[usize],
    ) -> Result<(Tensor<u64>, u64, [u64; 3])> {
        let parts = conversations.map(|conversation| part::<D, T>(conversation, shape));
        let [(p0, m0), (p1, m1), (p2, m2)] = self.join_session(parts).await?;
        let (rounds, bytes_sent) = spent(&[m0, m1, m2]);
        Ok((reconstruct(&[p0, p1, p2])?, rounds, bytes_sent))
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

impl Rows {
    /// Reads the rows as scores: the label of each, or none.
    pub(crate) fn labels(self, manifest: &Manifest, inputs: &[Encoded]) -> Evaluation {
        let least = manifest.unknown.as_ref().map_or(f64::NEG_INFINITY, |unknown| unknown.threshold);
        let thresholds = inputs.iter().map(|input| f64::from(input.windows) * least).collect();
        self.map(thresholds, |scores, threshold| {
            let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
            best.filter(|&best| scores[best] >= threshold).unwrap_or(scores.len())
        })
    }

    /// Reads the rows as cosines: same or different.
    pub(crate) fn verdicts(self, threshold: f64) -> Evaluation {
        let thresholds = vec![threshold; self.rows.len()];
        self.map(thresholds, |cosine, threshold| usize::from(cosine[0] < threshold))
    }

    /// The predictions for the rows, with the position that `label` finds for a row and its threshold.
    fn map(self, thresholds: Vec<f64>, label: impl Fn(&[f64], f64) -> usize) -> Evaluation {
        let Self { rows, security, rounds, bytes_sent } = self;
        let prediction = |(scores, threshold): (Vec<f64>, f64)| Prediction {
            label: label(&scores, threshold),
            scores: Some(scores),
        };
        let predictions = rows.into_iter().zip(thresholds).map(prediction).collect();
        Evaluation { predictions, security, rounds, bytes_sent }
    }
}

fn spent(meters: &[Meter; 3]) -> (u64, [u64; 3]) {
    let rounds = meters.iter().map(|meter| meter.rounds).max().unwrap_or(0);
    (rounds, meters.each_ref().map(|meter| meter.bytes_sent))
}

/// Submits a request to one party and sends it shares, `ahead` of its answer or after it. Returns the session's name as
/// the party states it.
async fn submit_to<T: Transport>(
    peer: &Peer<T>,
    request: Request,
    dealt: Parts,
    ahead: bool,
) -> Result<(Conversation<'_, T>, Id)> {
    let mut conversation = peer.ask(request).await?;
    let reply = if ahead { conversation.deal_ahead(&dealt).await? } else { conversation.reply().await? };
    let Reply::Accepted { session } = reply else { return Err(peer.unexpected(&reply)) };
    if !ahead {
        conversation.deal(&dealt).await?;
    }
    Ok((conversation, session))
}

/// All windows of all inputs as one tensor `[windows, sample shape...]`.
fn batch(model: &Model, inputs: &[Encoded]) -> Result<Tensor<u64>> {
    let windows: usize = inputs.iter().map(|input| input.windows as usize).sum();
    let shape: Vec<usize> = std::iter::once(windows).chain(model.manifest.input.shape.iter().copied()).collect();
    let words = inputs.iter().flat_map(|input| input.words.iter()).copied().collect();
    Tensor::from_shape_vec(IxDyn(&shape), words).map_err(|e| Error::Internal(e.to_string()))
}

/// One party's share of the output.
async fn part<D: Domain, T: Transport>(
    mut conversation: Conversation<'_, T>,
    shape: &[usize],
) -> Result<(Share<D, u64>, Meter)> {
    match conversation.reply().await? {
        Reply::Output { shape: got, meter } if got.iter().map(|&d| d as usize).eq(shape.iter().copied()) => {
            Ok((conversation.share(shape).await?, meter))
        }
        Reply::Output { shape: got, .. } => {
            Err(conversation.peer().broken(format!("an output of shape {got:?} instead of {shape:?}")))
        }
        other => Err(conversation.peer().unexpected(&other)),
    }
}
