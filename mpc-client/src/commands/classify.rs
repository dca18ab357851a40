//! The commands that ask about files: labels, verdicts, matches.

use std::path::PathBuf;
use std::time::Instant;

use mpc_client::preprocess::Options;
use mpc_client::{Answer, Error, Mode, Model, Question, Result, answer};

use super::{Needed, ask, blocking, inputs, local_models};
use crate::cli::Global;
use crate::output::Progress;

/// A question from the command line.
pub(crate) struct Request<'a> {
    /// The command's name for the person who asks.
    pub(crate) command: &'static str,
    /// Name of the model.
    pub(crate) model: &'a str,
    /// The question about the files.
    pub(crate) question: Question<'a>,
    /// The options for the files.
    pub(crate) options: Options,
    /// The weakest security for the answer.
    pub(crate) security: Mode,
}

/// Asks about all inputs that `arguments` name, in one session. An input that cannot be used gets an error of its own;
/// where all inputs share one answer, there is then no answer.
pub(crate) async fn run(global: &Global, request: Request<'_>, arguments: Vec<PathBuf>) -> Result<Answer> {
    if global.clear {
        return run_in_the_clear(global, &request, arguments).await;
    }
    let start = Instant::now();
    let Request { command, model: name, question, options, security } = request;
    let answer = ask(global, Needed::One(name), async |client, progress| {
        let model = client.model(name).await?;
        let inputs = inputs::expand(arguments.clone(), &model.manifest).await?;
        progress.say(format!("preparing {} inputs", inputs.len()));
        let inputs = inputs::prepare(&model, inputs, options).await?;
        progress.say(format!("asking {name} about {} inputs", inputs.len()));
        client.answer(command, &model, question, inputs, security, global.timeout).await
    });
    Ok(answer.await?.after(start.elapsed()))
}

/// Evaluates the same graph on this machine, from the model's folder.
async fn run_in_the_clear(global: &Global, request: &Request<'_>, arguments: Vec<PathBuf>) -> Result<Answer> {
    let Request { command, model, question, options, security } = *request;
    let same = match question {
        Question::Label => false,
        Question::Same => true,
        Question::Who | Question::Is(_) => {
            let reason = "--clear knows nobody: the servers hold the enrolled templates, in shares";
            return Err(Error::Usage(reason.into()));
        }
    };
    let (start, progress) = (Instant::now(), Progress::start());
    let folder = local_models(global, Needed::One(model))?.swap_remove(0);
    let owned = blocking(move || Ok(mpc_core::model::Model::load(&folder)?)).await?;
    let model = Model::owned(&owned);
    let inputs = inputs::expand(arguments, &model.manifest).await?;
    progress.say(format!("preparing {} inputs", inputs.len()));
    let inputs = inputs::prepare(&model, inputs, options).await?;
    let answer = blocking(move || answer::in_the_clear(command, &owned, same, inputs, security)).await?;
    Ok(answer.after(start.elapsed()))
}
