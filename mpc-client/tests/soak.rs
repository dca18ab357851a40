//! Eight clients ask while parties are killed and paused and the lines between them cut, delayed, lossy and repeating:
//! every answer is right, every error names a party and comes in time, and no session remains.
//!
//! `MPC_SOAK` is the time in seconds (20 unless set), `MPC_SEED` repeats the choice of faults.

mod faults;
mod project;
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use faults::{Random, Relays};
use mpc_client::{Client, Cluster, Dealing, Encoded, Error, Identity, Mode, Model, preprocess};
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use project::{models, samples};
use support::{brightness_model, picture};
use tokio::runtime::Runtime;

/// Time limits of parties and clients.
const LIMITS: &str = "[limits]\nwait_s = 4\nsession_timeout_s = 15\n";

/// The longest a question may take: connecting, the session's time limit, and noticing that a party has gone.
const DEADLINE: Duration = Duration::from_secs(45);

const CLIENTS: usize = 8;

#[derive(Clone)]
struct Question {
    model: Model,
    input: Encoded,
    answer: String,
}

/// The outcomes of the questions.
#[derive(Default)]
struct Tally {
    right: usize,
    longest: Duration,
    errors: BTreeMap<String, usize>,
}

impl Question {
    /// Asks once over a fresh or a known connection. A wrong label fails the test.
    async fn ask(&self, cluster: &Cluster, identity: &Identity, client: &mut Option<Client>) -> Result<(), Error> {
        let known = match client.take() {
            Some(known) => known,
            None => Client::connect(cluster, identity).await?,
        };
        let limit = Duration::from_secs(15);
        let input = std::slice::from_ref(&self.input);
        let evaluation = known.classify(&self.model, input, Mode::Active, limit).await?;
        let label = &self.model.manifest.labels[evaluation.predictions[0].label];
        assert_eq!(*label, self.answer, "a wrong answer");
        *client = Some(known);
        Ok(())
    }
}

/// Publishes two models; pictures and recordings with known answers are the questions.
async fn questions(client: &Client, folder: &Path) -> Vec<Question> {
    let model = mpc_core::model::Model::load(&brightness_model(folder, "face", ["dark", "bright"])).expect("a model");
    client.publish(&model, &Dealing::fresh().expect("random numbers"), false).await.expect("published");
    let emotion = mpc_core::model::Model::load(&models().join("emotion")).expect("a model");
    client.publish(&emotion, &Dealing::fresh().expect("random numbers"), false).await.expect("published");
    let pictures = [(10, "dark"), (240, "bright")]
        .map(|(shade, label)| ("face", picture(folder, &format!("{label}.png"), shade), label.to_owned()));
    let recordings = samples("emotion").into_iter().map(|sample| ("emotion", sample.file, sample.label));
    let mut questions = Vec::new();
    for (name, file, answer) in pictures.into_iter().chain(recordings) {
        let model = client.model(name).await.expect("in service");
        let features = preprocess::prepare(&model.manifest, &file, Default::default()).expect("a good file").features;
        questions.push(Question { input: model.encode(&features).expect("within the range"), model, answer });
    }
    questions
}

fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().expect("kill runs").success());
}

/// MiB that a process holds.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

/// One fault, and its end.
fn inject(
    parties: &mut LocalCluster,
    relays: &Relays,
    random: &mut Random,
    counts: &mut BTreeMap<&'static str, usize>,
) {
    let role = Role::from_index(random.below(3) as usize);
    let (_, faults) = relays.pair(random.below(3));
    let milliseconds = [300, 1500, 3000, 7000][random.below(4) as usize];
    let hold = || std::thread::sleep(Duration::from_millis(milliseconds));
    let name = match random.below(7) {
        0 => {
            parties.kill(role);
            hold();
            parties.restart(role).expect("a process");
            "kill -9"
        }
        1 => {
            signal("-STOP", parties.process(role));
            hold();
            signal("-CONT", parties.process(role));
            "pause"
        }
        2 => {
            faults.cut.store(true, Ordering::Relaxed);
            hold();
            "partition"
        }
        3 => {
            faults.delay.store(40 + random.below(160) as u32, Ordering::Relaxed);
            hold();
            "delay and reorder"
        }
        4 => {
            faults.lost.store(20 + random.below(300) as u32, Ordering::Relaxed);
            hold();
            "loss"
        }
        5 => {
            faults.repeated.store(500, Ordering::Relaxed);
            hold();
            "repetition"
        }
        _ => {
            faults.lost.store(50, Ordering::Relaxed);
            faults.delay.store(20, Ordering::Relaxed);
            faults.repeated.store(100, Ordering::Relaxed);
            hold();
            "everything a little"
        }
    };
    faults.heal();
    *counts.entry(name).or_default() += 1;
}

