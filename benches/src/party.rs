//! One party, in a process of its own.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use mpc_core::inference::head::Released;
use mpc_core::inference::secure::{Weights, evaluate};
use mpc_core::model::Graph;
use mpc_core::model::manifest::Reveal;
use mpc_core::network::endpoint::Io;
use mpc_core::network::identity::Identity;
use mpc_core::network::lines::measure;
use mpc_core::network::mesh::Mesh;
use mpc_core::party::keep_freed_memory;
use mpc_core::prss::Prss;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::session::{Conditions, Meter, Mode};
use mpc_core::sharing::RangedShare;
use mpc_core::wire::cluster::Cluster;
use mpc_core::{Party, Role};

use crate::job::{self, Job, Measured, Outcome, ShareReader, ShareWriter, Variant, Work, head};
use crate::rounds;
use crate::session::{Clock, DEADLINE, barrier, id, session};

/// Does the job in `folder` as party number `index`.
pub(crate) fn run(index: usize, folder: &Path) -> Result<()> {
    let role = Role::from_index(index);
    let identity = Arc::new(Identity::load(&job::identity(folder, role))?);
    let Job { clusters, runs, work } = job::read(&job::job(folder))?;
    let cluster = &clusters[index];
    let address = &cluster.parties[index].addresses[0];
    keep_freed_memory();
    let io = Io::start()?;
    let socket = UdpSocket::bind(address).with_context(|| address.clone())?;
    let (mesh, _inbox) = Mesh::start(&io, socket, identity.clone(), role, cluster)?;
    io.handle().block_on(mesh.connected(DEADLINE))?;
    let (measured, lines) = match work {
        Work::Rounds { bytes, against } => {
            // The rounds over TCP bypass the relay, if there is one.
            let direct = clusters.iter().enumerate().map(|(party, cluster)| cluster.parties[party].clone());
            (rounds::run(&mesh, &identity, &Cluster { parties: direct.collect() }, runs, bytes, against)?, None)
        }
        Work::Evaluate { graph, batch, reveal, conditions, variants } => {
            let lines = measure(&mut session(&mesh, u32::MAX)?)?;
            let mut shares = ShareReader::open(&job::shares(folder, role))?;
            let weights = graph.weights.iter().map(|spec| shares.read(&spec.shape)).collect::<Result<_>>()?;
            let weights = Weights::new(weights);
            let dealt = shares.read::<Arithmetic>(&graph.input().full_shape(batch))?;
            let inputs = [RangedShare::new(dealt.own(), dealt.next(), graph.input_range())];
            let evaluation = Evaluation { mesh: &mesh, graph, weights, inputs, windows: vec![1; batch], conditions };
            let mut outputs = ShareWriter::create(&job::outputs(folder, role))?;
            (evaluation.run(runs, &variants, reveal, &mut outputs)?, Some(lines))
        }
    };
    job::write(&job::outcome(folder, role), &Outcome { measured, peak_rss_mb: peak_rss_mb()?, lines })?;
    std::io::stdout().write_all(&[0])?;
    std::io::stdout().flush()?;
    // The parent closes the pipe when all are done.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    io.handle().block_on(mesh.close("done"));
    Ok(())
}

struct Evaluation<'a> {
    mesh: &'a Mesh,
    graph: Graph,
    weights: Weights,
    inputs: [RangedShare; 1],
    windows: Vec<u32>,
    conditions: Conditions,
}

/// Both components of the output that a party gives to the client.
type Output = [Tensor<u64>; 2];

impl Evaluation<'_> {
    /// The variants take turns, so that other work on the machine affects all alike. The first turn warms up and the
    /// last one computes scores to be checked; neither is timed. The answers of the last timed turn and those scores go
    /// into `outputs`.
    fn run(&self, runs: u32, variants: &[Variant], reveal: Reveal, outputs: &mut ShareWriter) -> Result<Vec<Measured>> {
        let mut measured: Vec<_> = variants.iter().map(|_| Measured::default()).collect();
        let mut numbers = 0..;
        for turn in 0..=runs + 1 {
            let reveal = if turn > runs { Reveal::Scores } else { reveal };
            for (Variant { mode, sessions }, measured) in variants.iter().zip(&mut measured) {
                let parties = numbers.by_ref().take(*sessions).map(|number| self.party(number, *mode));
                let parties = parties.collect::<Result<Vec<_>>>()?;
                let clock = Clock::start();
                let (answers, meter) = self.evaluate_all(parties, reveal)?;
                let run = clock.stop();
                if (1..=runs).contains(&turn) {
                    measured.runs.push(run);
                    measured.meter = meter;
                }
                if turn >= runs {
                    for [own, next] in &answers {
                        measured.shapes.push(own.shape().to_vec());
                        outputs.write([own, next])?;
                    }
                }
            }
        }
        outputs.flush()?;
        Ok(measured)
    }

    /// A party in a fresh session that the others enter too.
    fn party(&self, number: u32, mode: Mode) -> Result<Party> {
        let mut network = session(self.mesh, number)?;
        let (own, next) = network.prss_keys()?;
        barrier(&mut network)?;
        Ok(Party::new(Box::new(network), Prss::new(own, next), mode, &id(number)))
    }

    /// Runs all sessions at the same time, the first one on this thread; also returns the cost of that one.
    fn evaluate_all(&self, parties: Vec<Party>, reveal: Reveal) -> Result<(Vec<Output>, Meter)> {
        let mut parties = parties.into_iter();
        let first = parties.next().context("a variant has at least one session")?;
        thread::scope(|scope| {
            let others: Vec<_> = parties.map(|party| scope.spawn(move || self.evaluate(party, reveal))).collect();
            let (answer, meter) = self.evaluate(first, reveal)?;
            let mut answers = vec![answer];
            for other in others {
                answers.push(other.join().map_err(|_| anyhow!("a session panicked"))??.0);
            }
            Ok((answers, meter))
        })
    }

    /// The evaluation, from the shares to the client's output, including the checks.
    fn evaluate(&self, mut party: Party, reveal: Reveal) -> Result<(Output, Meter)> {
        let Self { graph, weights, inputs, windows, conditions, .. } = self;
        let output = evaluate(&mut party, graph, weights, inputs, windows, &head(reveal), *conditions)?;
        let party = party.verify()?;
        match party.release(output)? {
            Released::ToClient(mut outputs) => Ok((outputs.swap_remove(0), party.meter())),
            Released::Kept(_) => unreachable!("nothing was to be kept"),
        }
    }
}

/// The peak memory of this process in MB, from `/proc` (0 without it).
fn peak_rss_mb() -> Result<f64> {
    let mut status = String::new();
    if let Ok(mut file) = std::fs::File::open("/proc/self/status") {
        file.read_to_string(&mut status)?;
    }
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    Ok(kib.unwrap_or(0.0) / 1024.0)
}
