//! What a call to a party shows about it, as findings for people and for scripts.

use std::fmt;
use std::time::{Duration, Instant};

use quinn::{Connection, Endpoint};
use serde::Serialize;
use tokio::time::timeout;

use super::certificate::{date, now};
use super::endpoint::{self, close, explain};
use super::identity::Identity;
use super::reach::reach;
use super::stream;
use crate::role::Role;
use crate::wire::cluster::PartyEntry;
use crate::wire::message::{MAX_CONTROL, PROBE_BYTES, Purpose, Reply, Request, Status, Versioned};

/// Time limit for a party to answer a call.
const CALL: Duration = Duration::from_secs(3);

/// Time limit for each answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Clocks further apart than this get a warning; beyond [`CLOCKS_FAIL`], parties refuse requests.
const CLOCKS_WARN: Duration = Duration::from_secs(30);

/// See [`CLOCKS_WARN`].
const CLOCKS_FAIL: Duration = Duration::from_secs(300);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well.
    Ok,
    /// It works, but needs attention.
    Warning,
    /// It does not work.
    Problem,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The subject: the files of this party, or a party by role and name.
    pub about: String,
    /// How bad it is.
    pub level: Level,
    /// The result, and what to do about it.
    pub text: String,
}

/// All findings, in order; printed, one per line.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds a finding.
    pub fn add(&mut self, about: &str, level: Level, text: impl Into<String>) {
        self.findings.push(Finding { about: about.into(), level, text: text.into() });
    }

    /// Adds `well` where `looked` succeeded, else the problem; returns the value.
    pub fn expect<T, E: fmt::Display>(&mut self, about: &str, looked: Result<T, E>, well: &str) -> Option<T> {
        match looked {
            Ok(found) => {
                self.add(about, Level::Ok, well);
                Some(found)
            }
            Err(e) => {
                self.add(about, Level::Problem, e.to_string());
                None
            }
        }
    }

    /// Whether there is no problem.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Problem)
    }

    /// Calls a party, measures the line, and asks for the party's status, which it returns if there is one.
    pub async fn visit(
        &mut self,
        endpoint: &Endpoint,
        identity: &Identity,
        role: Role,
        entry: &PartyEntry,
    ) -> Option<Status> {
        let about = format!("{role} ({})", entry.name);
        let connection = match reach(endpoint, identity, Purpose::Ask, entry, CALL).await {
            Ok(connection) => connection,
            Err(unreachable) => {
                self.add(&about, Level::Problem, unreachable.to_string());
                return None;
            }
        };
        let address = entry.addresses.first().map_or("", String::as_str);
        let status = match ask(&connection).await {
            Ok(status) => status,
            Err(reason) => {
                self.add(&about, Level::Problem, format!("{address}: it answers, but gives no status: {reason}"));
                return None;
            }
        };
        let rtt = connection.rtt().as_secs_f64() * 1e3;
        self.add(&about, Level::Ok, format!("{address} answers with the expected key; round trip {rtt:.1} ms"));
        match measure(&connection).await {
            Ok([up, down]) => {
                self.add(&about, Level::Ok, format!("1 MiB took {up:.0} Mbit/s to it and {down:.0} Mbit/s from it"));
            }
            Err(reason) => self.add(&about, Level::Warning, format!("the bandwidth could not be measured: {reason}")),
        }
        if let Some(validity) = endpoint::peer_validity(&connection) {
            let (day, left) = (date(validity.until), validity.days_left());
            let text = format!("its certificate expires on {day}, in {left} days");
            match validity.ends_soon() {
                true => self.add(&about, Level::Warning, text + "; its operator must renew it and reload"),
                false => self.add(&about, Level::Ok, text),
            }
        }
        self.judge(&about, role, &status);
        connection.close(close::DONE, b"");
        Some(status)
    }

    fn judge(&mut self, about: &str, role: Role, status: &Status) {
        if usize::from(status.role) != role.index() {
            let text =
                format!("it says that it is P{}: its `role`, or the order in cluster.toml, is wrong", status.role);
            self.add(about, Level::Problem, text);
        }
        let apart = Duration::from_secs(status.clock_s.abs_diff(now()));
        if apart > CLOCKS_WARN {
            let level = if apart > CLOCKS_FAIL { Level::Problem } else { Level::Warning };
            self.add(
                about,
                level,
                format!("its clock and the one here are {} s apart; set them by NTP", apart.as_secs()),
            );
        }
        let ours = env!("CARGO_PKG_VERSION");
        if status.program != ours {
            self.add(
                about,
                Level::Warning,
                format!("it runs version {}, this is {ours}; update the older one", status.program),
            );
        }
        for problem in status.not_ready.iter().chain(&status.problems) {
            self.add(about, Level::Problem, problem.clone());
        }
        for (peer, trouble) in [role.next(), role.prev()].into_iter().zip(&status.troubles) {
            match trouble.is_empty() {
                true => self.add(about, Level::Ok, format!("it is connected to {peer}")),
                false => self.add(about, Level::Problem, format!("it is not connected to {peer}: {trouble}")),
            }
        }
    }

    /// Compares the statuses of the parties.
    pub fn compare(&mut self, statuses: &[Status]) {
        const ABOUT: &str = "models";
        let told: Vec<_> = statuses.iter().map(|status| format!("P{}: {}", status.role, status.revision)).collect();
        if statuses.windows(2).any(|two| two[0].revision != two[1].revision) {
            let text = "their lists of what is in service differ (change number {}); P0 sends the others its list when all connect";
            self.add(ABOUT, Level::Problem, text.replace("{}", &told.join(", ")));
        } else if let [first, _, ..] = statuses {
            let text = format!("the parties agree on what is in service, after {} changes", first.revision);
            self.add(ABOUT, Level::Ok, text);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { about, level, text } in &self.findings {
            let level = match level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Problem => "PROBLEM",
            };
            writeln!(f, "{level:8} {about}: {text}")?;
        }
        Ok(())
    }
}

