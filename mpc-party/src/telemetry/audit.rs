//! The audit log: one JSON object a line, for every request that ended and every caller that was turned away.
//!
//! A thread of its own writes, so that a slow disk never holds up the I/O thread. It retries failed writes every
//! second; meanwhile up to [`WAITING`] lines wait, and further ones are lost and counted.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use super::{Kind, Outcome};
use crate::error::{Error, Result};

/// Maximum number of lines that wait for a full or broken disk.
const WAITING: usize = 4096;

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// A line: names, sizes and times, never inputs or answers.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    /// RFC 3339, UTC, milliseconds.
    pub(crate) time: String,
    /// This party.
    pub(crate) party: &'a str,
    /// The kind of request.
    pub(crate) action: Kind,
    /// The client's name in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) principal: Option<&'a str>,
    /// The client's tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<&'a str>,
    /// The caller's key.
    pub(crate) fingerprint: String,
    /// The address of a caller that was turned away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    #[serde(flatten)]
    pub(crate) details: &'a super::Details,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'a str>,
    /// Why the request was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'a str>,
    /// Number of lines like this one left out before it in a flood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<u64>,
    /// The time from the first message to the end.
    pub(crate) duration_ms: u64,
    /// The rounds of an answered evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rounds: Option<u64>,
    /// Payload sent to both peers for the evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_sent: Option<u64>,
}

/// The log and its thread. Dropping it writes the lines that wait, if possible.
pub(crate) struct Audit {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    fails: Arc<AtomicBool>,
    required: bool,
    lost: Counter,
}

enum Order {
    Write(Vec<u8>),
    Reopen,
}

impl Audit {
    /// Opens the file, for appending, readable by its owner alone.
    ///
    /// # Errors
    /// The file cannot be opened, or the operating system gives no thread.
    pub(crate) fn start(path: &Path, required: bool, lost: Counter) -> Result<Self> {
        let what = format!("cannot write the audit log {} (audit.file)", path.display());
        let file = open(path).map_err(Error::system(&*what))?;
        let fails = Arc::new(AtomicBool::new(false));
        let (orders, inbox) = sync_channel(WAITING);
        let writer = Writer {
            path: path.to_owned(),
            file,
            pending: VecDeque::new(),
            written: 0,
            fails: fails.clone(),
            lost: lost.clone(),
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&inbox));
        let thread = thread.map_err(Error::system(what))?;
        Ok(Self { orders: Some(orders), thread: Some(thread), fails, required, lost })
    }

    /// Writes a line soon.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let sent = serde_json::to_vec(line).ok().and_then(|mut bytes| {
            bytes.push(b'\n');
            self.order(Order::Write(bytes))
        });
        if sent.is_none() {
            self.lost.inc();
        }
    }

    /// Reopens the file after somebody has moved it away.
    pub(crate) fn reopen(&self) {
        if self.order(Order::Reopen).is_none() {
            tracing::warn!("the audit log is behind and was not reopened; send the signal again");
        }
    }

    /// Whether the last attempt to write failed.
    pub(crate) fn fails(&self) -> bool {
        self.fails.load(Ordering::Relaxed)
    }

    /// Whether requests must be refused because the log fails.
    pub(crate) fn forbids_requests(&self) -> bool {
        self.required && self.fails()
    }

    fn order(&self, order: Order) -> Option<()> {
        self.orders.as_ref()?.try_send(order).ok()
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported.
            drop(thread.join());
        }
    }
}

/// The thread's side.
struct Writer {
    path: PathBuf,
    file: File,
    /// Lines that are not written yet; `written` bytes of the first one are.
    pending: VecDeque<Vec<u8>>,
    written: usize,
    fails: Arc<AtomicBool>,
    lost: Counter,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let order = match self.pending.is_empty() {
                true => inbox.recv().map_err(RecvTimeoutError::from),
                false => inbox.recv_timeout(PAUSE),
            };
            match order {
                Ok(Order::Write(line)) if self.pending.len() < WAITING => self.pending.push_back(line),
                Ok(Order::Write(_)) => drop(self.lost.inc()),
                Ok(Order::Reopen) => self.reopen(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.give_up(),
            }
            self.write_pending();
        }
    }

    fn write_pending(&mut self) {
        let written = self.try_write_pending();
        let failed = self.fails.swap(written.is_err(), Ordering::Relaxed);
        let file = self.path.display();
        match written {
            Err(error) if !failed => {
                tracing::error!(%file, %error, "cannot write the audit log; trying again every second")
            }
            Ok(()) if failed => tracing::info!(%file, "the audit log is written again"),
            _ => {}
        }
    }

    fn try_write_pending(&mut self) -> std::io::Result<()> {
        while let Some(line) = self.pending.front() {
            match self.file.write(&line[self.written..]) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.written == line.len() {
                self.written = 0;
                self.pending.pop_front();
            }
        }
        Ok(())
    }

    fn reopen(&mut self) {
        let file = self.path.display();
        match open(&self.path) {
            Ok(opened) => {
                // A line begun in the old file is written in full to the new one.
                (self.file, self.written) = (opened, 0);
                tracing::info!(%file, "reopened the audit log");
            }
            Err(error) => tracing::error!(%file, %error, "cannot reopen the audit log; still writing the old file"),
        }
    }

    fn give_up(&self) {
        let lines = self.pending.len();
        if lines > 0 {
            self.lost.inc_by(lines as u64);
            tracing::error!(lines, "the audit log could not be written and has lost its last lines");
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::super::Details;
    use super::*;

    fn line<'a>(reason: Option<&'a str>, details: &'a Details) -> Line<'a> {
        Line {
            time: "2026-01-01T00:00:00.000Z".into(),
            party: "P1",
            action: Kind::Evaluate,
            principal: Some("alice"),
            tenant: Some("clinic"),
            fingerprint: "sha256:00".into(),
            address: None,
            details,
            outcome: Outcome::Refused,
            code: Some("busy"),
            reason,
            left_out: None,
            duration_ms: 3,
            rounds: None,
            bytes_sent: None,
        }
    }

    #[test]
    fn lines_are_appended_and_the_file_can_be_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("audit.log"), dir.path().join("audit.log.1"));
        let details = Details { inputs: Some(2), ..Details::default() };
        let audit = Audit::start(&path, true, Counter::default()).unwrap();
        audit.write(&line(Some("a \"reason\"\nof two lines"), &details));
        drop(audit);
        let audit = Audit::start(&path, true, Counter::default()).unwrap();
        audit.write(&line(None, &details));
        std::fs::rename(&path, &moved).unwrap();
        audit.reopen();
        audit.write(&line(None, &details));
        drop(audit);

        let read = |path| -> Vec<serde_json::Value> {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let (old, new) = (read(&moved), read(&path));
        assert_eq!((old.len(), new.len()), (2, 1));
        assert_eq!(old[0]["reason"], "a \"reason\"\nof two lines");
        assert_eq!((&new[0]["party"], &new[0]["inputs"], new[0].get("model")), (&"P1".into(), &2.into(), None));
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_forbids_requests_where_the_log_is_required() {
        let lost = Counter::default();
        for required in [true, false] {
            let audit = Audit::start(Path::new("/dev/full"), required, lost.clone()).unwrap();
            assert!(!audit.forbids_requests(), "nothing was tried yet");
            audit.write(&line(None, &Details::default()));
            while !audit.fails() {
                std::thread::yield_now();
            }
            assert_eq!(audit.forbids_requests(), required);
        }
        assert_eq!(lost.get(), 2, "lost when the party ends, and counted");
    }
}
