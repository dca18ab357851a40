//! Everything that asks about files: labels, verdicts, matches.

use std::path::{Path, PathBuf};
use std::time::Instant;

use mpc_client::preprocess::{self, Options};
use mpc_client::{Client, Encoded, Error, Evaluation, Mode, Model, Result};

use super::{Needed, ask, blocking};
use crate::cli::Global;
use crate::output::{Answer, Cost, InputResult, Outcome};

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

/// Asks about all `files` in one session. A file that cannot be used gets an error of its own; where all files make one answer
/// together, there is none.
pub(crate) async fn run(global: &Global, job: Job<'_>, files: Vec<PathBuf>) -> Result<Answer> {
    let start = Instant::now();
    ask(global, Needed::One(job.model), async |client, progress| {
        let model = client.model(job.model).await?;
        progress.say(format!("preparing {} inputs", files.len()));
        let prepared = prepare(&model, files.clone(), job.options).await?;
        let good: Vec<Encoded> = prepared.iter().filter_map(|input| input.as_ref().ok()).cloned().collect();
        let together = matches!(job.question, Question::Same);
        if let (true, Some(error)) = (together, first_error(&files, &prepared)) {
            return Err(error);
        }
        let mut answer = Answer::new(job.command, &model, job.security);
        let mut outcomes = Vec::new().into_iter();
        if !good.is_empty() {
            progress.say(format!("asking {} about {} inputs", job.model, good.len()));
            let (labels, evaluation) = outcome(client, global, &model, &job, &good).await?;
            if let Some(evaluation) = evaluation {
                (answer.security, answer.cost) = (evaluation.security, Cost::of(&evaluation, start.elapsed()));
            }
            outcomes = labels.into_iter();
        }
        let missing = || Error::Internal("an input has no answer".into());
        if together {
            let (outcome, score) = outcomes.next().ok_or_else(missing)?;
            let [first, second] =
                [0, 1].map(|i| files.get(i).map(|file| file.display().to_string()).unwrap_or_default());
            answer.results = vec![InputResult { input: first, with: Some(second), outcome, score }];
        } else {
            for (file, input) in files.iter().zip(prepared) {
                let (outcome, score) = match input {
                    Ok(_) => outcomes.next().ok_or_else(missing)?,
                    Err(reason) => (Outcome::Error(reason), None),
                };
                answer.results.push(InputResult { input: file.display().to_string(), with: None, outcome, score });
            }
        }
        answer.cost.elapsed_ms = start.elapsed().as_millis() as u64;
        Ok(answer)
    })
    .await
}

type Labels = Vec<(Outcome, Option<f64>)>;

/// The answers to the question, with the cosine where the model reveals it.
async fn outcome(
    client: &Client,
    global: &Global,
    model: &Model,
    job: &Job<'_>,
    inputs: &[Encoded],
) -> Result<(Labels, Option<Evaluation>)> {
    let (security, timeout) = (job.security, global.timeout);
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
    let compares = model.manifest.task.compares();
    let label = |prediction: &mpc_client::Prediction| {
        let cosine = prediction.scores.as_ref().filter(|_| compares).map(|scores| scores[0]);
        (Outcome::Label(model.label(prediction).to_owned()), cosine)
    };
    Ok((evaluation.predictions.iter().map(label).collect(), Some(evaluation)))
}

/// Files in fixed point, or for each the line that says why not.
pub(crate) async fn prepare(
    model: &Model,
    files: Vec<PathBuf>,
    options: Options,
) -> Result<Vec<Result<Encoded, String>>> {
    let model = model.clone();
    blocking(move || Ok(files.iter().map(|file| prepare_one(&model, file, options)).collect())).await
}

fn prepare_one(model: &Model, file: &Path, options: Options) -> Result<Encoded, String> {
    let prepared = preprocess::prepare(&model.manifest, file, options).map_err(|e| e.to_string())?;
    model.encode(&prepared.features).map_err(|e| e.to_string())
}

/// The first file that cannot be used, where all are needed.
pub(crate) fn first_error(files: &[PathBuf], prepared: &[Result<Encoded, String>]) -> Option<Error> {
    let mut failed = files.iter().zip(prepared).filter_map(|(file, input)| Some((file, input.as_ref().err()?)));
    failed.next().map(|(file, reason)| Error::Input(format!("{}: {reason}", file.display())))
}