async fn ask(connection: &Connection) -> Result<Status, String> {
    let answer = async {
        let (mut send, mut recv) = connection.open_bi().await?;
        stream::send(&mut send, &Versioned::new(Request::Status)).await?;
        stream::receive(&mut recv, MAX_CONTROL).await
    };
    match timeout(ANSWER, answer).await {
        Ok(Ok(Reply::Status(status))) => Ok(status),
        Ok(Ok(Reply::Refused(refusal))) => Err(refusal.reason),
        Ok(Ok(_)) => Err("it answered another question".into()),
        Ok(Err(e)) => Err(connection.close_reason().map_or_else(|| e.to_string(), |closed| explain(&closed))),
        Err(_) => Err(format!("no answer within {ANSWER:?}")),
    }
}

/// The rates to and from a party, in Mbit/s.
async fn measure(connection: &Connection) -> Result<[f64; 2], String> {
    let measured = async {
        let (mut send, mut recv) = connection.open_bi().await?;
        let started = Instant::now();
        stream::send(&mut send, &Versioned::new(Request::Probe)).await?;
        send.write_all(&vec![0; PROBE_BYTES]).await?;
        match stream::receive(&mut recv, MAX_CONTROL).await? {
            Reply::Probed => {}
            other => return Err(std::io::Error::other(format!("{other:?}"))),
        }
        let there = started.elapsed();
        recv.read_exact(&mut vec![0; PROBE_BYTES]).await.map_err(std::io::Error::other)?;
        Ok([there, started.elapsed() - there])
    };
    let rate = |took: Duration| PROBE_BYTES as f64 * 8.0 / 1e6 / took.as_secs_f64();
    match timeout(ANSWER, measured).await {
        Ok(Ok(times)) => Ok(times.map(rate)),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("1 MiB each way took more than {ANSWER:?}")),
    }
}
