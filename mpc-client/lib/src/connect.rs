//! A client of the three parties of a cluster, and conversations in parallel with all of them.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use mpc_core::ring::{Domain, Tensor};
use mpc_core::session::Measured;
use mpc_core::sharing::{Dealt, Share};
use mpc_core::wire::codec::{self, MAX_ENCODED};
use mpc_core::wire::frame;
use mpc_core::wire::message::{Code, Refusal, Reply, Request, Status, Versioned};
use mpc_core::wire::share::{self, WORD};
use tokio::sync::{Notify, Semaphore};

use crate::error::{Error, Result};
use crate::transport::{Receiver, Sender, Transport};

/// Time after a failure for another party to report cheating.
const MOMENT: Duration = Duration::from_secs(1);

/// Bytes of input shares that may wait at a party, sent ahead of its answer: half of what a party lets a connection
/// send unread, so they never hold up the share of an admitted request.
pub(crate) const AHEAD: u32 = 16 << 20;

/// A client of one cluster, connected to its three parties.
///
/// A question needs all three. To give one up, drop its future and [`close`](Client::close) the client: the parties
/// then end the session.
pub struct Client<T> {
    parties: [Peer<T>; 3],
    /// What is left of [`AHEAD`].
    pub(crate) ahead: Semaphore,
}

/// One connected party.
pub(crate) struct Peer<T> {
    transport: T,
}

impl<T: Transport> Client<T> {
    /// A client that reaches P0, P1 and P2 over these transports.
    pub fn new(parties: [T; 3]) -> Self {
        Self { parties: parties.map(|transport| Peer { transport }), ahead: Semaphore::new(AHEAD as usize) }
    }

    /// Whether no party is known to be lost.
    pub fn connected(&self) -> bool {
        self.parties.iter().all(|peer| peer.transport.lost().is_none())
    }

    /// The status of each party.
    pub async fn status(&self) -> Result<[Status; 3]> {
        join(self.parties().map(|peer| async move {
            match peer.ask(Request::Status).await?.reply().await? {
                Reply::Status(status) => Ok(status),
                other => Err(peer.unexpected(&other)),
            }
        }))
        .await
    }

    /// The parties' last measurement of their lines and processors, if there is one.
    pub async fn measured(&self) -> Result<Option<Measured>> {
        let [p0, ..] = self.status().await?;
        Ok(p0.measured)
    }

    /// Tells the parties that the client is done.
    pub async fn close(&self) {
        let [p0, p1, p2] = self.parties().map(|peer| peer.transport.close());
        tokio::join!(p0, p1, p2);
    }

    /// The answer, if all three parties give the same.
    ///
    /// # Errors
    /// [`Error::Disagreement`] about `what`, naming a party that differs from the other two.
    pub(crate) fn alike<A: PartialEq>(&self, what: &str, answers: [A; 3]) -> Result<A> {
        let [p0, p1, p2] = &answers;
        let odd = match (p0 == p1, p1 == p2, p0 == p2) {
            (true, true, _) => return Ok(answers.into_iter().next().expect("three answers")),
            (true, ..) => Some(2),
            (_, true, _) => Some(0),
            (.., true) => Some(1),
            _ => None,
        };
        let who = match odd {
            Some(odd) => format!("{} says something different from the other two", self.parties[odd].label()),
            None => "each says something different".into(),
        };
        Err(Error::Disagreement(format!("about {what}: {who}; ask their operators to run `mpc-party check`")))
    }

    /// The three parties, in the order of their roles.
    pub(crate) fn parties(&self) -> [&Peer<T>; 3] {
        self.parties.each_ref()
    }

    /// As [`join`], for parts of a session: after one has failed, another may report a moment later that cheating was
    /// found. A detected cheat outranks the disconnect it causes.
    pub(crate) async fn join_session<A>(&self, parts: [impl Future<Output = Result<A>>; 3]) -> Result<[A; 3]> {
        let (first, failed) = (&OnceLock::new(), &Notify::new());
        let parts = parts.map(|part| async move {
            match part.await {
                Ok(part) => Ok(Some(part)),
                Err(cheating @ Error::Cheating { .. }) => Err(cheating),
                Err(error) => {
                    // The first one stays.
                    drop(first.set(error));
                    failed.notify_one();
                    Ok(None)
                }
            }
        });
        let late = async {
            failed.notified().await;
            T::sleep(MOMENT).await;
        };
        let parts = tokio::select! {
            parts = join(parts) => parts?,
            () = late => [None, None, None],
        };
        match (first.get(), parts) {
            (None, [Some(a), Some(b), Some(c)]) => Ok([a, b, c]),
            (error, _) => Err(error.expect("without a part there is an error").clone()),
        }
    }
}

/// Waits for all three, or for the first that fails.
pub(crate) async fn join<A>(futures: [impl Future<Output = Result<A>>; 3]) -> Result<[A; 3]> {
    let [p0, p1, p2] = futures;
    let (a, b, c) = tokio::try_join!(p0, p1, p2)?;
    Ok([a, b, c])
}

