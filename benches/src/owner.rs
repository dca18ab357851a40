//! The parent: prepares a program, has the three parties run it, collects and checks the results.

use std::path::Path;
use std::slice::from_ref;

use anyhow::{Context, Result, ensure};
use mpc_core::Role;
use mpc_core::inference::clear;
use mpc_core::model::encode_weights;
use mpc_core::model::manifest::Reveal;
use mpc_core::ring::{Arithmetic, Boolean, Domain, Tensor, fixed};
use mpc_core::session::Mode;
use mpc_core::sharing::{Dealt, Share, reconstruct, share, share_ranged};
use ndarray::ArrayD;

use crate::job::{self, Against, Measured, Outcome, ShareReader, ShareWriter, Variant, Work};
use crate::measurement::{Measurement, Setting};
use crate::prediction::predict;
use crate::programs::{self, Evaluation, Program};
use crate::relay::EmulatedLink;
use crate::rival::Rival;
use crate::testbed::Testbed;

/// How programs are timed.
pub(crate) struct Options {
    pub(crate) runs: u32,
    pub(crate) link: EmulatedLink,
    pub(crate) batch: usize,
    pub(crate) sessions: usize,
    pub(crate) modes: Vec<Mode>,
    pub(crate) rival: Option<Rival>,
}

/// The owner of models and inputs.
pub(crate) struct Owner<'a> {
    options: &'a Options,
    testbed: Testbed,
}

impl<'a> Owner<'a> {
    pub(crate) fn new(options: &'a Options) -> Result<Self> {
        Ok(Self { options, testbed: Testbed::new(&options.link)? })
    }

    /// Times a program: a measurement for each way to run it.
    pub(crate) fn time(&self, name: &str) -> Result<Vec<Measurement>> {
        match programs::build(name, self.options.batch)? {
            Program::Rounds(bytes, against) => self.rounds(name, bytes, against),
            Program::Evaluate(evaluation) => self.evaluation(name, &evaluation),
        }
    }

    fn rounds(&self, name: &str, bytes: usize, against: Against) -> Result<Vec<Measurement>> {
        let outcomes = self.testbed.run(self.options.runs, &Work::Rounds { bytes, against })?;
        let names = [format!("{name} {against}"), name.to_owned()];
        let measurements = names.into_iter().enumerate().map(|(index, program)| {
            let setting =
                Setting { program, link: self.options.link.to_string(), batch: 1, sessions: 1, security: None };
            Measurement::new(setting, outcomes.each_ref().map(|party| &party.measured[index]), peak(&outcomes), 0.0)
        });
        let mut measurements: Vec<_> = measurements.collect();
        if let [base, rounds] = &mut measurements[..] {
            rounds.compare(base);
        }
        Ok(measurements)
    }

    fn evaluation(&self, name: &str, evaluation: &Evaluation) -> Result<Vec<Measurement>> {
        let Options { runs, link, batch, sessions, modes, rival } = self.options;
        deal(evaluation, self.testbed.folder())?;
        let mut variants: Vec<_> = modes.iter().map(|&mode| Variant { mode, sessions: 1 }).collect();
        if *sessions > 1 {
            variants.extend(modes.iter().map(|&mode| Variant { mode, sessions: *sessions }));
        }
        let (outcomes, errors, rival) = match rival {
            None => {
                let (outcomes, errors) = self.run(evaluation, &variants, *runs)?;
                (outcomes, errors, None)
            }
            Some(rival) => {
                // Half of our runs come before the rival's and half after, so that a slow minute of the machine affects
                // both.
                let (mut outcomes, errors) = self.run(evaluation, &variants, runs.div_ceil(2))?;
                let rival = rival.run(name, *runs, &link.to_string())?;
                for (outcome, rest) in outcomes.iter_mut().zip(self.run(evaluation, &variants, runs.div_ceil(2))?.0) {
                    outcome.append(rest);
                }
                (outcomes, errors, rival)
            }
        };
        let mut measurements: Vec<Measurement> = Vec::new();
        for (index, (variant, error)) in variants.iter().zip(errors).enumerate() {
            // The memory that one variant leaves in the process would count for the others, so each is measured on its
            // own.
            let peak = match variants.len() {
                1 => peak(&outcomes),
                _ => peak(&self.run(evaluation, &[*variant], 1)?.0),
            };
            let Variant { mode, sessions } = *variant;
            let (program, link, batch, security) = (name.to_owned(), link.to_string(), *batch, Some(mode));
            let setting = Setting { program, link, batch, sessions, security };
            let parties = outcomes.each_ref().map(|party| &party.measured[index]);
            let mut measurement = Measurement::new(setting, parties, peak, error);
            if let (1, Some(lines)) = (sessions, &outcomes[0].lines) {
                measurement.compare_prediction(predict(evaluation, self.options.link.conditions(), mode, lines)?);
            }
            let find = |mode, sessions| variants.iter().position(|other| *other == Variant { mode, sessions });
            let passive = find(Mode::Passive, sessions).and_then(|at| measurements.get(at));
            if let Some(passive) = passive {
                measurement.compare(passive);
            }
            if sessions > 1
                && let Some(one) = find(mode, 1).and_then(|at| measurements.get(at))
            {
                measurement.compare_throughput(one);
            }
            if let Some(rival) = &rival {
                measurement.compare_rival(rival.wall_s.clone(), rival.max_abs_error);
            }
            measurements.push(measurement);
        }
        Ok(measurements)
    }

