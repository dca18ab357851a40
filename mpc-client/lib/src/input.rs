//! The inputs of a question: a file, or bytes under a name.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::preprocess::{self, Options};
use crate::session::{Encoded, Model};

/// One file, or the bytes of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    name: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// An input in fixed point, or a line that says why it cannot be used.
#[derive(Clone)]
pub struct Prepared {
    /// The input's name for the person who asks.
    pub name: String,
    /// Its windows, or the reason.
    pub encoded: Result<Encoded, String>,
}

impl Input {
    /// The file at `path`, which [`Input::prepare`] reads.
    pub fn file(path: PathBuf) -> Self {
        Self { name: path.display().to_string(), source: Source::File(path) }
    }

    /// The contents of a file that the person who asks knows as `name`.
    pub fn bytes(name: String, bytes: Vec<u8>) -> Self {
        Self { name, source: Source::Bytes(bytes) }
    }

    /// The input's name for the person who asks.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Prepares the input for `model`. Blocks: reads, decodes, computes features.
    pub fn prepare(self, model: &Model, options: Options) -> Prepared {
        let prepared = match self.source {
            Source::File(path) => preprocess::prepare(&model.manifest, &path, options),
            Source::Bytes(bytes) => preprocess::prepare_bytes(&model.manifest, bytes, options),
        };
        let encoded = prepared.map_err(|e| e.to_string());
        let encoded = encoded.and_then(|prepared| model.encode(&prepared.features).map_err(|e| e.to_string()));
        Prepared { name: self.name, encoded }
    }

    /// The picture in the input. Blocks, as [`Input::prepare`].
    ///
    /// # Errors
    /// [`Error::Input`] where the input holds no picture.
    pub fn picture(self) -> Result<Picture> {
        let picture = match self.source {
            Source::File(path) => Picture::read(&path),
            Source::Bytes(bytes) => Picture::decode(bytes),
        };
        picture.map_err(|reason| Error::Input(format!("{}: {reason}", self.name)))
    }
}

/// All inputs in fixed point, for one answer about all of them.
///
/// # Errors
/// [`Error::Input`] with the first that cannot be used.
pub fn all(prepared: Vec<Prepared>) -> Result<Vec<Encoded>> {
    let encoded = |Prepared { name, encoded }| encoded.map_err(|reason| Error::Input(format!("{name}: {reason}")));
    prepared.into_iter().map(encoded).collect()
}
