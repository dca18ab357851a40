//! [`Network`] over QUIC streams, polled by the protocol's own thread.
//!
//! One unidirectional stream per branch, peer and direction: a header that names session and branch, then messages,
//! each prefixed with its length (`u64`, little endian). There are no pump tasks: `send` queues and pushes what the
//! window takes, `recv` and `flush` push the queue while they wait, parked until the I/O thread wakes them or the
//! deadline passes.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};
use std::time::Instant;

use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Network;
use super::endpoint::explain;
use super::session::{Header, Session, leaving};
use crate::error::{Error, Result};
use crate::prss::Key;
use crate::role::Role;
use crate::session::Branch;

/// Ends a session from another thread; clones are the same handle.
#[derive(Clone)]
pub struct Cancel(Arc<Session>);

impl Cancel {
    /// Makes every wait of the session, in every branch, return [`Error::Aborted`] with this reason; the peers are
    /// told, and their waits fail with [`Error::Transport`]. The first reason stays.
    pub fn abort(&self, reason: &str) {
        self.0.end(Error::Aborted(reason.to_owned()));
    }
}

/// One party's ends of one branch of one session.
///
/// Dropped after a clean [`Network::flush`], it ends the streams in order. Dropped otherwise, or after the session has
/// failed, it resets them, so that the peers fail at once and with a reason.
pub struct QuicNetwork {
    session: Arc<Session>,
    branch: Branch,
    channels: [Channel; 2],
}

/// The two streams of one peer.
struct Channel {
    role: Role,
    peer: Role,
    outgoing: SendStream,
    queue: VecDeque<Bytes>,
    incoming: Incoming,
}

enum Incoming {
    Awaited(oneshot::Receiver<RecvStream>),
    Open(RecvStream),
}

impl QuicNetwork {
    pub(super) fn open(session: Arc<Session>, branch: Branch) -> Result<Self> {
        let role = session.role;
        let header = Bytes::from(Header::Branch(session.id, branch).encode().to_vec());
        let channel = |peer: Role| -> Result<Channel> {
            let connection = session.connection(peer).clone();
            let mut opening = pin!(connection.open_uni());
            let outgoing = wait(&session, branch, peer, "open a stream", |context, _| {
                opening.as_mut().poll(context).map_err(|e| lost(peer, "open a stream", explain(&e)))
            })?;
            let incoming = Incoming::Awaited(session.claim(peer, branch)?);
            Ok(Channel { role, peer, outgoing, queue: VecDeque::from([header.clone()]), incoming })
        };
        let channels = [channel(role.next())?, channel(role.prev())?];
        let mut network = Self { session, branch, channels };
        network.push()?;
        Ok(network)
    }

    /// The handle to end the session from another thread.
    pub fn cancel(&self) -> Cancel {
        Cancel(self.session.clone())
    }

    /// The session's PRSS keys (k_i, shared with the previous party, and k_{i+1}, shared with the next), exported from
    /// the TLS sessions of the very connections that the session runs on, and bound to the session's name.
    ///
    /// # Errors
    /// [`Error::Transport`] where a connection is gone.
    pub fn prss_keys(&self) -> Result<(Key, Key)> {
        let role = self.session.role;
        Ok((self.export(role.prev(), role)?, self.export(role.next(), role.next())?))
    }

    /// The key k_`index` from the connection with `peer`, which derives the same key.
    fn export(&self, peer: Role, index: Role) -> Result<Key> {
        let mut key = Zeroizing::new([0; 32]);
        let context = [&self.session.id[..], &[index.index() as u8]].concat();
        let exported = self.session.connection(peer).export_keying_material(&mut *key, b"EXPORTER-mpc-prss", &context);
        exported.map_err(|_| lost(peer, "derive keys", "the connection gives no key".into()))?;
        Ok(key)
    }

    /// Hands to the transport as much as it accepts now.
    fn push(&mut self) -> Result<()> {
        let pushed = with_waker(|waker| push_all(&mut self.channels, &mut Context::from_waker(waker), &mut false));
        pushed.map_err(|e| fail(&self.session, e))
    }
}

impl Network for QuicNetwork {
    fn role(&self) -> Role {
        self.session.role
    }

    fn send(&mut self, to: Role, message: &[u8]) -> Result<()> {
        let channel = self.channels.iter_mut().find(|channel| channel.peer == to).expect("never to oneself");
        channel.queue.push_back(Bytes::from([&(message.len() as u64).to_le_bytes(), message].concat()));
        self.push()
    }

