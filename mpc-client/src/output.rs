//! What people and scripts read.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use owo_colors::OwoColorize;
use serde::Serialize;

use mpc_client::{Error, Evaluation, Mode, Model, Result};
use mpc_core::wire::message::Code;

use crate::hint::with_hint;

/// One answer to one question about a batch of inputs; with `--json` this is what is printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Answer {
    /// The command that asked.
    pub(crate) command: &'static str,
    /// Name of the model.
    pub(crate) model: String,
    /// Which adversary the answer is secure against; none where nobody was asked.
    pub(crate) security: Option<Mode>,
    /// Whether that is more than was asked for.
    #[serde(skip)]
    pub(crate) raised: bool,
    /// One entry an input, in the order they were given; one in all where two inputs are compared.
    pub(crate) results: Vec<InputResult>,
    /// What it took.
    #[serde(flatten)]
    pub(crate) cost: Cost,
}

/// What an answer took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// From the first byte sent to the reconstructed answer, connection and preprocessing included.
    pub(crate) elapsed_ms: u64,
    /// Rounds between the parties.
    pub(crate) rounds: u64,
    /// Payload bytes that each party sent to the others.
    pub(crate) bytes_sent: [u64; 3],
}

impl Cost {
    /// Of an evaluation, after that time in all.
    pub(crate) fn of(evaluation: &Evaluation, elapsed: Duration) -> Self {
        let Evaluation { rounds, bytes_sent, .. } = *evaluation;
        Self { elapsed_ms: elapsed.as_millis() as u64, rounds, bytes_sent }
    }
}

/// What became of one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct InputResult {
    /// The file as it was named.
    pub(crate) input: String,
    /// The other one, where two are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) with: Option<String>,
    /// Its label, or why it has none.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    /// The cosine, where things are compared and the model reveals it.
    #[serde(rename = "cosine", skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<f64>,
}

/// A label, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// The model's answer.
    Label(String),
    /// Why this input cannot be used.
    Error(String),
}

impl Answer {
    /// No results yet, asked for with `security`.
    pub(crate) fn new(command: &'static str, model: &Model, security: Mode) -> Self {
        Self {
            command,
            model: model.manifest.name.clone(),
            security: Some(security.max(model.minimum)),
            raised: model.minimum > security,
            results: Vec::new(),
            cost: Cost::default(),
        }
    }

    /// Whether every input has a label.
    pub(crate) fn complete(&self) -> bool {
        self.results.iter().all(|result| matches!(result.outcome, Outcome::Label(_)))
    }

    /// Prints labels, one a line, and a quiet line with what it took.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = anstream::stdout().lock();
        let mut err = anstream::stderr().lock();
        for InputResult { input, outcome, score, .. } in &self.results {
            let cosine = score.map(|score| format!(" (cosine {score:.3})")).unwrap_or_default();
            match outcome {
                Outcome::Label(label) if self.results.len() == 1 => writeln!(out, "{}{cosine}", label.bold()),
                Outcome::Label(label) => writeln!(out, "{input}: {}{cosine}", label.bold()),
                Outcome::Error(reason) => writeln!(err, "{} {input}: {reason}", "error:".red().bold()),
            }
            .map_err(closed)?;
        }
        drop((out, err));
        print_summary(&format!("{} answered", self.model), self.security, self.raised, &self.cost)
    }
}

impl Answer {
    /// Prints a table for other programs: a header, and a line for each result.
    pub(crate) fn print_csv(&self) -> Result<()> {
        let mut table = csv::Writer::from_writer(anstream::stdout().lock());
        let failed = |e: csv::Error| Error::System(format!("standard output: {e}"));
        table.write_record(["input", "with", "label", "cosine", "error"]).map_err(failed)?;
        for InputResult { input, with, outcome, score } in &self.results {
            let (label, error) = match outcome {
                Outcome::Label(label) => (label.as_str(), ""),
                Outcome::Error(reason) => ("", reason.as_str()),
            };
            let cosine = score.map(|score| score.to_string()).unwrap_or_default();
            table.write_record([input, with.as_deref().unwrap_or(""), label, &cosine, error]).map_err(failed)?;
        }
        table.flush().map_err(closed)
    }
}

/// Prints a quiet line with what `done` took, where servers were asked; whether the security was `raised` above what was asked for.
pub(crate) fn print_summary(done: &str, security: Option<Mode>, raised: bool, cost: &Cost) -> Result<()> {
    let Cost { elapsed_ms, rounds, bytes_sent } = cost;
    let (Some(security), true) = (security, *rounds > 0) else { return Ok(()) };
    let line = format!(
        "{done} in {:.2} s: {rounds} rounds, {} sent by the three servers, {security} security{}",
        *elapsed_ms as f64 / 1000.0,
        bytes(bytes_sent.iter().sum()),
        if raised { " (the model or a server demands it)" } else { "" },
    );
    writeln!(anstream::stderr(), "{}", line.dimmed()).map_err(closed)
}

fn bytes(n: u64) -> String {
    indicatif::HumanBytes(n).to_string()
}

/// Prints `value` as the one JSON object of this run.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value).map_err(|e| Error::Internal(e.to_string()))?;
    print_line(&line)
}

/// Prints one line on standard output.
pub(crate) fn print_line(line: &str) -> Result<()> {
    writeln!(anstream::stdout(), "{line}").map_err(closed)
}

/// Prints the one line that says why there is no answer, and with `--json` an object that says the same.
pub(crate) fn print_failure(command: &'static str, json: bool, error: &Error) {
    #[derive(Serialize)]
    struct Failure<'a> {
        command: &'static str,
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'static str>,
        error: &'a str,
    }
    let line = with_hint(error);
    if json {
        // Standard error has the line in any case, and nobody is left to tell if both are gone.
        let _ = print_json(&Failure { command, kind: error.kind(), code: error.code().map(Code::name), error: &line });
    }
    print_error(&line);
}

/// Prints one line on standard error.
pub(crate) fn print_error(line: &str) {
    let _ = writeln!(anstream::stderr(), "{} {line}", "error:".red().bold());
}

/// Prints one line on standard error about something that keeps nobody from their work yet.
pub(crate) fn print_warning(line: &str) {
    let _ = writeln!(anstream::stderr(), "{} {line}", "warning:".yellow().bold());
}

fn closed(error: std::io::Error) -> Error {
    Error::System(format!("standard output: {error}"))
}

/// A spinner on standard error that appears, on a terminal, once something takes more than a second.
pub(crate) struct Progress {
    bar: ProgressBar,
    _appear: Option<AbortOnDrop>,
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Progress {
    /// Starts the clock. Needs a tokio runtime.
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a valid template"));
        let appearing = bar.clone();
        let appear = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            appearing.set_draw_target(ProgressDrawTarget::stderr());
            appearing.enable_steady_tick(Duration::from_millis(100));
        });
        Self { bar, _appear: Some(AbortOnDrop(appear)) }
    }

    /// Shows nothing, where nobody looks.
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), _appear: None }
    }

    /// Says what is being done now.
    pub(crate) fn say(&self, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.bar.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
