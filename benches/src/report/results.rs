//! All measurements.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::measurement::Measurement;

/// The lines of all files, in order.
#[derive(Default)]
pub(super) struct Results {
    pub(super) measurements: Vec<Measurement>,
    pub(super) rates: Vec<Rate>,
    machine: Option<Machine>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Measurement(Box<Measurement>),
    Rate(Rate),
    Machine(Machine),
}

/// The measurement of a local kernel.
#[derive(Deserialize)]
pub(super) struct Rate {
    pub(super) kernel: String,
    pub(super) operation: String,
    pub(super) rate: f64,
    pub(super) unit: String,
}

/// Where and when the measurements were made.
#[derive(Deserialize)]
struct Machine {
    machine: String,
    cores: u32,
    memory_gb: u32,
    system: String,
    date: String,
    commit: String,
}

impl Results {
    pub(super) fn read(files: &[PathBuf]) -> Result<Self> {
        let mut results = Self::default();
        for file in files {
            let name = || file.display().to_string();
            let text = std::fs::read_to_string(file).with_context(name)?;
            for (number, line) in text.lines().enumerate() {
                let line = serde_json::from_str(line).with_context(|| format!("{}, line {}", name(), number + 1))?;
                match line {
                    Line::Measurement(measurement) => results.measurements.push(*measurement),
                    Line::Rate(rate) => results.rates.push(rate),
                    Line::Machine(machine) => results.machine = Some(machine),
                }
            }
        }
        Ok(results)
    }

    /// The first measurement of one input in one session; later ones serve other comparisons.
    pub(super) fn find(&self, program: &str, security: &str, link: &str) -> Option<&Measurement> {
        self.single().find(|measurement| {
            let setting = &measurement.setting;
            let mode = setting.security.map(|mode| mode.to_string()).unwrap_or_default();
            (&*setting.program, &*mode, &*setting.link) == (program, security, link)
        })
    }

    /// All measurements of one input in one session.
    pub(super) fn single(&self) -> impl Iterator<Item = &Measurement> {
        self.measurements
            .iter()
            .filter(|measurement| (measurement.setting.batch, measurement.setting.sessions) == (1, 1))
    }

    /// The names of the programs that compute on shares and were measured over a link, each once, in order.
    pub(super) fn programs(&self, link: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for measurement in self.single().filter(|one| one.setting.link == link && one.setting.security.is_some()) {
            let name = &*measurement.setting.program;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Where and when the measurements were made, as part of a sentence.
    pub(super) fn machine(&self) -> String {
        let Some(Machine { machine, cores, memory_gb, system, date, commit }) = &self.machine else {
            return super::MISSING.to_owned();
        };
        format!("{machine}, {cores} cores, {memory_gb} GB of memory, {system}, on {date}, at commit {commit}")
    }
}
