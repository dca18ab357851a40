//! `emotion` and `classify`: files in, labels out.

use std::path::{Path, PathBuf};
use std::time::Instant;

use mpc_client::preprocess::{self, Options};
use mpc_client::{Encoded, Error, Mode, Model, Result};

use super::{Needed, ask, blocking};
use crate::cli::Global;
use crate::output::{Answer, InputResult, Outcome};

/// Asks `name` about all `files` in one session. A file that cannot be used gets an error of its own.
pub(crate) async fn run(
    global: &Global,
    command: &'static str,
    name: &str,
    security: Mode,
    files: Vec<PathBuf>,
    options: Options,
) -> Result<Answer> {
    let start = Instant::now();
    ask(global, Needed::One(name), async |client, progress| {
        let model = client.model(name).await?;
        progress.say(format!("preparing {} inputs", files.len()));
        let prepared = {
            let (model, files) = (model.clone(), files.clone());
            blocking(move || Ok(files.iter().map(|file| prepare(&model, file, options)).collect::<Vec<_>>())).await?
        };
        let good: Vec<Encoded> = prepared.iter().filter_map(|input| input.as_ref().ok()).cloned().collect();
        let mut answer = Answer {
            command,
            model: model.manifest.name.clone(),
            security: security.max(model.minimum),
            raised: model.minimum > security,
            results: Vec::new(),
            elapsed_ms: 0,
            rounds: 0,
            bytes_sent: [0; 3],
        };
        let mut predictions = Vec::new().into_iter();
        if !good.is_empty() {
            progress.say(format!("asking {name} about {} inputs", good.len()));
            let evaluation = client.classify(&model, &good, security, global.timeout).await?;
            (answer.rounds, answer.bytes_sent) = (evaluation.rounds, evaluation.bytes_sent);
            answer.security = evaluation.security;
            predictions = evaluation.predictions.into_iter();
        }
        for (file, input) in files.iter().zip(prepared) {
            let outcome = match input {
                Ok(_) => {
                    let prediction =
                        predictions.next().ok_or_else(|| Error::Internal("an input has no answer".into()))?;
                    Outcome::Label(model.manifest.labels[prediction.label].clone())
                }
                Err(reason) => Outcome::Error(reason),
            };
            answer.results.push(InputResult { input: file.display().to_string(), outcome });
        }
        answer.elapsed_ms = start.elapsed().as_millis() as u64;
        Ok(answer)
    })
    .await
}

/// One file in fixed point, or the line that says why not.
fn prepare(model: &Model, file: &Path, options: Options) -> Result<Encoded, String> {
    let prepared = preprocess::prepare(&model.manifest, file, options).map_err(|e| e.to_string())?;
    model.encode(&prepared.features).map_err(|e| e.to_string())
}
