//! Runs the tasks that drive connections: on the I/O thread, or on a protocol thread that has just written.
//!
//! A message that waits for the I/O thread to wake up costs two switches between threads. So the protocol thread runs
//! its connection's driver itself, right after it has written, and leaves only the rest to the I/O thread.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::sync::Notify;

/// Tokio, except that protocol threads may run the tasks.
#[derive(Debug)]
pub(super) struct Drivers;

impl Runtime for Drivers {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Running) {
        let task = Task(Arc::new(Driver { future: Mutex::new(Some(future)), woken: Notify::new() }));
        tokio::spawn(async move {
            while task.0.run().is_pending() {
                task.0.woken.notified().await;
            }
        });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

/// A background task of quinn.
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A background task that any thread may run.
struct Driver {
    /// `None` when the task has ended.
    future: Mutex<Option<Running>>,
    woken: Notify,
}

impl Driver {
    fn run(self: &Arc<Self>) -> Poll<()> {
        let mut future = self.future.lock();
        let Some(running) = future.as_mut() else { return Poll::Ready(()) };
        let polled = running.as_mut().poll(&mut Context::from_waker(&Waker::from(self.clone())));
        if polled.is_ready() {
            *future = None;
        }
        polled
    }
}

/// Tokio's side of a driver. A driver's future holds wakers, which hold the driver. So dropping the task drops the
/// future; otherwise a process that stops its I/O thread would keep the socket.
struct Task(Arc<Driver>);

impl Drop for Task {
    fn drop(&mut self) {
        let ended = self.0.future.lock().take();
        drop(ended);
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        CATCH.with_borrow_mut(|catch| match catch {
            Catch::On => *catch = Catch::Caught(self),
            Catch::Off | Catch::Caught(_) => self.woken.notify_one(),
        });
    }
}

/// What happens to a wake-up on this thread.
enum Catch {
    /// It goes to the I/O thread.
    Off,
    /// This thread catches it.
    On,
    /// This thread has caught it, and will run this driver.
    Caught(Arc<Driver>),
}

thread_local! {
    static CATCH: RefCell<Catch> = const { RefCell::new(Catch::Off) };
}

/// Runs the driver that `write` wakes, if any, on this thread.
pub(super) fn run_woken<T>(write: impl FnOnce() -> T) -> T {
    CATCH.set(Catch::On);
    let written = write();
    // A driver with more to do than one poll allows now wakes the I/O thread.
    if let Catch::Caught(driver) = CATCH.replace(Catch::Off)
        && driver.run().is_ready()
    {
        // Let its task end.
        driver.woken.notify_one();
    }
    written
}
