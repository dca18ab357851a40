//! Runs programs with one party cheating, and judges what came out.

use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use mpc_core::inference::head::{Output, Released};
use mpc_core::network::Network;
use mpc_core::party::{Computed, VerifiedParty};
use mpc_core::protocol::open::open;
use mpc_core::prss::Prss;
use mpc_core::ring::{Arithmetic, Boolean, Domain, Tensor};
use mpc_core::session::Mode;
use mpc_core::sharing::{ArithmeticShare, Share, reconstruct};
use mpc_core::testing::computed;
use mpc_core::testing::fault::{Corrupt, Fault, Recording, Script, Sent, run_verified_with_cheater};
use mpc_core::{Error, Party, Result, Role};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::programs::{Dealer, Program};

/// One computation with one corrupt party; the seed decides secrets, shares and keys.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) program: Program,
    pub(crate) cheater: Role,
    pub(crate) seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} corrupt, seed {}", self.program.name, self.cheater, self.seed)
    }
}

/// What a fault has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client has the right answer.
    Right,
    /// Both honest parties know that somebody cheats and end the session.
    Cheating,
    /// Both honest parties end the session because of something else.
    Aborted,
    /// In its last message the cheater lied to one honest party, which ends the session and gives the client nothing.
    /// The other one was done by then, with the right share.
    Alone,
    /// A message had another length than it must have.
    Framing,
    /// The client has a wrong answer, or an honest party has gone on with a wrong share or without the other one.
    Wrong,
}

/// How many faults of each kind had which outcome.
#[derive(Default)]
pub(crate) struct Tally {
    counts: [[usize; 6]; Fault::ALL.len()],
    impossible: [usize; Fault::ALL.len()],
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, fault: Fault, outcome: Outcome, what: impl FnOnce() -> String) {
        self.counts[fault as usize][outcome as usize] += 1;
        if outcome == Outcome::Wrong {
            self.wrong.push(what());
        }
    }

    /// Adds what another run has counted.
    pub(crate) fn absorb(&mut self, other: Tally) {
        for (mine, theirs) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *mine += theirs;
        }
        self.impossible.iter_mut().zip(other.impossible).for_each(|(mine, theirs)| *mine += theirs);
        self.wrong.extend(other.wrong);
    }

    /// How many faults of this kind had this outcome.
    pub(crate) fn count(&self, fault: Fault, outcome: Outcome) -> usize {
        self.counts[fault as usize][outcome as usize]
    }

    /// Faults that something better than framing had to judge.
    pub(crate) fn counted(&self) -> usize {
        Fault::ALL.iter().map(|&fault| self.of(fault) - self.count(fault, Outcome::Framing)).sum()
    }

    /// Faults of this kind.
    pub(crate) fn of(&self, fault: Fault) -> usize {
        self.counts[fault as usize].iter().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = ["right", "cheating", "aborted", "alone", "framing", "WRONG", "impossible"];
        writeln!(f, "{:>14} {}", "", columns.map(|c| format!("{c:>10}")).concat())?;
        for fault in Fault::ALL {
            let numbers = self.counts[fault as usize].iter().chain([&self.impossible[fault as usize]]);
            let numbers: String = numbers.map(|n| format!("{n:>10}")).collect();
            writeln!(f, "{:>14} {numbers}", format!("{fault:?}"))?;
        }
        write!(f, "{} counted faults, {} wrong answers", self.counted(), self.wrong.len())
    }
}

/// What a party hands to the client: both components of the answer.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    labels: bool,
    components: [Tensor<u64>; 2],
}

/// Where and how the parties meet.
pub(crate) struct Suite<'a> {
    /// The three ends of a new session whose waits give up after this long.
    pub(crate) connect: &'a (dyn Fn(Duration) -> [Box<dyn Network>; 3] + Sync),
    /// What they do about cheating.
    pub(crate) mode: Mode,
    /// How long to wait for a message that never comes.
    pub(crate) patience: Duration,
    /// Sessions at a time.
    pub(crate) threads: usize,
}

/// Long enough for everything that comes at all.
const LONG: Duration = Duration::from_secs(30);

/// How often to try a session.
const TRIES: usize = 5;

/// Sessions at a time where most of them wait for a message that never comes.
const WAITING: usize = 16;

