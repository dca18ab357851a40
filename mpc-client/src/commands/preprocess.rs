//! `preprocess`: files to features, exactly as `emotion` and `classify` make them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use mpc_client::preprocess::{self, Options, Prepared};
use mpc_client::{Error, Result};
use mpc_core::model::Manifest;
use serde::Serialize;

use crate::cli::{Global, PreprocessArgs};
use crate::output::{print_error, print_json, print_line};

#[derive(Serialize)]
struct Printed {
    command: &'static str,
    model: String,
    output: String,
    shape: Vec<usize>,
    results: Vec<FileResult>,
}

#[derive(Serialize)]
struct FileResult {
    input: String,
    #[serde(flatten)]
    outcome: FileOutcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum FileOutcome {
    Windows(usize),
    Error(String),
}

/// Writes the features of all files; returns whether every file gave some. If one did not, nothing is written, because
/// the rows would no longer match the files.
pub(crate) fn run(global: &Global, args: &PreprocessArgs) -> Result<bool> {
    let manifest = Manifest::read(&args.model)?;
    let mut files = args.list.as_deref().map(listed).transpose()?.unwrap_or_default();
    files.extend_from_slice(&args.files);
    let prepared = prepare_all(&manifest, &files);
    let good: Vec<&Prepared> = prepared.iter().filter_map(|prepared| prepared.as_ref().ok()).collect();
    let complete = good.len() == files.len();
    let windows = good.iter().map(|prepared| prepared.windows).sum();
    let shape: Vec<usize> = std::iter::once(windows).chain(manifest.input.shape.iter().copied()).collect();
    if complete {
        write_npy(&args.output, &shape, &good).map_err(|e| Error::Usage(format!("{}: {e}", args.output.display())))?;
    }
    let output = args.output.display().to_string();
    if global.json {
        let outcome = |prepared: &Result<Prepared, preprocess::Error>| match prepared {
            Ok(prepared) => FileOutcome::Windows(prepared.windows),
            Err(error) => FileOutcome::Error(error.to_string()),
        };
        let entry = |(file, prepared): (&PathBuf, _)| FileResult {
            input: file.display().to_string(),
            outcome: outcome(prepared),
        };
        let results = files.iter().zip(&prepared).map(entry).collect();
        print_json(&Printed { command: "preprocess", model: manifest.name, output, shape, results })?;
        return Ok(complete);
    }
    for (file, prepared) in files.iter().zip(&prepared) {
        if let Err(error) = prepared {
            print_error(&format!("{}: {error}", file.display()));
        }
    }
    if complete {
        print_line(&format!("{output}: {} files, {windows} windows, float32 {shape:?}", files.len()))?;
    } else {
        print_error(&format!("{output} was not written: remove the files above from the list"));
    }
    Ok(complete)
}

/// The paths in a list, one a line; empty lines are skipped.
fn listed(list: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string(list).map_err(|e| Error::Usage(format!("{}: {e}", list.display())))?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(PathBuf::from).collect())
}

/// Prepares the files on all cores, in order.
fn prepare_all(manifest: &Manifest, files: &[PathBuf]) -> Vec<Result<Prepared, preprocess::Error>> {
    let bar = ProgressBar::new(files.len() as u64).with_elapsed(Duration::ZERO);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left").expect("a valid template"));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, file)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, files.get(i)?)))
        {
            done.push((index, preprocess::prepare(manifest, file, Options::default())));
            bar.inc(1);
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
    let mut prepared: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    });
    bar.finish_and_clear();
    prepared.sort_by_key(|(index, _)| *index);
    prepared.into_iter().map(|(_, prepared)| prepared).collect()
}

/// NumPy's format, version 1.0: little-endian float32, row-major.
fn write_npy(path: &Path, shape: &[usize], parts: &[&Prepared]) -> std::io::Result<()> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", sides.trim_end());
    // Magic, version and length take 10 bytes; the data begin at a multiple of 64.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for value in parts.iter().flat_map(|part| part.features.iter()) {
        out.write_all(&value.to_le_bytes())?;
    }
    out.flush()
}
