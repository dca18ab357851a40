//! Log lines that outsiders can cause in any number: the first few of each minute are written, the rest are counted.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines written for one cause in one [`PERIOD`].
const LINES: u64 = 10;

/// The time for which lines of one cause are counted together.
const PERIOD: Duration = Duration::from_secs(60);

/// Counts lines by cause. The caller keeps the number of causes small.
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
    /// Calls `write` with the number of lines of this cause left out before, unless the cause has had its lines.
    pub fn note(&self, cause: K, write: impl FnOnce(u64)) {
        if let Some(left_out) = self.admit(cause, Instant::now()) {
            write(left_out);
        }
    }

    /// `Some` where a line may be written now: the number of lines of its cause left out before it.
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

    /// Removes the causes whose period is over at `now`; returns those with lines left out, and how many.
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