impl Suite<'_> {
    /// Every fault in every message of the corrupt party, for each of `cases`.
    pub(crate) fn attack(&self, cases: Vec<Case>) -> Tally {
        let (tally, dropped) = (Mutex::new(Tally::default()), Mutex::new(Vec::new()));
        in_parallel(self.threads, cases, |case| {
            let (earlier, _) = self.honest(Case { seed: !case.seed, ..case });
            let (sent, honest) = self.honest(case);
            lie_to_the_client(case, &honest, &tally);
            for (at, message) in sent.iter().enumerate() {
                for fault in Fault::ALL {
                    let mut rng = ChaCha12Rng::seed_from_u64(case.seed);
                    rng.set_stream((at * Fault::ALL.len() + fault as usize) as u64);
                    let Some(script) = fault.script(&sent, at, &earlier, &mut rng) else {
                        lock(&tally).impossible[fault as usize] += 1;
                        continue;
                    };
                    let last = !sent[at + 1..].iter().any(|later| later.same_channel(message));
                    let (message, honest) = (message.clone(), honest.clone());
                    let attempt = Attempt { case, fault, script, message, last, honest };
                    match fault {
                        Fault::Drop => lock(&dropped).push(attempt),
                        _ => self.judge(&attempt, &tally),
                    }
                }
            }
        });
        let dropped = dropped.into_inner().expect("no panic");
        in_parallel(WAITING, dropped, |attempt| self.judge(&attempt, &tally));
        tally.into_inner().expect("no panic")
    }

    /// What the corrupt party sends if it does not cheat, and what everybody hands to the client.
    fn honest(&self, case: Case) -> (Vec<Sent>, [Part; 3]) {
        let (sent, results) = self.run(case, &Script::new(), LONG, |_, results| !silent(case, results));
        (sent, results.map(|result| result.expect("an honest run succeeds")))
    }

    /// Runs a case until the run is valid: a machine that stands still for a while looks like a party that does.
    fn run(
        &self,
        case: Case,
        script: &Script,
        mut patience: Duration,
        valid: impl Fn(&[Sent], &[Result<Part>; 3]) -> bool,
    ) -> (Vec<Sent>, [Result<Part>; 3]) {
        for _ in 0..TRIES {
            let (sent, results) = self.run_once(case, script.clone(), patience);
            if valid(&sent, &results) {
                return (sent, results);
            }
            patience = LONG.min(4 * patience);
        }
        panic!("{case} hangs with {script:?}");
    }

    fn run_once(&self, case: Case, script: Script, deadline: Duration) -> (Vec<Sent>, [Result<Part>; 3]) {
        let (recording, mut script) = (Recording::default(), Some(script));
        let mut keys = [[0; 32]; 3];
        let mut rng = ChaCha12Rng::seed_from_u64(case.seed);
        keys.iter_mut().for_each(|key| rng.fill_bytes(key));
        let parties = (self.connect)(deadline).map(|network| {
            let role = network.role();
            let network = match script.take_if(|_| role == case.cheater) {
                Some(script) => Box::new(Corrupt::new(network, script, recording.clone())),
                None => network,
            };
            let [own, next] = [role, role.next()].map(|key| keys[key.index()].into());
            Party::new(network, Prss::new(own, next), self.mode, &[7; 32])
        });
        let results = run_verified_with_cheater(case.cheater, parties, |party| compute(case, party), finish);
        (recording.take(), results)
    }

    /// Carries out one attempt.
    fn judge(&self, attempt: &Attempt, tally: &Mutex<Tally>) {
        let Attempt { case, fault, script, message, .. } = attempt;
        let drops = *fault == Fault::Drop;
        let patience = if drops { self.patience } else { LONG };
        let (_, results) = self.run(*case, script, patience, |sent, results| {
            // Sessions are replayable, so the message is always the one that the fault was made for. It may not be sent
            // at all where the fault begins with another one, which is found before.
            caught(*case, results) || sent.contains(message) && (drops || !silent(*case, results))
        });
        lock(tally).add(*fault, attempt.outcome(&results), || format!("{case}: {fault:?} in {:?}", message.place));
    }
}

/// Whether an honest party has waited for what did not come.
fn silent(case: Case, results: &[Result<Part>; 3]) -> bool {
    let honest = [case.cheater.next(), case.cheater.prev()].map(|role| &results[role.index()]);
    honest.iter().any(|result| matches!(result, Err(Error::Timeout { .. } | Error::Transport { .. })))
}

/// Whether both honest parties have found that somebody cheats.
fn caught(case: Case, results: &[Result<Part>; 3]) -> bool {
    let honest = [case.cheater.next(), case.cheater.prev()].map(|role| &results[role.index()]);
    honest.iter().all(|result| matches!(result, Err(Error::Cheating { .. })))
}