    /// The parties' measurements, and the errors of their answers by variant.
    fn run(&self, evaluation: &Evaluation, variants: &[Variant], runs: u32) -> Result<([Outcome; 3], Vec<f64>)> {
        let Evaluation { graph, reveal, input, .. } = evaluation;
        let (graph, batch, variants) = (graph.clone(), input.shape()[0], variants.to_vec());
        let conditions = self.options.link.conditions();
        let work = Work::Evaluate { graph, batch, reveal: *reveal, conditions, variants };
        let outcomes = self.testbed.run(runs, &work)?;
        let errors = check(evaluation, self.testbed.folder(), &outcomes[0].measured)?;
        Ok((outcomes, errors))
    }
}

/// The memory of the largest process.
fn peak(parties: &[Outcome; 3]) -> f64 {
    parties.iter().map(|party| party.peak_rss_mb).fold(0.0, f64::max)
}

/// Writes every party's shares of the weights and of the input.
fn deal(evaluation: &Evaluation, folder: &Path) -> Result<()> {
    let Evaluation { graph, weights, input, .. } = evaluation;
    let frac_bits = graph.input().frac_bits;
    let encoded: Option<Vec<u64>> = input.iter().map(|&x| fixed::encode(x, frac_bits)).collect();
    let encoded = ArrayD::from_shape_vec(input.raw_dim(), encoded.context("an input out of range")?)?;
    let mut writers = Vec::new();
    for role in Role::ALL {
        writers.push(ShareWriter::create(&job::shares(folder, role))?);
    }
    let mut write = |dealt: [Dealt<u64>; 3], shape: &[usize]| {
        let mut parties = dealt.iter().zip(&mut writers);
        parties.try_for_each(|(dealt, writer)| writer.write([&dealt.own.expand(shape), &dealt.next.expand(shape)]))
    };
    for weight in encode_weights(graph, weights)? {
        write(share::<Arithmetic, u64>(&weight)?, weight.shape())?;
    }
    write(share_ranged(&encoded.into_shared(), graph.input_range())?, input.shape())?;
    writers.iter_mut().try_for_each(ShareWriter::flush)
}

/// The largest difference of a score from float64, by variant; a label must be that of the largest score.
fn check(evaluation: &Evaluation, folder: &Path, measured: &[Measured]) -> Result<Vec<f64>> {
    let Evaluation { graph, weights, input, reveal } = evaluation;
    let expected = clear::evaluate(graph, weights, from_ref(input), &vec![1; input.shape()[0]])?.swap_remove(0);
    let mut readers = Vec::new();
    for role in Role::ALL {
        readers.push(ShareReader::open(&job::outputs(folder, role))?);
    }
    for Measured { shapes, .. } in measured {
        for shape in &shapes[..shapes.len() / 2] {
            match reveal {
                Reveal::Label => {
                    let labels = open::<Boolean>(&mut readers, shape)?;
                    let best = expected.rows().into_iter().map(|scores| largest(scores.iter()));
                    ensure!(labels.iter().copied().eq(best), "the labels {labels} are not those of the largest scores");
                }
                Reveal::Scores => drop(open::<Arithmetic>(&mut readers, shape)?),
            }
        }
    }
    let errors = measured.iter().map(|Measured { shapes, .. }| {
        let mut largest = 0.0;
        for shape in &shapes[shapes.len() / 2..] {
            let scores = open::<Arithmetic>(&mut readers, shape)?;
            let scores = scores.mapv(|word| fixed::decode(word, graph.output().frac_bits));
            largest =
                scores.iter().zip(&expected).map(|(got, expected)| (got - expected).abs()).fold(largest, f64::max);
        }
        Ok(largest)
    });
    errors.collect()
}

/// The position of the largest score.
fn largest<'a>(scores: impl Iterator<Item = &'a f64>) -> u64 {
    scores.enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(index, _)| index as u64)
}

fn open<D: Domain>(parties: &mut [ShareReader], shape: &[usize]) -> Result<Tensor<u64>> {
    let shares = parties.iter_mut().map(|party| party.read::<D>(shape)).collect::<Result<Vec<_>>>()?;
    let shares: [Share<D, u64>; 3] = shares.try_into().ok().context("three parties")?;
    Ok(reconstruct(&shares)?)
}
