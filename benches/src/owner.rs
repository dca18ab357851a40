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
use mpc_core::sharing::{Share, reconstruct, share};
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use ndarray::ArrayD;

use crate::job::{self, Job, Outcome, ShareReader, ShareWriter, Work};
use crate::programs::{self, Evaluation, Program};
use crate::report::Report;

/// Times the programs and prints the results.
pub(crate) fn run(names: &[String], runs: u32, json: bool) -> Result<()> {
    let mut out = anstream::stdout();
    if !json {
        Report::print_heading(&mut out)?;
    }
    for name in names {
        let report = time(name, runs).with_context(|| name.clone())?;
        if json { report.print_json(&mut out)? } else { report.print_row(&mut out)? }
    }
    Ok(())
}

fn time(name: &str, runs: u32) -> Result<Report> {
    let program = programs::build(name)?;
    let folder = tempfile::tempdir()?;
    let cluster = make_cluster(folder.path())?;
    let work = match &program {
        Program::Rounds(bytes) => Work::Rounds { bytes: *bytes },
        Program::Evaluate(evaluation) => {
            deal(evaluation, folder.path())?;
            let Evaluation { graph, reveal, input, .. } = &**evaluation;
            Work::Evaluate { graph: graph.clone(), batch: input.shape()[0], reveal: *reveal }
        }
    };
    job::write(&job::job(folder.path()), &Job { cluster, runs, work })?;
    run_parties(folder.path())?;
    let mut outcomes = Vec::new();
    for role in Role::ALL {
        outcomes.push(job::read(&job::outcome(folder.path(), role))?);
    }
    let outcomes: [Outcome; 3] = outcomes.try_into().ok().context("three parties")?;
    let error = match &program {
        Program::Rounds(_) => 0.0,
        Program::Evaluate(evaluation) => check(evaluation, folder.path(), &outcomes[0].shapes)?,
    };
    Ok(Report::new(name, &outcomes, error))
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
            writer.write(&Share::<Arithmetic, u64>::new(own, next))?;
        }
    }
    writers.iter_mut().try_for_each(ShareWriter::flush)
}

/// Starts the three processes; none may end before all are done, or its last messages might be lost.
fn run_parties(folder: &Path) -> Result<()> {
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
    Ok(())
}

/// The largest error of a score against float64; a label must be that of the largest score.
fn check(evaluation: &Evaluation, folder: &Path, shapes: &[Vec<usize>]) -> Result<f64> {
    let Evaluation { graph, weights, input, reveal } = evaluation;
    let expected = clear::evaluate(graph, weights, input, &vec![1; input.shape()[0]])?;
    let mut readers = Vec::new();
    for role in Role::ALL {
        readers.push(ShareReader::open(&job::outputs(folder, role))?);
    }
    let [answer, scores] = shapes else { anyhow::bail!("the parties left {} outputs", shapes.len()) };
    let label = match reveal {
        Reveal::Label => Some(open::<Boolean>(&mut readers, answer)?),
        Reveal::Scores => open::<Arithmetic>(&mut readers, answer).map(|_| None)?,
    };
    let scores = open::<Arithmetic>(&mut readers, scores)?.mapv(|word| fixed::decode(word, graph.output().frac_bits));
    if let Some(label) = label {
        let best = expected.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index as u64);
        ensure!(label.iter().copied().eq(best), "the label {label} is not that of the largest score, {best:?}");
    }
    Ok(scores.iter().zip(&expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f64::max))
}

fn open<D: Domain>(parties: &mut [ShareReader], shape: &[usize]) -> Result<Tensor<u64>> {
    let shares = parties.iter_mut().map(|party| party.read::<D>(shape)).collect::<Result<Vec<_>>>()?;
    let shares: [Share<D, u64>; 3] = shares.try_into().ok().context("three parties")?;
    Ok(reconstruct(&shares)?)
}
