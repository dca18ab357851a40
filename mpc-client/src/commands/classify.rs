//! Everything that asks about files: labels, verdicts, matches.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mpc_client::preprocess::Options;
use mpc_client::{Client, Encoded, Error, Evaluation, Mode, Model, Prediction, Result, clear};

use super::inputs::{self, Input};
use super::{Needed, ask, blocking, local_models};
use crate::cli::Global;
use crate::output::{Answer, Cost, InputResult, Outcome, Progress};

/// What is asked, with which model and how.
pub(crate) struct Job<'a> {
    /// The command, as the person who asks knows it.
    pub(crate) command: &'static str,
    /// Name of the model.
    pub(crate) model: &'a str,
    pub(crate) security: Mode,
    pub(crate) options: Options,
    pub(crate) question: Question<'a>,
}

/// What is asked about the files.
pub(crate) enum Question<'a> {
    /// Which label each has.
    Label,
    /// Whether two are of the same person.
    Same,
    /// Which of the persons enrolled each shows.
    Who,
    /// Whether each shows that person.
    Is(&'a str),
}

/// The answer where nobody enrolled matches.
const NOBODY: &str = "nobody";

/// Asks about everything that `arguments` stand for in one session. An input that cannot be used gets an error of its own; where all
/// inputs make one answer together, there is none.
pub(crate) async fn run(global: &Global, job: Job<'_>, arguments: Vec<PathBuf>) -> Result<Answer> {
    if global.clear {
        return run_in_the_clear(global, &job, arguments).await;
    }
    let start = Instant::now();
    ask(global, Needed::One(job.model), async |client, progress| {
        let model = client.model(job.model).await?;
        let inputs = inputs::expand(arguments.clone(), &model.manifest).await?;
        let asking = Asking { client, model: &model, timeout: global.timeout, start };
        asking.answer(&job, inputs, progress).await
    })
    .await
}

/// Whom a question goes to, and since when somebody waits for the answer.
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    pub(crate) model: &'a Model,
    pub(crate) timeout: Duration,
    pub(crate) start: Instant,
}

impl Asking<'_> {
    /// The answer about all inputs, from one session. As [`run`].
    pub(crate) async fn answer(&self, job: &Job<'_>, inputs: Vec<Input>, progress: &Progress) -> Result<Answer> {
        let prepared = gather(job, self.model, &inputs, progress).await?;
        let good: Vec<Encoded> = prepared.iter().filter_map(|input| input.as_ref().ok()).cloned().collect();
        let (mut answer, mut labels) = (Answer::new(job.command, self.model, job.security), Vec::new());
        if !good.is_empty() {
            progress.say(format!("asking {} about {} inputs", job.model, good.len()));
            let (found, evaluation) = self.outcome(job, &good).await?;
            labels = found;
            if let Some(evaluation) = evaluation {
                (answer.security, answer.cost) = (evaluation.security, Cost::of(&evaluation, self.start.elapsed()));
            }
        }
        answer.results = results(job, inputs, prepared, labels)?;
        answer.cost.elapsed_ms = self.start.elapsed().as_millis() as u64;
        Ok(answer)
    }

    /// The answers to the question, with the cosine where the model reveals it.
    async fn outcome(&self, job: &Job<'_>, inputs: &[Encoded]) -> Result<(Labels, Option<Evaluation>)> {
        let Self { client, model, timeout, .. } = *self;
        let security = job.security;
        let evaluation = match job.question {
            Question::Label => client.classify(model, inputs, security, timeout).await?,
            Question::Same => client.compare(model, inputs, security, timeout).await?,
            Question::Is(person) => client.confirm(model, person, inputs, security, timeout).await?,
            Question::Who => {
                let matches = client.find(model, inputs, security, timeout).await?;
                let person = |person: Option<String>| (Outcome::Label(person.unwrap_or_else(|| NOBODY.into())), None);
                return Ok((matches.persons.into_iter().map(person).collect(), matches.evaluation));
            }
        };
        Ok((said(model, &evaluation), Some(evaluation)))
    }
}

/// The same graph on this machine, by whoever has the model's folder.
async fn run_in_the_clear(global: &Global, job: &Job<'_>, arguments: Vec<PathBuf>) -> Result<Answer> {
    if let Question::Who | Question::Is(_) = job.question {
        return Err(Error::Usage("--clear knows nobody: enrolled templates are with the servers, in shares".into()));
    }
    let (start, progress) = (Instant::now(), Progress::start());
    let folder = local_models(global, Needed::One(job.model))?.swap_remove(0);
    let owned = blocking(move || Ok(mpc_core::model::Model::load(&folder)?)).await?;
    let model = Model::owned(&owned);
    let inputs = inputs::expand(arguments, &model.manifest).await?;
    let prepared = gather(job, &model, &inputs, &progress).await?;
    let good: Vec<Encoded> = prepared.iter().filter_map(|input| input.as_ref().ok()).cloned().collect();
    let (mut answer, mut labels) = (Answer::new(job.command, &model, job.security), Vec::new());
    if !good.is_empty() {
        let compares = matches!(job.question, Question::Same);
        let evaluate = move || if compares { clear::compare(&owned, &good) } else { clear::classify(&owned, &good) };
        labels = said(&model, &blocking(evaluate).await?);
    }
    (answer.security, answer.raised) = (None, false);
    answer.results = results(job, inputs, prepared, labels)?;
    answer.cost.elapsed_ms = start.elapsed().as_millis() as u64;
    Ok(answer)
}

/// The inputs, prepared: all of them where they make one answer together.
async fn gather(
    job: &Job<'_>,
    model: &Model,
    inputs: &[Input],
    progress: &Progress,
) -> Result<Vec<Result<Encoded, String>>> {
    progress.say(format!("preparing {} inputs", inputs.len()));
    match job.question {
        Question::Same if inputs.len() != 2 => {
            Err(Error::Usage(format!("two recordings are compared, not {}", inputs.len())))
        }
        Question::Same => Ok(inputs::prepare_all(model, inputs, job.options).await?.into_iter().map(Ok).collect()),
        _ => inputs::prepare(model, inputs, job.options).await,
    }
}

/// What became of each input, or of the two that are compared.
fn results(
    job: &Job<'_>,
    inputs: Vec<Input>,
    prepared: Vec<Result<Encoded, String>>,
    labels: Labels,
) -> Result<Vec<InputResult>> {
    let mut labels = labels.into_iter();
    let mut next = || labels.next().ok_or_else(|| Error::Internal("an input has no answer".into()));
    if let (Question::Same, [first, second]) = (&job.question, &inputs[..]) {
        let (outcome, score) = next()?;
        return Ok(vec![InputResult { input: first.name.clone(), with: Some(second.name.clone()), outcome, score }]);
    }
    let result = |(input, prepared): (Input, Result<Encoded, String>)| {
        let (outcome, score) = match prepared {
            Ok(_) => next()?,
            Err(reason) => (Outcome::Error(reason), None),
        };
        Ok(InputResult { input: input.name, with: None, outcome, score })
    };
    inputs.into_iter().zip(prepared).map(result).collect()
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
