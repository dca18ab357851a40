//! Log lines that somebody else can cause, as many as they like: the first few of a minute are written, the rest is counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines of one cause in one [`PERIOD`].
const LINES: u64 = 10;

/// How long lines of one cause are counted together.
const PERIOD: Duration = Duration::from_secs(60);

/// Counts lines by cause. The caller sees to it that there are few causes.
#[derive(Debug)]
pub struct Quiet<K>(Mutex<HashMap<K, Lines>>);

#[derive(Debug)]
struct Lines {
    since: Instant,
    seen: u64,
}

impl Lines {
    fn left_out(&self) -> u64 {
        self.seen.saturating_sub(LINES)
    }
}

impl<K> Default for Quiet<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Quiet<K> {
    /// Has `write` write a line now, with how many of its cause were left out before it, unless there were too many.
    pub fn note(&self, cause: K, write: impl FnOnce(u64)) {
        if let Some(left_out) = self.admit(cause, Instant::now()) {
            write(left_out);
        }
    }

    /// Whether a line is written at this time, and how many of its cause were left out before it.
    pub fn admit(&self, cause: K, now: Instant) -> Option<u64> {
        let mut causes = self.0.lock();
        let lines = causes.entry(cause).or_insert(Lines { since: now, seen: 0 });
        let mut left_out = 0;
        if now.duration_since(lines.since) >= PERIOD {
            left_out = lines.left_out();
            *lines = Lines { since: now, seen: 0 };
        }
        lines.seen += 1;
        (lines.seen <= LINES).then_some(left_out)
    }

    /// The causes whose time is over at `now`, with how many lines were left out, where any were; they are forgotten.
    pub fn over(&self, now: Instant) -> Vec<(K, u64)> {
        let mut causes = self.0.lock();
        let over = causes.extract_if(|_, lines| now.duration_since(lines.since) >= PERIOD);
        over.map(|(cause, lines)| (cause, lines.left_out())).filter(|(_, left_out)| *left_out > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_hides_nothing_else() {
        let (quiet, start) = (Quiet::default(), Instant::now());
        let written =
            (0..36_000).filter(|i| quiet.admit("garbage", start + Duration::from_millis(*i)).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(quiet.admit("another cause", start), Some(0));
        let later = start + PERIOD;
        assert_eq!(quiet.admit("garbage", later), Some(36_000 - 10), "the next line says how many were left out");
        assert_eq!(quiet.over(later), [], "of the other cause none was");
        for _ in 0..12 {
            quiet.admit("garbage", later);
        }
        assert_eq!(quiet.over(later + PERIOD), [("garbage", 3)]);
        assert_eq!(quiet.admit("garbage", later + PERIOD), Some(0), "they were told");
    }
}
