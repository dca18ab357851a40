//! The parent: prepares a program, starts the three parties, collects and checks.

use std::io::Read;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use mpc_core::Role;
use mpc_core::inference::clear;
use mpc_core::model::encode_weights;
use mpc_core::model::manifest::Reveal;
use mpc_core::network::identity::Identity;
use mpc_core::ring::{Arithmetic, Boolean, Domain, Tensor, fixed};
use mpc_core::security::Mode;
use mpc_core::sharing::{Share, reconstruct, share};
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use ndarray::ArrayD;

use crate::job::{self, Job, Measured, Outcome, ShareReader, ShareWriter, Work};
use crate::programs::{self, Evaluation, Program};
use crate::report::Report;

/// Times the programs and prints the results.
pub(crate) fn run(names: &[String], runs: u32, modes: &[Mode], json: bool) -> Result<()> {
    let mut out = anstream::stdout();
    if !json {
        Report::print_heading(&mut out)?;
    }
    for name in names {
        for report in time(name, runs, modes).with_context(|| name.clone())? {
            if json { report.print_json(&mut out)? } else { report.print_row(&mut out)? }
        }
    }
    Ok(())
}

/// One report a mode.
fn time(name: &str, runs: u32, modes: &[Mode]) -> Result<Vec<Report>> {
    let program = programs::build(name)?;
    let folder = tempfile::tempdir()?;
    let cluster = make_cluster(folder.path())?;
    let (work, modes) = match &program {
        Program::Rounds(bytes, against) => (Work::Rounds { bytes: *bytes, against: *against }, vec![None, None]),
        Program::Evaluate(evaluation) => {
            deal(evaluation, folder.path())?;
            let Evaluation { graph, reveal, input, .. } = &**evaluation;
            let work = Work::Evaluate { graph: graph.clone(), batch: input.shape()[0], reveal: *reveal };
            (work, modes.iter().copied().map(Some).collect())
        }
    };
    let run = |runs, modes: &[Option<Mode>]| {
        let modes = modes.iter().copied().flatten().collect();
        run_parties(folder.path(), &Job { cluster: cluster.clone(), runs, modes, work: work.clone() })
    };
    let outcomes = run(runs, &modes)?;
    let errors = match &program {
        Program::Rounds(..) => vec![0.0, 0.0],
        Program::Evaluate(evaluation) => check(evaluation, folder.path(), &outcomes[0].modes)?,
    };
    let mut reports: Vec<Report> = Vec::new();
    for (index, (mode, error)) in modes.iter().zip(errors).enumerate() {
        // What one mode leaves in the process would count for the other: the memory of each is measured on its own.
        let peaks = if mode.is_none() || modes.len() == 1 { &outcomes } else { &run(1, &[*mode])? };
        let peak = peaks.iter().map(|party| party.peak_rss_mb).fold(0.0, f64::max);
        let name = match &program {
            Program::Rounds(_, against) if index == 0 => format!("{name} {against}"),
            _ => name.to_owned(),
        };
        reports.push(Report::new(name, *mode, outcomes.each_ref().map(|party| &party.modes[index]), peak, error));
    }
    let base = modes.iter().position(|mode| mode.is_none_or(|mode| mode == Mode::Passive));
    if let Some(base) = base {
        Report::compare(&mut reports, base);
    }
    Ok(reports)
}

/// Throw-away identities on free ports.
fn make_cluster(folder: &Path) -> Result<Cluster> {
    let mut parties = Vec::new();
    // All three are held until all are chosen, so that they differ.
    let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0"));
    for (role, socket) in Role::ALL.into_iter().zip(sockets) {
        let identity = Identity::generate(&role.to_string())?;
        identity.save(&job::identity(folder, role))?;
        parties.push(PartyEntry {
            name: role.to_string(),
            addresses: vec![socket?.local_addr()?.to_string()],
            fingerprints: vec![identity.fingerprint().to_string()],
        });
    }
    Ok(Cluster { parties })
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
    for secret in encode_weights(graph, weights)?.into_iter().chain([encoded.into_shared()]) {
        for (dealt, writer) in share::<Arithmetic, u64>(&secret)?.into_iter().zip(&mut writers) {
            let (own, next) = (dealt.own.expand(secret.shape()), dealt.next.expand(secret.shape()));
            writer.write([&own, &next])?;
        }
    }
    writers.iter_mut().try_for_each(ShareWriter::flush)
}

/// Starts the three processes; none may end before all are done, or its last messages might be lost.
fn run_parties(folder: &Path, job: &Job) -> Result<[Outcome; 3]> {
    job::write(&job::job(folder), job)?;
    let program = std::env::current_exe()?;
    let mut parties = Vec::new();
    for index in 0..3 {
        let mut command = Command::new(&program);
        command.args(["--party", &index.to_string(), "--folder"]).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        parties.push(command.spawn().context("cannot start a party")?);
    }
    for party in &mut parties {
        let done = party.stdout.as_mut().context("no pipe to a party")?;
        done.read_exact(&mut [0]).context("a party failed")?;
    }
    for (role, party) in Role::ALL.into_iter().zip(&mut parties) {
        drop(party.stdin.take());
        let status = party.wait()?;
        ensure!(status.success(), "{role} failed: {status}");
    }
    let outcomes = Role::ALL.iter().map(|role| job::read(&job::outcome(folder, *role))).collect::<Result<Vec<_>>>()?;
    outcomes.try_into().ok().context("three parties")
}

/// The largest error of a score against float64, by mode; a label must be that of the largest score.
fn check(evaluation: &Evaluation, folder: &Path, modes: &[Measured]) -> Result<Vec<f64>> {
    let Evaluation { graph, weights, input, reveal } = evaluation;
    let expected = clear::evaluate(graph, weights, input, &vec![1; input.shape()[0]])?;
    let best = expected.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index as u64);
    let mut readers = Vec::new();
    for role in Role::ALL {
        readers.push(ShareReader::open(&job::outputs(folder, role))?);
    }
    for Measured { shapes, .. } in modes {
        let label = match reveal {
            Reveal::Label => open::<Boolean>(&mut readers, &shapes[0])?,
            Reveal::Scores => {
                open::<Arithmetic>(&mut readers, &shapes[0])?;
                continue;
            }
        };
        ensure!(label.iter().copied().eq(best), "the label {label} is not that of the largest score, {best:?}");
    }
    let errors = modes.iter().map(|Measured { shapes, .. }| {
        let scores = open::<Arithmetic>(&mut readers, &shapes[1])?;
        let scores = scores.mapv(|word| fixed::decode(word, graph.output().frac_bits));
        Ok(scores.iter().zip(&expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f64::max))
    });
    errors.collect()
}

fn open<D: Domain>(parties: &mut [ShareReader], shape: &[usize]) -> Result<Tensor<u64>> {
    let shares = parties.iter_mut().map(|party| party.read::<D>(shape)).collect::<Result<Vec<_>>>()?;
    let shares: [Share<D, u64>; 3] = shares.try_into().ok().context("three parties")?;
    Ok(reconstruct(&shares)?)
}
