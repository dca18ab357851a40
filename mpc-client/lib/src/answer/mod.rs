//! Questions about files, and their answers as `--json` and the gateway tell them.

mod gallery;
mod models;

use std::time::Duration;

use mpc_core::model;
use mpc_core::session::Mode;
use serde::Serialize;

use crate::clear;
use crate::connect::Client;
use crate::error::{Error, Result};
use crate::input::{self, Prepared};
use crate::session::{Encoded, Evaluation, Model, Prediction};
use crate::transport::Transport;

pub use gallery::{Enrolled, Persons, Removed};
pub use models::{ModelEntry, ModelList};

/// The answer where nobody enrolled matches.
const NOBODY: &str = "nobody";

/// What is asked about files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'a> {
    /// Which label each has.
    Label,
    /// Whether two are of the same person.
    Same,
    /// Which of the persons enrolled each shows.
    Who,
    /// Whether each shows that person.
    Is(&'a str),
}

/// One answer to one question about a batch of inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The command that asked.
    pub command: &'static str,
    /// Name of the model.
    pub model: String,
    /// Which adversary the answer is secure against; none where nobody was asked.
    pub security: Option<Mode>,
    /// Whether that is more than was asked for.
    #[serde(skip)]
    pub raised: bool,
    /// One entry an input, in the order they were given; one in all where two inputs are compared.
    pub results: Vec<InputResult>,
    /// What the answer took.
    #[serde(flatten)]
    pub cost: Cost,
}

/// What an answer took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Time from the request to the answer as its asker sees it, connection and preprocessing included. The library has no
    /// clock: whoever asks fills this in.
    pub elapsed_ms: u64,
    /// Rounds between the parties.
    pub rounds: u64,
    /// Payload bytes that each party sent to the others.
    pub bytes_sent: [u64; 3],
}

impl Cost {
    /// The cost of an evaluation, whose asker has waited for `elapsed`.
    pub fn of(evaluation: &Evaluation, elapsed: Duration) -> Self {
        let Evaluation { rounds, bytes_sent, .. } = *evaluation;
        Self { elapsed_ms: elapsed.as_millis() as u64, rounds, bytes_sent }
    }
}

/// What became of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputResult {
    /// The file as it was named.
    pub input: String,
    /// The other file, where two are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Its label, or why it has none.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The cosine, where things are compared and the model reveals it.
    #[serde(rename = "cosine", skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// A label, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The model's answer.
    Label(String),
    /// Why this input cannot be used.
    Error(String),
}

impl Answer {
    /// Whether every input has a label.
    pub fn complete(&self) -> bool {
        self.results.iter().all(|result| matches!(result.outcome, Outcome::Label(_)))
    }

    /// The same answer, for which its asker has waited for `elapsed`.
    pub fn after(mut self, elapsed: Duration) -> Self {
        self.cost.elapsed_ms = elapsed.as_millis() as u64;
        self
    }

    /// No results yet, asked for by `command` with `security`.
    fn new(command: &'static str, model: &Model, security: Mode) -> Self {
        Self {
            command,
            model: model.manifest.name.clone(),
            security: Some(security.max(model.minimum)),
            raised: model.minimum > security,
            results: Vec::new(),
            cost: Cost::default(),
        }
    }
}

impl<T: Transport> Client<T> {
    /// Asks `question` about all inputs that can be used, in one session; `command` is what the answer names as its cause. As
    /// [`Client::classify`], [`Client::compare`], [`Client::find`] and [`Client::confirm`].
    ///
    /// # Errors
    /// [`Error::Usage`] where the question compares and there are not two inputs; as there.
    pub async fn answer(
        &self,
        command: &'static str,
        model: &Model,
        question: Question<'_>,
        inputs: Vec<Prepared>,
        security: Mode,
        timeout: Duration,
    ) -> Result<Answer> {
        let good = usable(question, &inputs)?;
        let mut answer = Answer::new(command, model, security);
        let mut labels = Vec::new();
        if !good.is_empty() {
            let (said, evaluation) = self.labels(model, question, &good, security, timeout).await?;
            labels = said;
            if let Some(evaluation) = evaluation {
                (answer.security, answer.cost) = (evaluation.security, Cost::of(&evaluation, Duration::ZERO));
            }
        }
        answer.results = results(question, inputs, labels)?;
        Ok(answer)
    }