    fn recv(&mut self, from: Role, message: &mut [u8]) -> Result<()> {
        let mut length = [0; 8];
        let mut got = 0;
        let Self { session, branch, channels } = self;
        wait(session, *branch, from, "receive", |context, moved| {
            push_all(channels, context, moved)?;
            let channel = channels.iter_mut().find(|channel| channel.peer == from).expect("never from oneself");
            let stream = ready!(channel.poll_incoming(context))?;
            while got < 8 + message.len() {
                let rest = if got < 8 { &mut length[got..] } else { &mut message[got - 8..] };
                match ready!(stream.poll_read(context, rest)) {
                    Ok(0) => return Poll::Ready(Err(lost(from, "receive", "it ended the session early".into()))),
                    Ok(n) => got += n,
                    Err(e) => return Poll::Ready(Err(unreadable(session.role, from, e))),
                }
                *moved = true;
                let announced = u64::from_le_bytes(length);
                if got == 8 && announced != message.len() as u64 {
                    let (expected, got) = (format!("{} bytes", message.len()), format!("{announced} bytes"));
                    return Poll::Ready(Err(Error::Malformed { peer: from, expected, got }));
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    fn flush(&mut self) -> Result<()> {
        let Self { session, branch, channels } = self;
        (0..channels.len()).try_for_each(|i| {
            wait(session, *branch, channels[i].peer, "send", |context, moved| {
                push_all(channels, context, moved)?;
                if channels[i].queue.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
        })
    }

    fn abort(&mut self, reason: &Error) {
        self.session.end(reason.clone());
    }

    fn branch(&mut self, branch: Branch) -> Result<Box<dyn Network>> {
        Ok(Box::new(Self::open(self.session.clone(), branch)?))
    }
}

impl Drop for QuicNetwork {
    fn drop(&mut self) {
        let flushed = self.channels.iter().all(|channel| channel.queue.is_empty());
        if !flushed || thread::panicking() {
            self.session.end(Error::Aborted("dropped before its end".into()));
        }
        let Some(reason) = self.session.ended() else { return };
        let code = leaving::code(reason);
        // Streams that are closed already need no reset.
        for channel in &mut self.channels {
            drop(channel.outgoing.reset(code));
            if let Incoming::Open(stream) = &mut channel.incoming {
                drop(stream.stop(code));
            }
        }
    }
}

impl Channel {
    fn poll_push(&mut self, context: &mut Context<'_>, moved: &mut bool) -> Poll<Result<()>> {
        while let Some(next) = self.queue.front_mut() {
            let chunks = std::slice::from_mut(next);
            let written = ready!(pin!(self.outgoing.write_chunks(chunks)).poll(context));
            let written = written.map_err(|e| unwritable(self.role, self.peer, e))?;
            *moved |= written.bytes > 0;
            if written.chunks == 1 {
                self.queue.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<Result<&mut RecvStream>> {
        if let Incoming::Awaited(stream) = &mut self.incoming {
            let stream = ready!(Pin::new(stream).poll(context));
            let gone = |_| lost(self.peer, "receive", "the mesh is closed".into());
            self.incoming = Incoming::Open(stream.map_err(gone)?);
        }
        match &mut self.incoming {
            Incoming::Open(stream) => Poll::Ready(Ok(stream)),
            Incoming::Awaited(_) => unreachable!("opened above"),
        }
    }
}

/// Hands to the transport as much as it accepts now; `context` is woken when it accepts more.
fn push_all(channels: &mut [Channel], context: &mut Context<'_>, moved: &mut bool) -> Result<()> {
    channels.iter_mut().try_for_each(|channel| match channel.poll_push(context, moved) {
        Poll::Ready(pushed) => pushed,
        Poll::Pending => Ok(()),
    })
}

/// Parks the thread until `poll` is ready, the session ends, or no byte has moved for the session's deadline. `poll`
/// sets its flag when bytes moved, so that a long message on a slow line does not count as silence.
fn wait<T>(
    session: &Session,
    branch: Branch,
    peer: Role,
    step: &'static str,
    mut poll: impl FnMut(&mut Context<'_>, &mut bool) -> Poll<Result<T>>,
) -> Result<T> {
    with_waker(|waker| {
        let mut context = Context::from_waker(waker);
        let mut since: Option<Instant> = None;
        let mut watched = false;
        loop {
            let mut moved = false;
            if let Poll::Ready(result) = poll(&mut context, &mut moved) {
                return result.map_err(|e| fail(session, e));
            }
            if !std::mem::replace(&mut watched, true) {
                session.watch(branch, waker);
            }
            if let Some(reason) = session.ended() {
                return Err(reason.clone());
            }
            if moved {
                since = None;
            }
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            match session.deadline.checked_sub(waited) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => return Err(fail(session, Error::Timeout { peer, step, waited: session.deadline })),
            }
        }
    })
}

/// Ends the session because of `error`; everybody is told the first error.
fn fail(session: &Session, error: Error) -> Error {
    session.end(error);
    session.ended().expect("ended just now").clone()
}

fn lost(peer: Role, step: &'static str, reason: String) -> Error {
    Error::Transport { peer, step, reason }
}

fn unreadable(role: Role, peer: Role, error: ReadError) -> Error {
    match error {
        ReadError::Reset(code) => leaving::reason(role, peer, code),
        ReadError::ConnectionLost(e) => lost(peer, "receive", explain(&e)),
        other => lost(peer, "receive", other.to_string()),
    }
}

fn unwritable(role: Role, peer: Role, error: WriteError) -> Error {
    match error {
        WriteError::Stopped(code) => leaving::reason(role, peer, code),
        WriteError::ConnectionLost(e) => lost(peer, "send", explain(&e)),
        other => lost(peer, "send", other.to_string()),
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn with_waker<T>(f: impl FnOnce(&Waker) -> T) -> T {
    thread_local! {
        static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    }
    WAKER.with(f)
}
