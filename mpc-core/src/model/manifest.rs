//! The manifest of a model: what goes in, how a file becomes it, what comes out and who may see it.
//!
//! One `manifest.toml` stands beside the `model.onnx` of every model folder. It is public: the three servers and
//! every client read the same text.
//!
//! ```
//! let manifest = mpc_core::model::Manifest::parse(r#"
//!     format = 1
//!     name = "digits"
//!     title = "The digit in a picture"
//!     task = "classify"
//!     labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
//!     reveal = "label"
//!     security = "passive"
//!     licence = "open"
//!     [preprocess]
//!     kind = "image"
//!     channels = "grey"
//!     mean = [0.5]
//!     std = [0.25]
//!     [input]
//!     shape = [1, 28, 28]
//!     range = 2.0
//!     [bounds]
//!     policy = "proved"
//! "#)?;
//! assert_eq!(manifest.labels.len(), 10);
//! # Ok::<(), mpc_core::Error>(())
//! ```

mod answer;

use std::path::Path;

pub use answer::{COSINE_BITS, Embedding, MAX_SCORE_BITS, Reveal, Task, UNKNOWN, Unknown, VERDICTS};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ring::fixed;
use crate::session::Mode;
use crate::sharing::InputRange;

/// File name of the manifest in a model's folder.
pub const FILE: &str = "manifest.toml";
/// The version of the manifest format that this code reads.
pub const FORMAT: u32 = 1;
/// Longest manifest that is read, in bytes.
const MAX_BYTES: u64 = 256 << 10;
/// Most values in one sample.
const MAX_SAMPLE: usize = 1 << 24;

/// Everything that is declared about a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format, [`FORMAT`].
    pub format: u32,
    /// Short name: lower-case letters, digits and hyphens, at most 64.
    pub name: String,
    /// Which version of the model this is, for people: letters, digits, dots, hyphens and plus signs, at most 32.
    #[serde(default = "first_version")]
    pub version: String,
    /// One line for people.
    pub title: String,
    /// The command that answers with this model.
    pub task: Task,
    /// One label per output of the network, in its order; of a network that compares, `["same", "different"]`.
    pub labels: Vec<String>,
    /// What the client learns.
    pub reveal: Reveal,
    /// Fractional bits of the scores or cosines that are revealed: at most [`MAX_SCORE_BITS`], which is the default.
    pub reveal_bits: Option<u32>,
    /// The weakest security that the model may be evaluated with.
    pub security: Mode,
    /// What the weights may be used for.
    pub licence: Licence,
    /// How a file becomes the input of the network.
    pub preprocess: Preprocess,
    /// Shape and range of the input.
    pub input: Input,
    /// How a recording is cut; audio only.
    pub windows: Option<Windows>,
    /// When none of the labels is the answer.
    pub unknown: Option<Unknown>,
    /// Of a network that compares: what it computes of an input.
    pub embedding: Option<Embedding>,
    /// Where the bounds of intermediate values may come from.
    pub bounds: Bounds,
}

fn first_version() -> String {
    "1".into()
}

/// What may be done with the weights; the folder's LICENSE has the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Licence {
    /// Redistribution with attribution.
    Open,
    /// No commercial use.
    NonCommercial,
    /// Use with credit to the source of the data.
    Credit,
    /// Research only.
    Research,
}

/// How a file becomes the input of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Preprocess {
    /// A recording: mono at `rate`, silence trimmed, spectral features of overlapping frames.
    Audio(Audio),
    /// A picture: cropped, resized, one or three channels.
    Image(Image),
}

/// Parameters of the features of a recording. The input is `[bands, frames]` or `[1, bands, frames]`, with the
/// number of MFCC coefficients in the place of the bands where `coefficients` is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audio {
    /// Sampling rate that everything is brought to, in Hz.
    pub rate: u32,
    /// Silence is what lies this many dB below the loudest 25 ms; it is cut at both ends.
    pub trim_db: f32,
    /// Length of a frame and of its FFT, in samples.
    pub frame: usize,
    /// Distance between frames, in samples.
    pub hop: usize,
    /// Number of mel bands.
    pub bands: usize,
    /// Lower edge of the lowest band, in Hz.
    pub low_hz: f32,
    /// Upper edge of the highest band, in Hz.
    pub high_hz: f32,
    /// Powers below this count as this, in dB relative to a power of 1.
    pub floor_db: f32,
    /// Where given, this many cepstral coefficients (MFCC) instead of the mel bands.
    pub coefficients: Option<usize>,
    /// Subtracted from the features in dB: one value, or one per row.
    pub mean: Vec<f32>,
    /// Divides the result: one value, or one per row.
    pub std: Vec<f32>,
}

