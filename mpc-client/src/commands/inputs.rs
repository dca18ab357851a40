//! The inputs of a question: files, folders, patterns, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use mpc_client::input::Prepared;
use mpc_client::preprocess::{self, Options};
use mpc_client::{Error, Input, Model, Result};
use mpc_core::model::Manifest;
use mpc_core::model::manifest::Preprocess;

use super::blocking;

/// The argument for standard input.
const STDIN: &str = "-";

/// The inputs that arguments name, in order: a file stands for itself, a folder for its pictures or recordings by name,
/// a pattern like `*.wav` for the matching files, and `-` for standard input.
///
/// # Errors
/// [`Error::Usage`] where a folder or pattern has no such file, or standard input is named twice or cannot be read.
pub(crate) async fn expand(arguments: Vec<PathBuf>, manifest: &Manifest) -> Result<Vec<Input>> {
    let extensions: &'static [&'static str] = match manifest.preprocess {
        Preprocess::Audio(_) => &["wav", "flac", "mp3", "ogg"],
        Preprocess::Image(_) => &["png", "jpg", "jpeg"],
    };
    blocking(move || {
        if arguments.iter().filter(|argument| argument.as_os_str() == STDIN).count() > 1 {
            return Err(Error::Usage("standard input (-) can be read once only".into()));
        }
        let expanded = arguments.into_iter().map(|argument| expand_one(argument, extensions, std::io::stdin().lock()));
        Ok(expanded.collect::<Result<Vec<_>>>()?.concat())
    })
    .await
}

/// The one file, or standard input, that an argument names.
pub(crate) async fn one(argument: PathBuf) -> Result<Input> {
    blocking(move || match &expand_one(argument, &["png", "jpg", "jpeg"], std::io::stdin().lock())?[..] {
        [input] => Ok(input.clone()),
        several => Err(Error::Usage(format!("one file at a time, not {}", several.len()))),
    })
    .await
}

fn expand_one(argument: PathBuf, extensions: &[&str], mut stdin: impl Read) -> Result<Vec<Input>> {
    if argument.as_os_str() == STDIN {
        let mut bytes = Vec::new();
        let read = stdin.by_ref().take(preprocess::MAX_FILE_BYTES).read_to_end(&mut bytes);
        read.map_err(|e| Error::Usage(format!("standard input: {e}")))?;
        return Ok(vec![Input::bytes(STDIN.into(), bytes)]);
    }
    if argument.is_dir() {
        let entries = std::fs::read_dir(&argument).map_err(|e| Error::file(&argument, e))?;
        let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let known =
            |path: &PathBuf| path.is_file() && extension(path).is_some_and(|e| extensions.contains(&e.as_str()));
        let mut files: Vec<PathBuf> = files.filter(known).collect();
        files.sort();
        return some(files, || {
            format!("{}: no file in this folder ends in {}", argument.display(), extensions.join(", "))
        });
    }
    let pattern = argument.to_str().filter(|text| text.contains(['*', '?', '[']) && !argument.exists());
    let Some(pattern) = pattern else { return Ok(vec![Input::file(argument)]) };
    let paths = glob::glob(pattern).map_err(|e| Error::Usage(format!("{pattern}: {e}")))?;
    some(paths.filter_map(|path| path.ok().filter(|path| path.is_file())).collect(), || {
        format!("{pattern}: no file matches")
    })
}

fn some(files: Vec<PathBuf>, otherwise: impl FnOnce() -> String) -> Result<Vec<Input>> {
    if files.is_empty() { Err(Error::Usage(otherwise())) } else { Ok(files.into_iter().map(Input::file).collect()) }
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// The inputs of `model`, prepared on a thread of their own.
pub(crate) async fn prepare(model: &Model, inputs: Vec<Input>, options: Options) -> Result<Vec<Prepared>> {
    let model = model.clone();
    blocking(move || Ok(inputs.into_iter().map(|input| input.prepare(&model, options)).collect())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_stand_for_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.PNG", "a.jpg", "c.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let names = |argument: PathBuf, stdin: &[u8]| -> Result<Vec<String>, String> {
            let inputs = expand_one(argument, &["png", "jpg"], stdin).map_err(|e| e.to_string())?;
            Ok(inputs.iter().map(|input| input.name().rsplit('/').next().unwrap().to_owned()).collect())
        };
        let path = |name: &str| folder.path().join(name);
        assert_eq!(names(folder.path().into(), b"").unwrap(), ["a.jpg", "b.PNG"]);
        assert_eq!(names(path("*.[pjt]*"), b"").unwrap(), ["a.jpg", "c.txt"]);
        assert_eq!(names(path("missing.png"), b"").unwrap(), ["missing.png"], "the error comes with its answer");
        assert!(names(path("*.wav"), b"").unwrap_err().contains("no file matches"));
        std::fs::create_dir(path("empty")).unwrap();
        assert!(names(path("empty"), b"").unwrap_err().contains("ends in png, jpg"));
        let read = expand_one(STDIN.into(), &[], &b"bytes"[..]).unwrap();
        assert_eq!(read, [Input::bytes("-".into(), b"bytes".to_vec())]);
    }
}
