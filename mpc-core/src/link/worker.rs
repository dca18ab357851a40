//! Threads that a session keeps for its branches: waking one takes a tenth of starting one.
//!
//! Protocols block, so each branch has a thread of its own: a pool with fewer threads than branches could wait for
//! itself.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};
use crate::kernel::wipe_stack;

/// A thread that runs pieces of a session, one after the other, and wipes its stack after each. Dropping the worker
/// ends the thread and waits for it.
pub(crate) struct Worker {
    /// `None` once the worker is dropped.
    pieces: Option<Sender<Piece>>,
    thread: Option<JoinHandle<()>>,
}

type Piece = Box<dyn FnOnce() + Send>;

/// The pending result of a piece that runs on a [`Worker`].
#[must_use = "the piece is still running"]
pub(crate) struct Running<T>(Receiver<thread::Result<T>>);

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::System`] where the operating system gives no thread.
    pub(crate) fn start() -> Result<Self> {
        let (pieces, queue) = mpsc::channel::<Piece>();
        let run = move || {
            for piece in queue {
                piece();
                wipe_stack();
            }
        };
        let thread = thread::Builder::new().name("branch".into()).spawn(run).map_err(|e| Error::system("thread", e))?;
        Ok(Self { pieces: Some(pieces), thread: Some(thread) })
    }

    /// Queues a piece; it starts when those before it have ended.
    pub(crate) fn run<T: Send + 'static>(&self, piece: impl FnOnce() -> T + Send + 'static) -> Running<T> {
        let (done, result) = mpsc::channel();
        let piece = move || {
            // Nobody waits any more where the starter itself has failed.
            drop(done.send(catch_unwind(AssertUnwindSafe(piece))));
        };
        let pieces = self.pieces.as_ref().expect("not dropped");
        pieces.send(Box::new(piece)).expect("the thread ends after this");
        Running(result)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.pieces = None;
        // The panic of a piece goes to its starter, so the thread ends without one.
        self.thread.take().map(JoinHandle::join);
    }
}

impl<T> Running<T> {
    /// Waits for the piece to end; a panic in it continues here.
    pub(crate) fn wait(self) -> T {
        self.0.recv().expect("a piece that was started ends").unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The results of two pieces that ran at the same time, each of which ends the session where it fails.
///
/// # Errors
/// The first piece's error, else the second's; but a detected cheat outranks the disconnect that it causes.
/// Which of two failed checks is reported reveals nothing about secrets: `docs/argument.md`, Lemma 10.
pub(crate) fn both<A, B>(first: Result<A>, second: Result<B>) -> Result<(A, B)> {
    match (first, second) {
        (Err(first), Err(cheating @ Error::Cheating { .. })) if !matches!(first, Error::Cheating { .. }) => {
            Err(cheating)
        }
        (first, second) => Ok((first?, second?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Step;
    use crate::role::Role;

    #[test]
    fn of_two_errors_the_first_is_told_unless_only_the_second_is_cheating() {
        let lost = || Error::Transport { peer: Role::P1, step: "receive", reason: "gone".into() };
        let found = |step| Error::Cheating { step };
        let told = |first: Result<()>, second: Result<()>| both(first, second).map(drop);
        assert_eq!(told(Ok(()), Ok(())), Ok(()));
        assert_eq!(told(Ok(()), Err(lost())), Err(lost()));
        assert_eq!(told(Err(lost()), Err(Error::Aborted("".into()))), Err(lost()));
        assert_eq!(told(Err(lost()), Err(found(Step::Coins))), Err(found(Step::Coins)));
        assert_eq!(told(Err(found(Step::Products)), Err(lost())), Err(found(Step::Products)));
        assert_eq!(told(Err(found(Step::Products)), Err(found(Step::Coins))), Err(found(Step::Products)));
    }

    #[test]
    fn a_thread_runs_one_piece_after_another_and_outlives_a_panic() {
        let worker = Worker::start().unwrap();
        let id = || thread::current().id();
        let (first, second) = (worker.run(id), worker.run(id));
        let panics = worker.run(|| panic!("on purpose"));
        assert_eq!(first.wait(), second.wait());
        assert!(catch_unwind(AssertUnwindSafe(|| panics.wait())).is_err());
        assert_eq!(worker.run(|| 7).wait(), 7);
    }
}