/// Parameters of a picture. The input is `[channels, height, width]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Grey or colour.
    pub channels: Channels,
    /// Subtracted from the intensities in 0..1: one value, or one per channel.
    pub mean: Vec<f32>,
    /// Divides the result: one value, or one per channel.
    pub std: Vec<f32>,
}

/// The channels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One channel of luminance.
    Grey,
    /// Red, green and blue.
    Rgb,
}

/// Shape and range of one sample (of one window, for audio).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Shape without the batch dimension.
    pub shape: Vec<usize>,
    /// Largest magnitude of an input value; features are clipped to it. What a client can send beyond it is bounded
    /// too, see [`Input::dealt`].
    pub range: f32,
    /// Fractional bits of the fixed-point encoding.
    #[serde(default = "default_frac_bits")]
    pub frac_bits: u32,
}

fn default_frac_bits() -> u32 {
    fixed::FRAC_BITS
}

/// How a recording is cut into windows as long as the input's last dimension; their outputs are added inside the
/// computation. The number of windows is public.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Largest distance between the starts of windows, in frames, as long as `max` allows it.
    pub hop: usize,
    /// Most windows of one recording.
    pub max: usize,
}

/// Where the bounds of intermediate values may come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Bounds {
    /// From the weights and what a client can send only.
    Proved,
    /// From samples too, with at least these margins. The samples, preprocessed, batch first, stand in the folder as
    /// [`CALIBRATION_FILE`](super::CALIBRATION_FILE).
    Calibrated {
        /// Bits added to the largest value seen, for the width of comparisons; at least 8.
        comparison_margin: u32,
        /// Bits added to the largest value seen, for what must fit the ring; at least 10.
        ring_margin: u32,
    },
}

impl Manifest {
    /// Reads and checks the manifest in a model's folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let fail = |reason: String| Error::file(&path, reason);
        let size = std::fs::metadata(&path).map_err(|e| fail(e.to_string()))?.len();
        if size > MAX_BYTES {
            return Err(fail(format!("{size} bytes are too many, at most {MAX_BYTES}")));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| fail(e.to_string()))?;
        Self::parse(&text).map_err(|e| fail(e.to_string()))
    }

    /// Parses and checks the text of a manifest. An error names the field.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text).map_err(|e| Error::invalid("manifest", e.to_string().trim_end()))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Number of values in one sample.
    pub fn sample_len(&self) -> usize {
        self.input.shape.iter().product()
    }

    /// Number of values that the network computes of an input: a score for each label, or an embedding.
    pub fn outputs(&self) -> usize {
        self.embedding.as_ref().map_or(self.labels.len(), |embedding| embedding.size)
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<()> {
        require(self.format == FORMAT, "format", || format!("is {}, this program reads {FORMAT}", self.format))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = (1..=64).contains(&self.name.len()) && self.name.chars().all(plain);
        require(named, "name", || "must be 1 to 64 lower-case letters, digits and hyphens".into())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
        let versioned = (1..=32).contains(&self.version.len()) && self.version.chars().all(plain);
        require(versioned, "version", || "must be 1 to 32 letters, digits, dots, hyphens and plus signs".into())?;
        require(single_line(&self.title), "title", || "must be one line".into())?;
        require((2..=65536).contains(&self.labels.len()), "labels", || "must be 2 to 65536".into())?;
        require(self.labels.iter().all(|l| single_line(l)), "labels", || "must be one line each".into())?;
        self.input.validate()?;
        match &self.preprocess {
            Preprocess::Audio(audio) => audio.validate(&self.input.shape)?,
            Preprocess::Image(image) => image.validate(&self.input.shape)?,
        }
        let audio = matches!(self.preprocess, Preprocess::Audio(_));
        require(audio == self.windows.is_some(), "windows", || "belongs to preprocess.kind = \"audio\"".into())?;
        if let Some(windows) = &self.windows {
            require(windows.hop > 0, "windows.hop", || "must not be 0".into())?;
            require((1..=256).contains(&windows.max), "windows.max", || "must be 1 to 256".into())?;
        }
        self.validate_answer()?;
        if let Bounds::Calibrated { comparison_margin, ring_margin } = self.bounds {
            require((8..=32).contains(&comparison_margin), "bounds.comparison_margin", || "must be 8 to 32".into())?;
            require((10..=32).contains(&ring_margin), "bounds.ring_margin", || "must be 10 to 32".into())?;
        }
        Ok(())
    }
}

