//! Output for people and scripts.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mpc_client::answer::{Cost, InputResult, Outcome};
use mpc_client::{Answer, Error, Mode, Result};
use mpc_core::wire::message::Code;
use owo_colors::OwoColorize;
use serde::Serialize;

use crate::hint::with_hint;

/// Prints labels, one per line, and a dimmed line with the cost.
pub(crate) fn print_answer(answer: &Answer) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let mut err = anstream::stderr().lock();
    for InputResult { input, outcome, score, .. } in &answer.results {
        let cosine = score.map(|score| format!(" (cosine {score:.3})")).unwrap_or_default();
        match outcome {
            Outcome::Label(label) if answer.results.len() == 1 => writeln!(out, "{}{cosine}", label.bold()),
            Outcome::Label(label) => writeln!(out, "{input}: {}{cosine}", label.bold()),
            Outcome::Error(reason) => writeln!(err, "{} {input}: {reason}", "error:".red().bold()),
        }
        .map_err(closed)?;
    }
    drop((out, err));
    print_summary(&format!("{} answered", answer.model), answer.security, answer.raised, &answer.cost)
}

/// Prints a CSV table: a header, and a line for each result.
pub(crate) fn print_csv(answer: &Answer) -> Result<()> {
    let mut table = csv::Writer::from_writer(anstream::stdout().lock());
    let failed = |e: csv::Error| Error::System(format!("standard output: {e}"));
    table.write_record(["input", "with", "label", "cosine", "error"]).map_err(failed)?;
    for InputResult { input, with, outcome, score } in &answer.results {
        let (label, error) = match outcome {
            Outcome::Label(label) => (label.as_str(), ""),
            Outcome::Error(reason) => ("", reason.as_str()),
        };
        let cosine = score.map(|score| score.to_string()).unwrap_or_default();
        table.write_record([input, with.as_deref().unwrap_or(""), label, &cosine, error]).map_err(failed)?;
    }
    table.flush().map_err(closed)
}

/// Prints a dimmed line with the cost, if servers were asked. `raised` says whether the security is stricter than asked
/// for.
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

/// Prints one line that says why there is no answer, and with `--json` an object with the same content.
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
        // Standard error has the line in any case; if both are closed, nobody can be told.
        let _ = print_json(&Failure { command, kind: error.kind(), code: error.code().map(Code::name), error: &line });
    }
    print_error(&line);
}

/// Prints one line on standard error.
pub(crate) fn print_error(line: &str) {
    let _ = writeln!(anstream::stderr(), "{} {line}", "error:".red().bold());
}

/// Prints one line on standard error about a problem that does not stop the work yet.
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

    /// A spinner that shows nothing.
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), _appear: None }
    }

    /// Shows what is being done now.
    pub(crate) fn say(&self, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.bar.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
