//! From a file to the input of a network: one definition for training and for serving.
//!
//! The `[preprocess]` section of the model's manifest has every parameter. A recording becomes one or more windows
//! of log-mel or MFCC features, a picture becomes one window of normalised intensities; all values are finite and
//! lie within the declared range.

mod audio;
mod features;
mod image;

use std::fs::File;
use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use mpc_core::model::Manifest;
use mpc_core::model::manifest::Preprocess;
use ndarray::{ArrayD, ArrayView2, Axis, IxDyn, s};

use features::Features;

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Why a file cannot become an input. Each text is one line for the person who gave the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The path is not a regular file.
    #[error("is not a file")]
    NotAFile,
    /// The file is empty.
    #[error("is empty")]
    Empty,
    /// The file holds too much.
    #[error("is too large: {what}, at most {limit}")]
    TooLarge {
        /// What was measured, with its unit.
        what: String,
        /// The limit.
        limit: String,
    },
    /// Neither the file's extension nor its bytes name a known format.
    #[error("is not a {expected} file that can be read here")]
    Unrecognized {
        /// The formats that can be read.
        expected: &'static str,
    },
    /// The container is known, but its content is not.
    #[error("uses a feature that is not supported ({0}); convert it to WAV or PNG")]
    Unsupported(String),
    /// The file is shorter than its header says.
    #[error("is truncated: it is shorter than its header says")]
    Truncated,
    /// The bytes violate the format.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The recording has less than one frame of sound.
    #[error("is too short: {samples} samples at {rate} Hz, at least {needed} are needed")]
    TooShort {
        /// Samples at the model's rate, without silence at the ends.
        samples: usize,
        /// Samples that are needed.
        needed: usize,
        /// The model's sampling rate in Hz.
        rate: u32,
    },
    /// A sample is infinite or not a number.
    #[error("has samples that are not finite numbers")]
    NotFinite,
    /// Nothing is louder than the threshold of silence.
    #[error("is silent: nothing in it is louder than {threshold_db} dB below full scale")]
    Silent {
        /// The threshold in dB.
        threshold_db: f64,
    },
    /// The box does not fit into the picture.
    #[error("has {width}x{height} pixels, the box does not lie within")]
    BoxOutside {
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// A box was given for a recording.
    #[error("is for a model of recordings, which takes no box")]
    BoxForAudio,
}

/// The result of preprocessing.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Options for the person who asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// The part of the picture to use instead of the whole.
    pub crop: Option<Rect>,
}

/// A rectangle of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Distance from the left edge.
    pub left: u32,
    /// Distance from the upper edge.
    pub top: u32,
    /// Width, not 0.
    pub width: u32,
    /// Height, not 0.
    pub height: u32,
}

/// The input of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Number of windows of the file: the first dimension of `features`.
    pub windows: usize,
    /// `[windows, shape...]` with the shape of the manifest; |x| is at most the declared range.
    pub features: ArrayD<f32>,
}

/// Reads a file and turns it into the input of the model with this manifest.
pub fn prepare(manifest: &Manifest, path: &Path, options: Options) -> Result<Prepared> {
    prepare_bytes(manifest, read(path)?, options)
}

/// As [`prepare`], with the contents of the file.
pub fn prepare_bytes(manifest: &Manifest, bytes: Vec<u8>, options: Options) -> Result<Prepared> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let mut features = match &manifest.preprocess {
        Preprocess::Audio(_) if options.crop.is_some() => return Err(Error::BoxForAudio),
        Preprocess::Audio(parameters) => {
            let frames = *manifest.input.shape.last().unwrap_or(&1);
            let samples = audio::samples(parameters, bytes)?;
            let features = Features::new(parameters).compute(samples, frames);
            let (hop, max) = manifest.windows.as_ref().map_or((frames, 1), |w| (w.hop, w.max));
            cut(features.view(), frames, hop, max)
        }
        Preprocess::Image(parameters) => image::pixels(parameters, &manifest.input.shape, bytes, options.crop)?,
    };
    let range = manifest.input.range;
    features.mapv_inplace(|x| x.clamp(-range, range));
    let windows = features.len_of(Axis(0));
    let shape: Vec<usize> = std::iter::once(windows).chain(manifest.input.shape.iter().copied()).collect();
    let features = features.into_shape_with_order(IxDyn(&shape)).map_err(|e| Error::Damaged(e.to_string()))?;
    Ok(Prepared { windows, features })
}

/// An unprocessed picture, turned as its orientation tag says.
pub(crate) fn picture(bytes: Vec<u8>) -> Result<::image::DynamicImage> {
    if bytes.is_empty() { Err(Error::Empty) } else { caught(|| image::decode(bytes)) }
}

/// Runs a library's decoder; a panic caused by the bytes becomes an error of this file only.
fn caught<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    let decoder_panicked = |_| Error::Damaged("the decoder gave up".into());
    std::panic::catch_unwind(AssertUnwindSafe(decode)).map_err(decoder_panicked)?
}

/// The contents of a regular file of bounded size.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let what = format!("{} bytes", metadata.len());
        return Err(Error::TooLarge { what, limit: MAX_FILE_BYTES.to_string() });
    }
    Ok(bytes)
}

/// Cuts `[rows, total]` into `[windows, rows, frames]`: the first window at the beginning, the last at the end, the
/// others evenly between them, at most `hop` frames apart if `max` windows suffice for that. `total` is at
/// least `frames`.
fn cut(features: ArrayView2<f32>, frames: usize, hop: usize, max: usize) -> ArrayD<f32> {
    let (rows, total) = features.dim();
    let slack = total - frames;
    let windows = (1 + slack.div_ceil(hop)).min(max);
    let mut out = ArrayD::zeros(IxDyn(&[windows, rows, frames]));
    for (w, mut window) in out.outer_iter_mut().enumerate() {
        let start = if windows == 1 { slack / 2 } else { w * slack / (windows - 1) };
        window.assign(&features.slice(s![.., start..start + frames]));
    }
    out
}