    /// The labels, and the evaluation that found them: none where nobody is enrolled.
    async fn labels(
        &self,
        model: &Model,
        question: Question<'_>,
        inputs: &[Encoded],
        security: Mode,
        timeout: Duration,
    ) -> Result<(Labels, Option<Evaluation>)> {
        let evaluation = match question {
            Question::Label => self.classify(model, inputs, security, timeout).await?,
            Question::Same => self.compare(model, inputs, security, timeout).await?,
            Question::Is(person) => self.confirm(model, person, inputs, security, timeout).await?,
            Question::Who => {
                let found = self.find(model, inputs, security, timeout).await?;
                let label = |person: Option<String>| (Outcome::Label(person.unwrap_or_else(|| NOBODY.into())), None);
                return Ok((found.persons.into_iter().map(label).collect(), found.evaluation));
            }
        };
        Ok((said(model, &evaluation), Some(evaluation)))
    }
}

/// What [`Client::answer`] should say, computed here by whoever owns the model: labels, or whether two inputs are the `same`.
/// Blocks.
///
/// # Errors
/// As [`Client::answer`].
pub fn in_the_clear(
    command: &'static str,
    owned: &model::Model,
    same: bool,
    inputs: Vec<Prepared>,
    security: Mode,
) -> Result<Answer> {
    let question = if same { Question::Same } else { Question::Label };
    let (good, model) = (usable(question, &inputs)?, Model::owned(owned));
    let mut answer = Answer::new(command, &model, security);
    (answer.security, answer.raised) = (None, false);
    let evaluate = if same { clear::compare } else { clear::classify };
    let labels = if good.is_empty() { Vec::new() } else { said(&model, &evaluate(owned, &good)?) };
    answer.results = results(question, inputs, labels)?;
    Ok(answer)
}

/// The inputs to ask about: all of them where they make one answer together.
fn usable(question: Question<'_>, inputs: &[Prepared]) -> Result<Vec<Encoded>> {
    match question {
        Question::Same if inputs.len() != 2 => {
            Err(Error::Usage(format!("two recordings are compared, not {}", inputs.len())))
        }
        Question::Same => input::all(inputs.to_vec()),
        _ => Ok(inputs.iter().filter_map(|input| input.encoded.clone().ok()).collect()),
    }
}

/// What became of each input, or of the two that are compared.
fn results(question: Question<'_>, inputs: Vec<Prepared>, labels: Labels) -> Result<Vec<InputResult>> {
    let mut labels = labels.into_iter();
    let mut next = || labels.next().ok_or_else(|| Error::Internal("an input has no answer".into()));
    if let (Question::Same, [first, second]) = (question, &inputs[..]) {
        let (outcome, score) = next()?;
        return Ok(vec![InputResult { input: first.name.clone(), with: Some(second.name.clone()), outcome, score }]);
    }
    let result = |Prepared { name, encoded }| {
        let (outcome, score) = match encoded {
            Ok(_) => next()?,
            Err(reason) => (Outcome::Error(reason), None),
        };
        Ok(InputResult { input: name, with: None, outcome, score })
    };
    inputs.into_iter().map(result).collect()
}

type Labels = Vec<(Outcome, Option<f64>)>;

/// The labels of an evaluation, with the cosine where the model compares and reveals it.
fn said(model: &Model, evaluation: &Evaluation) -> Labels {
    let compares = model.manifest.task.compares();
    let label = |prediction: &Prediction| {
        let cosine = prediction.scores.as_ref().filter(|_| compares).map(|scores| scores[0]);
        (Outcome::Label(model.label(prediction).to_owned()), cosine)
    };
    evaluation.predictions.iter().map(label).collect()
}