impl<T: Transport> Peer<T> {
    /// Role and name.
    pub(crate) fn label(&self) -> &str {
        self.transport.party()
    }

    /// Opens a conversation with `request`.
    pub(crate) async fn ask(&self, request: Request) -> Result<Conversation<'_, T>> {
        let (sender, receiver) = self.transport.open().await?;
        let mut conversation = Conversation { peer: self, sender, receiver };
        let request = frame::encode(&Versioned::new(request))?;
        conversation.sender.send(&request).await.map_err(|e| self.stream_error(&e))?;
        Ok(conversation)
    }

    /// The error for a reply that does not belong here.
    pub(crate) fn unexpected(&self, reply: &Reply) -> Error {
        let label = self.label();
        match reply {
            Reply::Refused(Refusal { code: Code::NotListed, reason }) => {
                Error::NotTrusted(format!("{label} refuses: {reason}"))
            }
            Reply::Refused(Refusal { code, reason }) => {
                Error::Refused { party: label.to_owned(), code: *code, reason: reason.clone() }
            }
            Reply::Failed { reason } => Error::Aborted(format!("{label} ended the session: {reason}")),
            Reply::Cheating { step } => Error::Cheating { step: *step },
            _ => self.broken("it answered another question"),
        }
    }

    /// The error for a party that breaks the protocol.
    pub(crate) fn broken(&self, reason: impl std::fmt::Display) -> Error {
        Error::Aborted(format!("{} sent something that does not fit: {reason}", self.label()))
    }

    /// The meaning of an error on one of the party's streams.
    fn stream_error(&self, error: &io::Error) -> Error {
        match self.transport.lost() {
            Some(lost) => lost,
            None if error.kind() == io::ErrorKind::InvalidData => self.broken(error),
            None => Error::Aborted(format!("{} ended the conversation: {error}", self.label())),
        }
    }
}

/// The shares dealt to one party, each with its bytes per element.
pub(crate) type Parts = Vec<(Dealt<u64>, usize)>;

/// One conversation with one party, on a stream of its own.
pub(crate) struct Conversation<'a, T: Transport> {
    peer: &'a Peer<T>,
    sender: T::Sender,
    receiver: T::Receiver,
}

impl<T: Transport> Conversation<'_, T> {
    /// Sends shares.
    pub(crate) async fn deal(&mut self, dealt: &Parts) -> Result<()> {
        deal(&mut self.sender, dealt).await.map_err(|e| self.peer.stream_error(&e))
    }

    /// Sends bytes while waiting for the reply to them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<Reply> {
        let Self { peer, sender, receiver } = self;
        // If the party does not accept the bytes, its reply says why.
        let (_, reply) = tokio::join!(sender.send(bytes), reply(receiver));
        reply.map_err(|e| peer.stream_error(&e))
    }

    /// Sends shares while waiting for the reply to the request before them.
    pub(crate) async fn deal_ahead(&mut self, dealt: &Parts) -> Result<Reply> {
        let Self { peer, sender, receiver } = self;
        // If the party does not accept the shares, its replies say why.
        let (_, reply) = tokio::join!(deal(sender, dealt), reply(receiver));
        reply.map_err(|e| peer.stream_error(&e))
    }

    /// Waits for a reply.
    pub(crate) async fn reply(&mut self) -> Result<Reply> {
        reply(&mut self.receiver).await.map_err(|e| self.peer.stream_error(&e))
    }

    /// Waits for both components of a share of this shape.
    pub(crate) async fn share<D: Domain>(&mut self, shape: &[usize]) -> Result<Share<D, u64>> {
        Ok(Share::new(self.words(shape).await?, self.words(shape).await?))
    }

    async fn words(&mut self, shape: &[usize]) -> Result<Tensor<u64>> {
        let bytes = self.receiver.receive(share::words_length(shape, WORD)?).await;
        Ok(share::decode_words(&bytes.map_err(|e| self.peer.stream_error(&e))?, shape, WORD)?)
    }

    /// The party at the other end.
    pub(crate) fn peer(&self) -> &Peer<T> {
        self.peer
    }
}

async fn deal(sender: &mut impl Sender, dealt: &Parts) -> io::Result<()> {
    for (dealt, width) in dealt {
        for component in [&dealt.own, &dealt.next] {
            sender.send(&share::encode_component(component, *width)).await?;
        }
    }
    Ok(())
}

async fn reply(receiver: &mut impl Receiver) -> io::Result<Reply> {
    let invalid = |e| io::Error::new(io::ErrorKind::InvalidData, e);
    let prefix = receiver.receive(frame::PREFIX).await?;
    let prefix = *prefix.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = receiver.receive(frame::body_length(prefix, MAX_ENCODED).map_err(invalid)?).await?;
    codec::decode(&body).map_err(invalid)
}
