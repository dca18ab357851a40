//! Keeps floods of requests from filling the disk with log lines: the first few lines of a minute are written for each
//! client and cause, the rest are counted.

use std::time::{Duration, Instant};

use tracing::info;

use super::{Outcome, Telemetry};
use crate::access::Who;
use crate::ended::Ended;

/// The cause of a line. There are as many causes as clients in the configuration, times the ways to end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cause {
    client: String,
    outcome: &'static str,
    code: Option<&'static str>,
}

impl Cause {
    /// The cause of a line about the end of a request.
    pub(crate) fn of(who: &Who, ended: &Result<(), Ended>) -> Self {
        let code = match ended {
            Err(Ended::Refused(refusal)) => Some(refusal.code.name()),
            _ => None,
        };
        Self { client: who.name(), outcome: Outcome::of(ended).name(), code }
    }

    /// The one cause of lines about callers whose keys are not listed.
    pub(crate) fn stranger() -> Self {
        Self { client: String::new(), outcome: Outcome::Refused.name(), code: Some("not-listed") }
    }
}

impl Telemetry {
    /// While the party serves, logs every minute what was left out and no later line reports.
    pub(crate) async fn tell_what_was_left_out(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            for (Cause { client, outcome, code }, left_out) in self.quiet.over(Instant::now()) {
                info!(
                    client,
                    outcome, code, left_out, "further lines like those before were left out; metrics count all"
                );
            }
        }
    }
}
