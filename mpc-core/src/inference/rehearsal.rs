//! What an evaluation will cost, layer by layer, found out by doing it: three parties in this process evaluate the
//! graph on dummy shares.
//!
//! What parties send and compute does not depend on what they hold, so rounds and bytes are those of the real
//! evaluation, checks of active security included, and so is the processor time except for the transport and the speed
//! of the machine.

use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Piece;
use super::head::Head;
use super::secure::{self, Weights};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::model::{Graph, Node};
use crate::network::lines::reference_work;
use crate::network::memory::{self, MemoryNetwork};
use crate::party::Party;
use crate::prss::Prss;
use crate::role::Role;
use crate::session::{Conditions, Measured, Meter, Mode};
use crate::sharing::{ArithmeticShare, RangedShare, Share, tensor};

/// Longest wait of a rehearsing party for another one.
const DEADLINE: Duration = Duration::from_secs(600);

/// What a piece costs a party.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// The piece.
    pub piece: Piece,
    /// Rounds, and bytes that the party sends.
    pub meter: Meter,
    /// Processor time, transport not included.
    pub cpu: Duration,
}

impl Spent {
    /// How long it takes parties that have measured `measured`, if this process takes `work` of processor time for the
    /// [reference work](crate::network::lines::reference_work).
    pub fn time(&self, measured: &Measured, work: Duration) -> Duration {
        let Conditions { latency_us, rate_mbit } = measured.conditions;
        let rounds = self.meter.rounds as f64 * f64::from(latency_us) * 1e-6;
        let sending = self.meter.bytes_sent as f64 * 8e-6 / f64::from(rate_mbit);
        let slower = f64::from(measured.work_us) * 1e-6 / work.as_secs_f64().max(1e-9);
        Duration::from_secs_f64(rounds + sending + self.cpu.as_secs_f64() * slower)
    }
}

/// Evaluates `graph` in this process for `windows`, one entry an input. `clock` tells the processor time of the
/// process.
///
/// # Errors
/// Those of [`secure::evaluate`].
pub fn rehearse(
    graph: &Graph,
    windows: &[u32],
    head: &Head<'_>,
    mode: Mode,
    conditions: Conditions,
    clock: impl Fn() -> Duration + Sync,
) -> Result<Vec<Spent>> {
    let weights = graph.weights.iter().map(|spec| ones(&spec.shape)).collect();
    let weights = Weights::new(weights);
    let samples = windows.iter().map(|&n| n as usize).sum();
    let dealt = |input: &Node| {
        let words = ones(&input.facts.full_shape(samples));
        RangedShare::new(words.own(), words.next(), input.facts.input_range())
    };
    let inputs: Vec<RangedShare> = graph.inputs().iter().map(dealt).collect();
    let evaluate = |network: MemoryNetwork| -> Result<Vec<Spent>> {
        let mut party = party(network, mode);
        let (mut pieces, mut before) = (Vec::new(), (Meter::default(), clock()));
        let mut observe = |meter: Meter, piece: Piece| {
            let cpu = clock();
            let spent =
                Meter { rounds: meter.rounds - before.0.rounds, bytes_sent: meter.bytes_sent - before.0.bytes_sent };
            // The three parties keep step, and do the same work.
            pieces.push(Spent { piece, meter: spent, cpu: (cpu - before.1) / 3 });
            before = (meter, cpu);
        };
        let evaluated =
            secure::evaluate_observed(&mut party, graph, &weights, &inputs, windows, (head, conditions), &mut observe);
        drop(evaluated.inspect_err(|error| party.link().abort(error))?);
        observe(party.verify()?.meter(), Piece::Verification);
        Ok(pieces)
    };
    thread::scope(|scope| {
        let [p0, p1, p2] = memory::mesh(DEADLINE).map(|network| scope.spawn(|| evaluate(network)));
        let [p0, p1, p2] = [p0, p1, p2].map(|party| party.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        p1.and(p2).and(p0)
    })
}

/// Processor time of a party in this process for the [reference work](crate::network::lines::reference_work), while two
/// others do the same.
pub fn reference(clock: impl Fn() -> Duration) -> Duration {
    const TIMES: u32 = 8;
    let kernel = Kernel::detect();
    let work = || {
        thread::scope(|scope| {
            for _ in Role::ALL {
                scope.spawn(|| (0..TIMES).for_each(|_| reference_work(kernel)));
            }
        });
    };
    work();
    let before = clock();
    work();
    (clock() - before) / (3 * TIMES)
}

/// A sharing of nonzero numbers: pages of zeros may not be backed by memory, and would be faster than real ones.
fn ones(shape: &[usize]) -> ArithmeticShare {
    let component = tensor(shape, vec![1; shape.iter().product()]);
    Share::new(component.clone(), component)
}

/// Keys protect nothing here: everybody knows what is shared.
fn party(network: MemoryNetwork, mode: Mode) -> Party {
    use crate::network::Network;
    let key = |role: Role| Zeroizing::new([role.index() as u8; 32]);
    let prss = Prss::new(key(network.role()), key(network.role().next()));
    Party::new(Box::new(network), prss, mode, &[0; 32])
}
