//! `plan`: the cost of a question, before anybody asks it.

use std::time::Duration;

use mpc_client::{Mode, Model, Result};
use mpc_core::inference::Piece;
use mpc_core::inference::head::{Head, Templates};
use mpc_core::inference::rehearsal::{Spent, reference, rehearse};
use mpc_core::model::{Graph, ValueId};
use mpc_core::plan::{Plan, live_bytes, session_bytes};
use mpc_core::session::{Conditions, Id, Measured};
use mpc_core::wire::message::Question;
use serde::Serialize;

use super::{Needed, ask, blocking};
use crate::cli::{Global, PlanArgs};
use crate::output::{print_json, print_line};

/// The output with `--json`.
#[derive(Serialize)]
struct Forecast {
    command: &'static str,
    model: String,
    security: Mode,
    inputs: u32,
    /// The one-way latency that the times assume.
    latency_us: u32,
    rate_mbit: u32,
    layers: Vec<Layer>,
    total: Total,
}

/// A layer, or a step beside them. Milliseconds and bytes are those of one party.
#[derive(Serialize)]
struct Layer {
    name: String,
    operation: &'static str,
    rounds: u64,
    bytes_sent: u64,
    compute_ms: f64,
    /// Bytes of shares held after the layer, without weights.
    memory_bytes: u64,
    time_ms: f64,
    #[serde(skip_serializing_if = "String::is_empty")]
    how: String,
}

#[derive(Serialize)]
struct Total {
    rounds: u64,
    bytes_sent: u64,
    compute_ms: f64,
    /// The server's upper estimate.
    memory_bytes: u64,
    time_ms: f64,
}

/// Rehearses a question to a model of the cluster and prints what it will cost.
pub(crate) async fn run(global: &Global, args: PlanArgs) -> Result<()> {
    let (model, measured) = ask(global, Needed::One(&args.model), async |client, progress| {
        let model = client.model(&args.model).await?;
        progress.say("rehearsing");
        Ok((model, client.measured().await?))
    })
    .await?;
    let (security, json) = (Mode::from(args.trust.security).max(model.minimum), global.json);
    let forecast = blocking(move || forecast(&model, security, &args, measured)).await?;
    if json { print_json(&forecast) } else { print_table(&forecast) }
}

fn forecast(model: &Model, security: Mode, args: &PlanArgs, measured: Option<Measured>) -> Result<Forecast> {
    let work = reference(cpu);
    let measured = measured.unwrap_or(Measured {
        conditions: Conditions::default(),
        work_us: work.as_micros().try_into().unwrap_or(u32::MAX),
    });
    let conditions = Conditions {
        latency_us: args.rtt.map_or(measured.conditions.latency_us, one_way),
        rate_mbit: args.rate.unwrap_or(measured.conditions.rate_mbit),
    };
    let measured = Measured { conditions, ..measured };
    let graph = &model.graph;
    let windows = vec![args.windows.unwrap_or(1); args.inputs as usize];
    let samples = windows.iter().map(|&n| n as usize).sum();
    let templates = Templates::rehearsed(model.manifest.outputs(), args.enrolled as usize);
    let question =
        if model.manifest.task.compares() { Question::Who { gallery: Id::default() } } else { Question::Label };
    let head = Head::new(&question, &model.manifest, graph, windows.len(), Some(&templates))?;
    let pieces = rehearse(graph, &windows, &head, security, conditions, cpu)?;
    let search = head.search(graph, windows.len());
    let plan = Plan::new(graph, samples, search, conditions);
    let memory = live_bytes(graph, samples);
    let layers: Vec<Layer> = pieces
        .iter()
        .filter(|spent| !matches!(spent.piece, Piece::Node(_)) || spent.meter.rounds > 0 || spent.cpu > NOTHING)
        .map(|spent| layer(graph, &plan, &memory, spent, spent.time(&measured, work)))
        .collect();
    let total = Total {
        rounds: pieces.iter().map(|spent| spent.meter.rounds).sum(),
        bytes_sent: pieces.iter().map(|spent| spent.meter.bytes_sent).sum(),
        compute_ms: pieces.iter().map(|spent| milliseconds(spent.cpu)).sum(),
        memory_bytes: session_bytes(graph, samples, search, security),
        time_ms: pieces.iter().map(|spent| milliseconds(spent.time(&measured, work))).sum(),
    };
    let Conditions { latency_us, rate_mbit } = conditions;
    let (model, inputs) = (model.manifest.name.clone(), args.inputs);
    Ok(Forecast { command: "plan", model, security, inputs, latency_us, rate_mbit, layers, total })
}

