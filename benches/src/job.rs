//! The files that the parent and the parties exchange in a folder.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use mpc_core::Role;
use mpc_core::inference::head::Head;
use mpc_core::model::Graph;
use mpc_core::model::manifest::Reveal;
use mpc_core::ring::{Domain, Tensor};
use mpc_core::session::{self, Conditions, Meter, Mode};
use mpc_core::sharing::Share;
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::codec;
use ndarray::{ArrayD, IxDyn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A job, the same for all parties.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    /// The cluster as each party sees it.
    pub(crate) clusters: [Cluster; 3],
    /// Number of timed runs, after one to warm up.
    pub(crate) runs: u32,
    pub(crate) work: Work,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Evaluate a graph, with weights and input from [`shares`]. The variants take turns, run by run.
    Evaluate { graph: Graph, batch: usize, reveal: Reveal, conditions: Conditions, variants: Vec<Variant> },
    /// Rounds of `bytes` bytes around the ring, compared with `against`.
    Rounds { bytes: usize, against: Against },
}

/// The head of an evaluation: labels, or the outputs with all bits, to be compared with float64.
pub(crate) fn head(reveal: Reveal) -> Head<'static> {
    match reveal {
        Reveal::Label => Head::Label { unknown: None },
        Reveal::Scores => Head::Outputs,
    }
}

/// A way to run an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Variant {
    pub(crate) mode: Mode,
    /// Number of simultaneous sessions.
    pub(crate) sessions: usize,
}

/// The rounds to compare with.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Against {
    /// The same rounds over blocking TCP with TLS.
    Tls,
    /// The same rounds without a session of large messages beside them.
    Alone,
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "tls",
            Self::Alone => "alone",
        })
    }
}

/// The results of one party.
#[derive(Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The measurements by variant, in the order of the job; for [`Work::Rounds`] first the rounds to compare with.
    pub(crate) measured: Vec<Measured>,
    /// Peak memory of the process.
    pub(crate) peak_rss_mb: f64,
    /// The party's measurement of lines and processors before an evaluation.
    pub(crate) lines: Option<session::Measured>,
}

impl Outcome {
    /// Adds the runs of another job with the same variants.
    pub(crate) fn append(&mut self, other: Outcome) {
        for (measured, other) in self.measured.iter_mut().zip(other.measured) {
            measured.runs.extend(other.runs);
        }
    }
}

/// The measurements of one party in one variant.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) runs: Vec<Run>,
    /// The cost of one session of a run.
    pub(crate) meter: Meter,
    /// Shapes of the shares in [`outputs`], by session: first labels or scores, as asked for, then scores.
    pub(crate) shapes: Vec<Vec<usize>>,
}

/// The times of a run, in seconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

pub(crate) fn identity(folder: &Path, role: Role) -> PathBuf {
    folder.join(role.to_string())
}

pub(crate) fn job(folder: &Path) -> PathBuf {
    folder.join("job")
}

pub(crate) fn outcome(folder: &Path, role: Role) -> PathBuf {
    folder.join(format!("{role}.outcome"))
}

pub(crate) fn shares(folder: &Path, role: Role) -> PathBuf {
    folder.join(format!("{role}.shares"))
}

pub(crate) fn outputs(folder: &Path, role: Role) -> PathBuf {
    folder.join(format!("{role}.outputs"))
}

pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    std::fs::write(path, codec::encode(value)?).with_context(|| path.display().to_string())
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(codec::decode(&bytes)?)
}

/// Writes raw shares one after the other.
pub(crate) struct ShareWriter(BufWriter<File>);

impl ShareWriter {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?)))
    }

    pub(crate) fn write(&mut self, components: [&Tensor<u64>; 2]) -> Result<()> {
        for component in components {
            self.0.write_all(bytemuck::cast_slice(component.as_slice().context("not contiguous")?))?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

pub(crate) struct ShareReader(BufReader<File>);

impl ShareReader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self(BufReader::new(File::open(path).with_context(|| path.display().to_string())?)))
    }

    pub(crate) fn read<D: Domain>(&mut self, shape: &[usize]) -> Result<Share<D, u64>> {
        Ok(Share::new(self.component(shape)?, self.component(shape)?))
    }

    fn component(&mut self, shape: &[usize]) -> Result<Tensor<u64>> {
        let mut words = vec![0u64; shape.iter().product()];
        self.0.read_exact(bytemuck::cast_slice_mut(&mut words))?;
        Ok(ArrayD::from_shape_vec(IxDyn(shape), words)?.into_shared())
    }
}
