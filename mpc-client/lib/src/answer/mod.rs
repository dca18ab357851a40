//! Questions about files, and their answers in the form of `--json` and the gateway.

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

/// A question about files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'a> {
    /// Which label each file has.
    Label,
    /// Whether two files are of the same person.
    Same,
    /// Which enrolled person each file shows.
    Who,
    /// Whether each file shows that person.
    Is(&'a str),
}

/// One answer to one question about a batch of inputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The command that asked.
    pub command: &'static str,
    /// Name of the model.
    pub model: String,
    /// The security of the answer; `None` where no servers were asked.
    pub security: Option<Mode>,
    /// Whether the security is stricter than asked for.
    #[serde(skip)]
    pub raised: bool,
    /// One entry per input, in the given order; a single entry where two inputs are compared.
    pub results: Vec<InputResult>,
    /// The cost of the answer.
    #[serde(flatten)]
    pub cost: Cost,
}

/// The cost of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Time from the request to the answer for the caller, including connection and preprocessing. The library has no
    /// clock: the caller fills this in.
    pub elapsed_ms: u64,
    /// Rounds between the parties.
    pub rounds: u64,
    /// Payload bytes that each party sent to the others.
    pub bytes_sent: [u64; 3],
}

impl Cost {
    /// The cost of an evaluation that took `elapsed`.
    pub fn of(evaluation: &Evaluation, elapsed: Duration) -> Self {
        let Evaluation { rounds, bytes_sent, .. } = *evaluation;
        Self { elapsed_ms: elapsed.as_millis() as u64, rounds, bytes_sent }
    }
}

/// The result for one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputResult {
    /// The file's name as given.
    pub input: String,
    /// The other file, where two are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// The label, or why there is none.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The cosine, where inputs are compared and the model reveals it.
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

    /// The same answer with the time it took.
    pub fn after(mut self, elapsed: Duration) -> Self {
        self.cost.elapsed_ms = elapsed.as_millis() as u64;
        self
    }

    /// An answer without results, for `command` with `security`.
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
    /// Asks `question` about all inputs that can be used, in one session; `command` is the command that the answer
    /// names. As [`Client::classify`], [`Client::compare`], [`Client::find`] and [`Client::confirm`].
    ///
    /// # Errors
    /// [`Error::Usage`] where the question compares and there are not two inputs; those of these functions.
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

    /// The labels, and the evaluation that found them: `None` where nobody is enrolled.
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

/// The expected result of `Client::answer`, computed here by the model's owner: labels, or whether two inputs are the
/// `same`. Blocks.
///
/// # Errors
/// As `Client::answer`.
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

/// The inputs to ask about: all of them, where they share one answer.
fn usable(question: Question<'_>, inputs: &[Prepared]) -> Result<Vec<Encoded>> {
    match question {
        Question::Same if inputs.len() != 2 => {
            Err(Error::Usage(format!("two recordings are compared, not {}", inputs.len())))
        }
        Question::Same => input::all(inputs.to_vec()),
        _ => Ok(inputs.iter().filter_map(|input| input.encoded.clone().ok()).collect()),
    }
}

/// The result for each input, or for the two that are compared.
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