impl Input {
    /// The range that inputs are dealt for.
    pub fn dealt(&self) -> InputRange {
        InputRange::holding(self.range.into(), self.frac_bits)
    }

    fn validate(&self) -> Result<()> {
        let len = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let fits = (1..=4).contains(&self.shape.len()) && len.is_some_and(|n| (1..=MAX_SAMPLE).contains(&n));
        require(fits, "input.shape", || format!("must be 1 to 4 dimensions with 1 to {MAX_SAMPLE} values"))?;
        require((4..=24).contains(&self.frac_bits), "input.frac_bits", || "must be 4 to 24".into())?;
        let range = self.range.is_finite() && self.range > 0.0 && self.range <= 65536.0;
        require(range, "input.range", || "must be above 0 and at most 65536".into())
    }
}

impl Audio {
    /// Rows of the feature matrix: mel bands, or cepstral coefficients.
    pub fn rows(&self) -> usize {
        self.coefficients.unwrap_or(self.bands)
    }

    fn validate(&self, shape: &[usize]) -> Result<()> {
        require((4000..=96000).contains(&self.rate), "preprocess.rate", || "must be 4000 to 96000 Hz".into())?;
        require((10.0..=120.0).contains(&self.trim_db), "preprocess.trim_db", || "must be 10 to 120".into())?;
        require((16..=16384).contains(&self.frame), "preprocess.frame", || "must be 16 to 16384 samples".into())?;
        let hop = (1..=self.frame).contains(&self.hop);
        require(hop, "preprocess.hop", || "must be 1 to preprocess.frame samples".into())?;
        require((2..=512).contains(&self.bands), "preprocess.bands", || "must be 2 to 512".into())?;
        let band = self.low_hz >= 0.0 && self.low_hz < self.high_hz && self.high_hz <= self.rate as f32 / 2.0;
        require(band, "preprocess.low_hz, high_hz", || "must be 0 <= low < high <= rate / 2".into())?;
        require((-200.0..=0.0).contains(&self.floor_db), "preprocess.floor_db", || "must be -200 to 0".into())?;
        let coefficients = self.coefficients.is_none_or(|n| (1..=self.bands).contains(&n));
        require(coefficients, "preprocess.coefficients", || "must be 1 to preprocess.bands".into())?;
        validate_scale(&self.mean, &self.std, self.rows())?;
        let fits = matches!(shape, &[rows, _] | &[1, rows, _] if rows == self.rows());
        require(fits, "input.shape", || format!("must be [{0}, frames] or [1, {0}, frames]", self.rows()))
    }
}

impl Image {
    fn validate(&self, shape: &[usize]) -> Result<()> {
        validate_scale(&self.mean, &self.std, self.channels.count())?;
        let fits = matches!(*shape, [c, h, w] if c == self.channels.count() && h <= 4096 && w <= 4096);
        require(fits, "input.shape", || {
            format!("must be [{}, height, width], at most 4096 pixels each way", self.channels.count())
        })
    }
}

impl Channels {
    /// How many.
    pub fn count(self) -> usize {
        match self {
            Channels::Grey => 1,
            Channels::Rgb => 3,
        }
    }
}

/// Checks normalisation constants: one, or one per row.
fn validate_scale(mean: &[f32], std: &[f32], rows: usize) -> Result<()> {
    let count = |n: usize| n == 1 || n == rows;
    let mean = count(mean.len()) && mean.iter().all(|v| v.is_finite());
    require(mean, "preprocess.mean", || format!("must be 1 or {rows} finite numbers"))?;
    let std = count(std.len()) && std.iter().all(|v| v.is_finite() && *v >= 1e-6);
    require(std, "preprocess.std", || format!("must be 1 or {rows} numbers of at least 0.000001"))
}

fn single_line(text: &str) -> bool {
    (1..=200).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn require(holds: bool, field: &str, reason: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid(format!("manifest field {field}"), reason())) }
}

#[cfg(test)]
mod tests;