/// Layers that only rearrange take less than this and are not listed.
const NOTHING: Duration = Duration::from_micros(50);

fn layer(graph: &Graph, plan: &Plan, memory: &[u64], spent: &Spent, time: Duration) -> Layer {
    let last = memory.last().copied().unwrap_or(0);
    let (name, operation, memory_bytes, how) = match spent.piece {
        Piece::Agreement => ("agreement".into(), "", memory[0], String::new()),
        Piece::Node(id) => {
            let node = &graph.nodes[id];
            (node.name.clone(), node.op.name(), memory[id], choice(graph, plan, id))
        }
        Piece::Head => ("answer".into(), "", last, plan.argmax().to_string()),
        Piece::Verification => ("verification".into(), "", last, String::new()),
    };
    Layer {
        name,
        operation,
        rounds: spent.meter.rounds,
        bytes_sent: spent.meter.bytes_sent,
        compute_ms: milliseconds(spent.cpu),
        memory_bytes,
        time_ms: milliseconds(time),
        how,
    }
}

/// The plan's choice for a node, or for the pool before a ReLU that completes it.
fn choice(graph: &Graph, plan: &Plan, id: ValueId) -> String {
    let before = graph.nodes[id].inputs.first().and_then(|&input| plan.pool(input)).filter(|pool| pool.with_relu);
    plan.pool(id).or(before).map(ToString::to_string).unwrap_or_default()
}

fn print_table(forecast: &Forecast) -> Result<()> {
    let Forecast { model, security, inputs, latency_us, rate_mbit, layers, total, .. } = forecast;
    let latency = f64::from(*latency_us) / 1e3;
    print_line(&format!(
        "{model}, {inputs} input{}, {security} security, {latency} ms one way, {rate_mbit} Mbit/s",
        if *inputs == 1 { "" } else { "s" }
    ))?;
    let width = layers.iter().map(|layer| layer.name.len()).max().unwrap_or(0).max("layer".len());
    print_line(&format!(
        "{:width$}  {:10} {:>7} {:>10} {:>11} {:>10} {:>9}",
        "layer", "operation", "rounds", "sent kB", "compute ms", "memory MB", "time ms"
    ))?;
    let row = |name: &str, operation: &str, rounds, bytes, compute, memory, time: f64, how: &str| {
        let (sent, memory) = (bytes as f64 / 1e3, memory as f64 / 1e6);
        let line = format!(
            "{name:width$}  {operation:10} {rounds:>7} {sent:>10.1} {compute:>11.2} {memory:>10.1} {time:>9.1}  {how}"
        );
        print_line(line.trim_end())
    };
    for l in layers {
        row(&l.name, l.operation, l.rounds, l.bytes_sent, l.compute_ms, l.memory_bytes, l.time_ms, &l.how)?;
    }
    row("total", "", total.rounds, total.bytes_sent, total.compute_ms, total.memory_bytes, total.time_ms, "")
}

/// Half the round trip, and the time to wake a thread.
fn one_way(rtt: Duration) -> u32 {
    let waking = u128::from(Conditions::LOOPBACK.latency_us);
    (rtt.as_micros() / 2 + waking).try_into().unwrap_or(u32::MAX)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Processor time of this process.
#[cfg(unix)]
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Wall-clock time where there is no such clock, as if each party had its own processor.
#[cfg(not(unix))]
fn cpu() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed() * 3
}
