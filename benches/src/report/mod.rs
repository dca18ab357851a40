//! Writes the page of measurements: a template for people to edit, in which tables, plots and single figures come from
//! measured lines of JSON. No figure on the page is typed by hand.
//!
//! The template is `performance.md.in` beside this file. In it, `{{table NAME}}` and `{{plot NAME}}` stand for a whole
//! [table](tables) or [plot](plots), `{{machine}}` for where and when. `{{ms PROGRAM SECURITY LINK}}` stands for one
//! figure; in place of `ms`, `times` (as fast as the rival), `rounds`, `kB`, `MB` (memory) and `by-passive` (the time
//! of active security over that of passive) give other figures of the same measurement; `{{round PROGRAM LINK}}` is the
//! microseconds of a round. A missing measurement appears as a dash.

mod plots;
mod results;
mod tables;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::results::Results;

const TEMPLATE: &str = include_str!("performance.md.in");

/// The text in place of a figure that was not measured.
const MISSING: &str = "–";

#[derive(Args)]
pub(crate) struct ReportArgs {
    /// Lines of JSON as `benches --json` and `kernels --json` print them.
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// The page; its plots go into a folder of the same name without the extension.
    #[arg(long, default_value = "docs/performance.md")]
    output: PathBuf,
}

impl ReportArgs {
    pub(crate) fn run(&self) -> Result<()> {
        let results = Results::read(&self.files)?;
        let folder = self.output.with_extension("");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let page = fill(TEMPLATE, |words| expand(words, &results, &folder))?;
        std::fs::write(&self.output, page).with_context(|| self.output.display().to_string())
    }
}

/// Replaces each text in double braces.
fn fill(template: &str, expand: impl Fn(&[&str]) -> Result<String>) -> Result<String> {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}").context("the template opens braces that it does not close")?;
        let words: Vec<_> = inside.split_whitespace().collect();
        page += before;
        page += &expand(&words).with_context(|| format!("in the template: {{{{{inside}}}}}"))?;
        rest = after;
    }
    Ok(page + rest)
}

fn expand(words: &[&str], results: &Results, folder: &Path) -> Result<String> {
    match *words {
        ["machine"] => Ok(results.machine()),
        ["table", name] => tables::table(name, results),
        ["plot", name] => {
            let file = folder.join(format!("{name}.svg"));
            let title = plots::plot(name, results, &file)?;
            let folder = folder.file_name().unwrap_or_default().to_string_lossy();
            Ok(title.map_or(MISSING.to_owned(), |title| format!("![{title}]({folder}/{name}.svg)")))
        }
        ["round", program, link] => {
            Ok(results.find(program, "", link).map_or(MISSING.to_owned(), tables::microseconds_a_round))
        }
        [figure, program, security, link] => {
            ensure!(["passive", "active", "strict"].contains(&security), "there is no security {security:?}");
            let Some(found) = results.find(program, security, link) else { return Ok(MISSING.to_owned()) };
            let value = match figure {
                "ms" => Some(tables::ms(found.wall_s.median)),
                "times" => found.rival.as_ref().map(|rival| tables::times(rival.ratio)),
                "by-passive" => found.overhead.as_ref().map(|overhead| tables::times(overhead.wall_ratio)),
                "rounds" => Some(found.rounds.to_string()),
                "kB" => Some(tables::kilobytes(found)),
                "MB" => Some(format!("{:.0}", found.peak_rss_mb)),
                _ => bail!("there is no figure {figure:?}"),
            };
            Ok(value.unwrap_or(MISSING.to_owned()))
        }
        _ => bail!("nothing has this name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_asks_only_for_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let page = fill(TEMPLATE, |words| expand(words, &Results::default(), folder.path())).unwrap();
        assert!(page.contains(MISSING) && !page.contains("{{"));
        for wrong in ["{{", "{{nothing}}", "{{table nothing}}", "{{plot nothing}}", "{{ms lenet5 none lan}}"] {
            assert!(fill(wrong, |words| expand(words, &Results::default(), folder.path())).is_err(), "{wrong}");
        }
    }
}
