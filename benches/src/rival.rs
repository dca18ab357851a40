//! Another program on the same work, between our own runs.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::measurement::Spread;

/// A command that prints a line of JSON like ours, with `program`, `wall_s`, and `max_abs_error` or `max_abs_err`.
pub(crate) struct Rival {
    command: String,
}

/// The fields that we read from its line.
#[derive(Deserialize)]
pub(crate) struct Line {
    program: String,
    pub(crate) wall_s: Spread,
    #[serde(alias = "max_abs_err")]
    pub(crate) max_abs_error: Option<f64>,
}

impl Rival {
    /// In `command`, `{programs}`, `{runs}` and `{link}` stand for the request.
    pub(crate) fn new(command: &str) -> Self {
        Self { command: command.to_owned() }
    }

    /// The rival's result, if it has this program; else its messages, on standard error, say why not.
    pub(crate) fn run(&self, program: &str, runs: u32, link: &str) -> Result<Option<Line>> {
        let command = self.command.replace("{programs}", program);
        let command = command.replace("{runs}", &runs.to_string()).replace("{link}", link);
        let output = Command::new("sh").args(["-c", &command]).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| command.clone())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let line = line.into_iter().find(|line| line.program == program);
        if line.is_none() {
            anstream::eprintln!("warning: {program}: no result of the rival: {} {}", output.status, text.trim_end());
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_line_is_found_among_others() {
        let line = r#"echo start; echo '{"program": "{programs}", "wall_s": {"median": {runs}, "min": 1, "max": 9}, "max_abs_err": 0.5}'"#;
        let found = Rival::new(line).run("lenet5", 3, "lan").unwrap().unwrap();
        assert_eq!((found.wall_s.median, found.max_abs_error), (3.0, Some(0.5)));
        assert!(Rival::new("exit 1").run("lenet5", 3, "lan").unwrap().is_none());
    }
}
