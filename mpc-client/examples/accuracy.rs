//! How often models answer correctly, in the clear and on three servers: mpc-core and mpc-client used as libraries.
//!
//! ```sh
//! cargo build --release --bin mpc-client
//! cargo run --release --example accuracy -- models/face face.csv models/speaker-verify pairs.csv
//! ```
//!
//! After each model comes a list of questions: a CSV file with the columns `file` and `label`, or `first`, `second` and
//! `same` (1 or 0) for a model that compares. `docs/accuracy.sh` makes such lists of the test splits, named after the
//! data sets, and the table of `docs/accuracy.md`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mpc_client::preprocess::{Options, prepare};
use mpc_client::{Client, Dealing, Encoded, Evaluation, Mode, Model, clear};
use mpc_client_local::LocalCluster;
use mpc_core::model::manifest::VERDICTS;

/// Windows in one question.
const BATCH: usize = 24;

/// Generous, because a busy machine is not a failure.
const TIMEOUT: Duration = Duration::from_secs(600);

type Error = Box<dyn std::error::Error>;

/// Inputs of one question, and the right answer.
struct Case {
    inputs: Vec<Encoded>,
    /// Windows of all its inputs.
    windows: usize,
    label: String,
}

/// The answers in the clear and from the servers, in the order of the cases.
struct Answers {
    clear: Vec<String>,
    secure: Vec<String>,
    /// The time on the servers.
    elapsed: Duration,
}

fn main() -> Result<(), Error> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if arguments.is_empty() || arguments.len() % 2 == 1 {
        return Err("usage: accuracy MODEL LIST.csv [MODEL LIST.csv ...]".into());
    }
    let program = std::env::current_exe()?.ancestors().nth(2).ok_or("no folder above the program")?.join("mpc-client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut out = anstream::stdout();
    let mut say = |line: String| std::io::Write::write_all(&mut out, format!("{line}\n").as_bytes());
    say("| model | data | asked | right in the clear | right on three servers | other answers | seconds each |".into())?;
    say("|---|---|---|---|---|---|---|".into())?;
    for pair in arguments.chunks_exact(2) {
        let owned = mpc_core::model::Model::load(&pair[0])?;
        let cases = cases(&Model::owned(&owned), &pair[1])?;
        let answers = runtime.block_on(answers(&program, &owned, &cases))?;
        let n = cases.len() as f64;
        let right =
            |answers: &[String]| answers.iter().zip(&cases).filter(|(answer, case)| **answer == case.label).count();
        let other = answers.clear.iter().zip(&answers.secure).filter(|(clear, secure)| clear != secure).count();
        say(format!(
            "| {} | {} | {n} | {:.4} | {:.4} | {other} | {:.2} |",
            owned.manifest.name,
            pair[1].file_stem().unwrap_or_default().display(),
            right(&answers.clear) as f64 / n,
            right(&answers.secure) as f64 / n,
            answers.elapsed.as_secs_f64() / n
        ))?;
    }
    Ok(())
}

/// Asks the model itself, and three servers that are started for it, with active security.
async fn answers(program: &Path, owned: &mpc_core::model::Model, cases: &[Case]) -> Result<Answers, Error> {
    let mut servers = LocalCluster::start(program)?;
    let client = servers.connect().await?;
    client.publish(owned, &Dealing::fresh()?, false).await?;
    let model = client.model(&owned.manifest.name).await?;
    let mut answers = Answers { clear: Vec::new(), secure: Vec::new(), elapsed: Duration::ZERO };
    let most = cases.iter().map(|case| case.windows).max().unwrap_or(1);
    for cases in cases.chunks((BATCH / most).max(1)) {
        let inputs: Vec<Encoded> = cases.iter().flat_map(|case| case.inputs.iter().cloned()).collect();
        let started = Instant::now();
        let secure = ask(&client, &model, &inputs).await?;
        answers.elapsed += started.elapsed();
        let clear = if model.manifest.task.compares() {
            clear::compare(owned, &inputs)
        } else {
            clear::classify(owned, &inputs)
        };
        answers.secure.extend(labels(&model, &secure));
        answers.clear.extend(labels(&model, &clear?));
    }
    client.close().await;
    Ok(answers)
}

async fn ask(client: &Client, model: &Model, inputs: &[Encoded]) -> mpc_client::Result<Evaluation> {
    if model.manifest.task.compares() {
        client.compare(model, inputs, Mode::Active, TIMEOUT).await
    } else {
        client.classify(model, inputs, Mode::Active, TIMEOUT).await
    }
}

fn labels(model: &Model, evaluation: &Evaluation) -> Vec<String> {
    evaluation.predictions.iter().map(|prediction| model.label(prediction).to_owned()).collect()
}

/// The questions in a list, prepared for the model.
fn cases(model: &Model, list: &Path) -> Result<Vec<Case>, Error> {
    let mut reader = csv::Reader::from_path(list)?;
    let compares = model.manifest.task.compares();
    let expected = if compares { vec!["first", "second", "same"] } else { vec!["file", "label"] };
    if reader.headers()? != expected {
        return Err(format!("{}: the columns must be {}", list.display(), expected.join(", ")).into());
    }
    let input =
        |file: &str| prepare(&model.manifest, Path::new(file), Options::default()).map_err(|e| format!("{file}: {e}"));
    let case = |row: csv::Result<csv::StringRecord>| -> Result<Case, Error> {
        let row = row?;
        let label = match (compares, &row[expected.len() - 1]) {
            (true, same) => VERDICTS[usize::from(same != "1")].to_owned(),
            (false, label) => label.to_owned(),
        };
        let prepared = row.iter().take(expected.len() - 1).map(input).collect::<Result<Vec<_>, _>>()?;
        let windows = prepared.iter().map(|input| input.windows).sum();
        let inputs = prepared.iter().map(|input| model.encode(&input.features)).collect::<Result<_, _>>()?;
        Ok(Case { inputs, windows, label })
    };
    reader.records().map(case).collect()
}