/// What a party of this case has computed.
struct Finished {
    output: Computed<Output>,
    labels: bool,
    /// To be opened instead.
    scores: Option<Computed<ArithmeticShare>>,
}

/// What a party of this case does until it verifies.
fn compute(case: Case, party: &mut Party) -> Result<Finished> {
    let mut dealer = Dealer::new(party.role(), case.seed);
    let output = (case.program.run)(party, &mut dealer)?;
    let scores = match &output {
        Output::Scores(scores) if dealer.opens => Some(computed(party, scores[0].clone())),
        _ => None,
    };
    Ok(Finished { labels: matches!(output, Output::Labels(_)), output: computed(party, output), scores })
}

/// What it does then.
fn finish(party: &mut VerifiedParty, finished: Finished) -> Result<Part> {
    let Finished { output, labels, scores } = finished;
    let components = match scores {
        Some(scores) => {
            // The client is told what was opened.
            let opened = open(party, scores)?;
            let share: ArithmeticShare = Share::public(party.role(), &opened);
            [share.own().clone(), share.next().clone()]
        }
        None => match party.release(output)? {
            Released::ToClient(mut outputs) => outputs.swap_remove(0),
            Released::Kept(kept) => [kept.own().clone(), kept.next().clone()],
        },
    };
    Ok(Part { labels, components })
}

/// Something that a corrupt party tries in one session.
struct Attempt {
    case: Case,
    fault: Fault,
    script: Script,
    message: Sent,
    /// Whether nothing follows it to its receiver.
    last: bool,
    /// What everybody hands to the client in an honest run.
    honest: [Part; 3],
}

impl Attempt {
    fn outcome(&self, results: &[Result<Part>; 3]) -> Outcome {
        let [first, second] = [self.case.cheater.next(), self.case.cheater.prev()];
        let right = |role: Role, part: &Part| *part == self.honest[role.index()];
        match (&results[first.index()], &results[second.index()]) {
            (Ok(a), Ok(b)) => {
                // To the client the cheater says what fits.
                let fitting = [b.components[1].clone(), a.components[0].clone()];
                let mut parts = [Part { labels: a.labels, components: fitting }, a.clone(), b.clone()];
                parts.rotate_right(self.case.cheater.index());
                if client(&parts) == client(&self.honest) { Outcome::Right } else { Outcome::Wrong }
            }
            (Ok(a), Err(_)) if self.last && right(first, a) => Outcome::Alone,
            (Err(_), Ok(b)) if self.last && right(second, b) => Outcome::Alone,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => Outcome::Wrong,
            (Err(a), Err(b)) if [a, b].iter().any(|e| matches!(e, Error::Malformed { .. })) => Outcome::Framing,
            (Err(Error::Cheating { .. }), Err(Error::Cheating { .. })) => Outcome::Cheating,
            _ => Outcome::Aborted,
        }
    }
}

/// The last message of all: what the corrupt party hands to the client.
fn lie_to_the_client(case: Case, honest: &[Part; 3], tally: &Mutex<Tally>) {
    let truth = &honest[case.cheater.index()];
    let bytes: Vec<u8> = truth.components.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
    for fault in Fault::ALL {
        let Some(lie) = fault.alter(&bytes, &mut ChaCha12Rng::seed_from_u64(case.seed)) else { continue };
        let mut words = lie.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
        let component = |t: &Tensor<u64>| t.mapv(|_| words.next().expect("as many words")).into_shared();
        let mut parts = honest.clone();
        parts[case.cheater.index()].components = truth.components.each_ref().map(component);
        let outcome = match client(&parts) {
            Err(Error::Cheating { .. }) => Outcome::Cheating,
            answer if answer == client(honest) => Outcome::Right,
            _ => Outcome::Wrong,
        };
        lock(tally).add(fault, outcome, || format!("{case}: {fault:?} in what the client is told"));
    }
}

/// What the client makes of the three parts.
fn client(parts: &[Part; 3]) -> Result<Tensor<u64>> {
    fn join<D: Domain>(parts: &[Part; 3]) -> Result<Tensor<u64>> {
        reconstruct(&parts.each_ref().map(|part| {
            let [own, next] = part.components.clone();
            Share::<D, u64>::new(own, next)
        }))
    }
    if parts[0].labels { join::<Boolean>(parts) } else { join::<Arithmetic>(parts) }
}

/// Runs `f` on all items, some at a time.
fn in_parallel<T: Send>(threads: usize, items: Vec<T>, f: impl Fn(T) + Sync) {
    let items = Mutex::new(items.into_iter());
    let next = || lock(&items).next();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| std::iter::from_fn(next).for_each(&f));
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while locked")
}
