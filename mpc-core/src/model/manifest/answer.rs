//! How a network's output becomes an answer.

use serde::{Deserialize, Serialize};

use super::{Manifest, require};
use crate::error::Result;
use crate::model::Graph;
use crate::ring::fixed::FRAC_BITS;

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The emotion in a recording.
    Emotion,
    /// The class of an input.
    Classify,
    /// Who of those in the labels is speaking in a recording.
    IdentifySpeaker,
    /// Whether two recordings are of the same speaker.
    VerifySpeaker,
    /// Whose face, of those enrolled, a picture shows.
    Face,
}

impl Task {
    /// Whether its networks compute embeddings, which are compared, and not scores.
    pub fn compares(self) -> bool {
        matches!(self, Task::VerifySpeaker | Task::Face)
    }
}

/// The answer where no score is large enough.
pub const UNKNOWN: &str = "unknown";

/// The labels of a network that compares.
pub const VERDICTS: [&str; 2] = ["same", "different"];

/// What the client learns about the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reveal {
    /// The position of the largest output only.
    Label,
    /// Every output of the network, rounded to [`Manifest::score_bits`].
    Scores,
}

/// Most fractional bits of a score or cosine that leaves the computation. What lies below is mostly the rounding of the
/// computation itself, and bits of the weights.
pub const MAX_SCORE_BITS: u32 = 8;

/// When the answer is [`UNKNOWN`]: decided inside the computation, so that nothing else is learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unknown {
    /// The largest score must be at least this; of a recording the sum over its windows at least as many times this.
    pub threshold: f64,
}

/// What a network that compares computes: a vector for each input. The parties bring it to length 1; two inputs are as
/// alike as the cosine of their vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Elements of the vector.
    pub size: usize,
    /// The least cosine of two inputs that count as the same.
    pub threshold: f64,
}

/// Fractional bits of a cosine before it is rounded: the product of two numbers in fixed point.
pub const COSINE_BITS: u32 = 2 * FRAC_BITS;

impl Manifest {
    /// Fractional bits of the scores or cosines that this manifest reveals of `graph`'s outputs. The parties round to
    /// them, and the client divides by them.
    pub fn score_bits(&self, graph: &Graph) -> u32 {
        let computed = if self.embedding.is_some() { COSINE_BITS } else { graph.output().frac_bits };
        self.reveal_bits.unwrap_or(MAX_SCORE_BITS).min(computed)
    }

    /// Checks the declarations about the answer.
    pub(super) fn validate_answer(&self) -> Result<()> {
        let compares = self.task.compares();
        let said = self.embedding.is_some() == compares;
        require(said, "embedding", || "belongs to the tasks verify-speaker and face, which need it".into())?;
        require(!compares || self.labels == VERDICTS, "labels", || format!("of this task are {VERDICTS:?}"))?;
        if let Some(bits) = self.reveal_bits {
            require(self.reveal == Reveal::Scores, "reveal_bits", || "belongs to reveal = \"scores\"".into())?;
            require(bits <= MAX_SCORE_BITS, "reveal_bits", || format!("must be 0 to {MAX_SCORE_BITS}"))?;
        }
        if let Some(Embedding { size, threshold }) = self.embedding {
            require((1..=4096).contains(&size), "embedding.size", || "must be 1 to 4096".into())?;
            let cosine = threshold > -1.0 && threshold < 1.0;
            require(cosine, "embedding.threshold", || "is a cosine between -1 and 1".into())?;
        }
        if let Some(Unknown { threshold }) = self.unknown {
            require(!compares, "unknown", || {
                "does not belong to networks that compare; they have embedding.threshold".into()
            })?;
            require(threshold.abs() <= 65536.0, "unknown.threshold", || "must be within +-65536".into())?;
            let reserved = self.labels.iter().any(|label| label == UNKNOWN);
            require(!reserved, "labels", || format!("{UNKNOWN:?} has a meaning of its own here"))?;
        }
        Ok(())
    }
}