#[test]
fn faults_give_errors_in_time_and_never_wrong_answers() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("MPC_SOAK").unwrap_or(20);
    let seed = number("MPC_SEED").unwrap_or_else(|| std::process::id().into());
    eprintln!("MPC_SEED={seed} MPC_SOAK={seconds}");
    let runtime = Runtime::new().expect("a runtime");
    let network = Runtime::new().expect("a runtime");
    let mut relays = Relays::default();
    let program = Path::new(env!("CARGO_BIN_EXE_mpc-client"));
    let mut parties = LocalCluster::routed(program, [LIMITS; 3], |from, to, address| {
        relays.between(network.handle(), from, to, address, seed ^ (from.index() * 3 + to.index()) as u64)
    })
    .expect("three parties");
    let folder = tempfile::tempdir().expect("a folder");
    parties.identity().save(&folder.path().join("client")).expect("a folder");
    let questions = runtime.block_on(async {
        let client = parties.connect().await.expect("connected");
        questions(&client, folder.path()).await
    });
    let cluster = parties.cluster().clone();

    let (tally, stop) = (Arc::new(Mutex::new(Tally::default())), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let identity = Identity::load(&folder.path().join("client")).expect("saved before");
            let (questions, cluster, tally, stop) = (questions.clone(), cluster.clone(), tally.clone(), stop.clone());
            runtime.spawn(async move {
                let mut connection = None;
                for question in questions.iter().cycle().skip(number) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let start = Instant::now();
                    let asked = tokio::time::timeout(DEADLINE, question.ask(&cluster, &identity, &mut connection));
                    let result = asked.await.expect("a question hangs");
                    let mut tally = tally.lock().expect("no panic");
                    tally.longest = tally.longest.max(start.elapsed());
                    match result {
                        Ok(()) => tally.right += 1,
                        Err(error) => *tally.errors.entry(error.to_string()).or_default() += 1,
                    }
                }
            })
        })
        .collect();

    let (start, mut random, mut counts) = (Instant::now(), Random(seed), BTreeMap::new());
    let mut memory: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    while start.elapsed() < Duration::from_secs(seconds) {
        inject(&mut parties, &relays, &mut random, &mut counts);
        std::thread::sleep(Duration::from_millis(200 + random.below(1500)));
        for process in Role::ALL.map(|role| parties.process(role)) {
            memory.entry(process).or_default().push(resident(process));
        }
    }
    stop.store(true, Ordering::Relaxed);
    relays.heal();
    for client in clients {
        runtime.block_on(client).expect("no wrong answer and no hang");
    }

    let tally = tally.lock().expect("no panic");
    eprintln!("{} right, longest {:.1} s, faults {counts:?}", tally.right, tally.longest.as_secs_f64());
    for (error, count) in &tally.errors {
        eprintln!("{count:5} x {error}");
        assert!(Role::ALL.iter().any(|role| error.contains(&role.to_string())), "names no party: {error}");
    }
    for (process, samples) in &memory {
        eprintln!("process {process}: {samples:?} MiB");
        assert!(samples.iter().all(|mib| *mib < 600), "memory grows");
    }
    assert!(tally.right > 0);
    drop(tally);

    // Nothing is left behind, and everything works.
    runtime.block_on(async {
        let client = parties.connect().await.expect("healed");
        let idle = async {
            while client.status().await.expect("connected").iter().any(|status| status.sessions > 0) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, idle).await.expect("a session is left");
        let mut client = Some(client);
        for question in &questions {
            question.ask(&cluster, parties.identity(), &mut client).await.expect("all faults are healed");
        }
    });
}
