//! `filter`: a picture in, a picture out.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use mpc_client::answer::Cost;
use mpc_client::filter::{self, Filtered, Stencil};
use mpc_client::{Error, Mode, Result};
use serde::Serialize;

use super::{Needed, ask_within, blocking, inputs};
use crate::cli::{FilterArgs, Global};
use crate::output::{Progress, print_json, print_summary};

/// Maximum bytes read of a kernel's file.
const MAX_KERNEL: u64 = 1 << 16;

/// The output with `--json`.
#[derive(Serialize)]
struct Written<'a> {
    command: &'static str,
    input: &'a Path,
    output: &'a Path,
    width: usize,
    height: usize,
    tiles: usize,
    security: Option<Mode>,
    #[serde(flatten)]
    cost: Cost,
}

/// Filters a picture and writes it to a file, replacing an existing one.
///
/// # Errors
/// [`Error::Usage`] and [`Error::Input`] before anybody is asked, where the kernel or a file cannot be used; those of
/// the session.
pub(crate) async fn run(global: &Global, args: &FilterArgs) -> Result<()> {
    if global.csv {
        return Err(Error::Usage("a filter answers with a picture: leave --csv out".into()));
    }
    let png = args.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    if !png {
        let reason = "only PNG keeps every value as it is: give --output a name that ends in .png";
        return Err(Error::Usage(format!("{}: {reason}", args.output.display())));
    }
    let folder = args.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(Error::Usage(format!("{}: there is no such folder to write to", folder.display())));
    }
    let (start, kernel) = (Instant::now(), kernel(&args.kernel)?);
    let input = inputs::one(args.input.clone()).await?;
    let picture = blocking(move || input.picture()).await?;
    let filtered = if global.clear {
        let progress = Progress::start();
        progress.say("filtering in the clear");
        blocking(move || filter::clear(&kernel, &picture)).await?
    } else {
        // Each tile is a question.
        let timeout = global.timeout.saturating_mul(filter::tiles(&picture) as u32);
        ask_within(timeout, global, Needed::None, async |client, progress| {
            let done = |done, tiles| progress.say(format!("tile {done} of {tiles}"));
            client.filter(&kernel, &picture, args.trust.security.into(), global.timeout, done).await
        })
        .await?
    };
    let Filtered { picture, tiles, security, rounds, bytes_sent } = filtered;
    let ([width, height], output) = (picture.size(), args.output.clone());
    let write = move || std::fs::write(&output, picture.to_png()?).map_err(|e| Error::file(&output, e));
    blocking(write).await?;
    let cost = Cost { elapsed_ms: start.elapsed().as_millis() as u64, rounds, bytes_sent };
    if global.json {
        let (input, output) = (&args.input, &args.output);
        return print_json(&Written { command: "filter", input, output, width, height, tiles, security, cost });
    }
    let (done, asked) = (format!("{} written", args.output.display()), args.trust.security.into());
    print_summary(&done, security, security.is_some_and(|security| security > asked), &cost)
}

/// The kernel of that name, with those numbers, or in that file.
fn kernel(name: &str) -> Result<Stencil> {
    name.parse().or_else(|reason: Error| {
        let mut text = String::new();
        let read = File::open(name).and_then(|file| file.take(MAX_KERNEL).read_to_string(&mut text));
        read.map_err(|e| Error::Usage(format!("{reason}; nor can a file of that name be read: {e}")))?;
        text.parse().map_err(|e| Error::Usage(format!("{name}: {e}")))
    })
}
