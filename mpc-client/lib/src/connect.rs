//! Connections to the three parties of a cluster, and conversations that are the same with all of them.

use std::sync::OnceLock;
use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::endpoint;
use mpc_core::network::identity::{Fingerprint, Identity};
use mpc_core::network::reach::{Unreachable, reach};
use mpc_core::ring::Domain;
use mpc_core::session::Measured;
use mpc_core::sharing::{Dealt, Share};
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::codec::MAX_ENCODED;
use mpc_core::wire::message::{Code, Purpose, Refusal, Reply, Request, Status, Versioned};
use mpc_core::wire::stream;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use tokio::sync::{Notify, Semaphore};

use crate::error::{Error, Result};

/// How long a party may take to answer the first packet.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long a closed connection is kept to repeat the good-bye.
const CLOSING: Duration = Duration::from_millis(50);

/// How long after a failure another party's report of cheating may come.
const MOMENT: Duration = Duration::from_secs(1);

/// Bytes of input shares that may wait at a party, sent ahead of its answer: half of what a party lets a connection send unread, so
/// that they never keep the share of an admitted request from arriving.
pub(crate) const AHEAD: u32 = 16 << 20;

/// A client of one cluster, connected to its three parties.
///
/// A question needs all three. To give one up, drop its future and [`close`](Client::close) the client: the parties then end
/// the session.
pub struct Client {
    endpoint: Endpoint,
    parties: [Peer; 3],
    /// Of [`AHEAD`], what is left.
    pub(crate) ahead: Semaphore,
}

/// One connected party.
pub(crate) struct Peer {
    label: String,
    address: String,
    ours: Fingerprint,
    connection: Connection,
}

impl Client {
    /// Connects to all three parties of `cluster` at once, as `identity`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where a party does not answer or shows another key than the
    /// cluster file lists.
    pub async fn connect(cluster: &Cluster, identity: &Identity) -> Result<Self> {
        let endpoint = endpoint::caller()?;
        let parties = join(Role::ALL.map(|role| Peer::connect(&endpoint, cluster, identity, role))).await?;
        Ok(Self { endpoint, parties, ahead: Semaphore::new(AHEAD as usize) })
    }

    /// Whether no connection is known to be lost.
    pub fn connected(&self) -> bool {
        self.parties.iter().all(|peer| peer.connection.close_reason().is_none())
    }

    /// What each party says of itself.
    pub async fn status(&self) -> Result<[Status; 3]> {
        join(self.parties().map(|peer| async move {
            match peer.ask(Request::Status).await?.reply().await? {
                Reply::Status(status) => Ok(status),
                other => Err(peer.unexpected(&other)),
            }
        }))
        .await
    }

    /// What the parties have measured of the lines between them and of their processors, if they have yet.
    pub async fn measured(&self) -> Result<Option<Measured>> {
        let [p0, ..] = self.status().await?;
        Ok(p0.measured)
    }

    /// Tells the parties that nothing more will come.
    pub async fn close(&self) {
        self.endpoint.close(endpoint::close::DONE, b"the client is done");
        // The message leaves at once; what would be waited for is that it could be repeated.
        drop(tokio::time::timeout(CLOSING, self.endpoint.wait_idle()).await);
    }

    /// What the three say alike.
    ///
    /// # Errors
    /// [`Error::Disagreement`] about `what`, naming whoever differs from the other two.
    pub(crate) fn alike<T: PartialEq>(&self, what: &str, answers: [T; 3]) -> Result<T> {
        let [p0, p1, p2] = &answers;
        let odd = match (p0 == p1, p1 == p2, p0 == p2) {
            (true, true, _) => return Ok(answers.into_iter().next().expect("three answers")),
            (true, ..) => Some(2),
            (_, true, _) => Some(0),
            (.., true) => Some(1),
            _ => None,
        };
        let who = match odd {
            Some(odd) => format!("{} says something else than the other two", self.parties[odd].label()),
            None => "each says something else".into(),
        };
        Err(Error::Disagreement(format!("about {what}: {who}; ask their operators to run `mpc-party check`")))
    }

    /// The three parties, in the order of their roles.
    pub(crate) fn parties(&self) -> [&Peer; 3] {
        self.parties.each_ref()
    }
}

/// Waits for all three, or for the first that fails.
pub(crate) async fn join<T>(futures: [impl Future<Output = Result<T>>; 3]) -> Result<[T; 3]> {
    let [p0, p1, p2] = futures;
    let (a, b, c) = tokio::try_join!(p0, p1, p2)?;
    Ok([a, b, c])
}

/// As [`join`], for parts of a session: when one has failed, another may tell a moment later that cheating was found, which
/// says more than that a party was lost.
pub(crate) async fn join_session<T>(parts: [impl Future<Output = Result<T>>; 3]) -> Result<[T; 3]> {
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
        tokio::time::sleep(MOMENT).await;
    };
    let parts = tokio::select! {
        parts = join(parts) => parts?,
        () = late => [None, None, None],
    };
    match (first.get(), parts) {
        (None, [Some(a), Some(b), Some(c)]) => Ok([a, b, c]),
        (error, _) => Err(error.expect("what has no part has an error").clone()),
    }
}

impl Peer {
    async fn connect(endpoint: &Endpoint, cluster: &Cluster, identity: &Identity, role: Role) -> Result<Self> {
        let entry = &cluster.parties[role.index()];
        let label = format!("{role} ({})", entry.name);
        let address = entry.addresses.first().cloned().unwrap_or_default();
        endpoint::pins(entry)?;
        let called = reach(endpoint, identity, Purpose::Ask, entry, CONNECT_DEADLINE).await;
        let connection = called.map_err(|unreachable| match unreachable {
            Unreachable::OtherVersion { .. } => {
                let reason = "it speaks another version of the protocol; update the older side".into();
                Error::Refused { party: label.clone(), code: Code::OtherVersion, reason }
            }
            other => Error::Unreachable { party: label.clone(), reason: other.to_string() },
        })?;
        Ok(Self { label, address, ours: identity.fingerprint(), connection })
    }

    /// Role and name.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Opens a conversation with `request`.
    pub(crate) async fn ask(&self, request: Request) -> Result<Conversation<'_>> {
        let (send, recv) = self.connection.open_bi().await.map_err(|e| self.lost(&e))?;
        let mut conversation = Conversation { peer: self, send, recv };
        conversation.say(&Versioned::new(request)).await?;
        Ok(conversation)
    }

    /// A reply that does not belong here.
    pub(crate) fn unexpected(&self, reply: &Reply) -> Error {
        match reply {
            Reply::Refused(Refusal { code: Code::NotListed, reason }) => {
                Error::NotTrusted(format!("{} refuses: {reason}", self.label))
            }
            Reply::Refused(Refusal { code, reason }) => {
                Error::Refused { party: self.label.clone(), code: *code, reason: reason.clone() }
            }
            Reply::Failed { reason } => Error::Aborted(format!("{} ended the session: {reason}", self.label)),
            Reply::Cheating { step } => Error::Cheating { step: *step },
            _ => self.broken("it answered another question"),
        }
    }

    /// The party does not keep to the protocol.
    pub(crate) fn broken(&self, reason: impl std::fmt::Display) -> Error {
        Error::Aborted(format!("{} sent something that does not fit: {reason}", self.label))
    }

    fn lost(&self, error: &ConnectionError) -> Error {
        match error {
            ConnectionError::ApplicationClosed(closed) if closed.error_code == endpoint::close::NOT_TRUSTED => {
                Error::NotTrusted(format!(
                    "{} does not know this client: ask its operator to add {} to the clients in its configuration",
                    self.label, self.ours,
                ))
            }
            error if endpoint::blames_certificate(error) => {
                Error::NotTrusted(format!("{}: {}", self.label, endpoint::explain(error)))
            }
            error => Error::Aborted(format!("lost {} at {}: {}", self.label, self.address, endpoint::explain(error))),
        }
    }

    /// What an error on one of the party's streams means.
    fn stream_error(&self, error: &std::io::Error) -> Error {
        match self.connection.close_reason() {
            Some(reason) => self.lost(&reason),
            None if error.kind() == std::io::ErrorKind::InvalidData => self.broken(error),
            None => Error::Aborted(format!("{} ended the conversation: {error}", self.label)),
        }
    }
}

/// What one party is dealt, and how many bytes an element of it takes.
pub(crate) type Parts = Vec<(Dealt<u64>, usize)>;

/// One conversation with one party, on a stream of its own.
pub(crate) struct Conversation<'a> {
    peer: &'a Peer,
    send: SendStream,
    recv: RecvStream,
}

impl Conversation<'_> {
    /// Sends one control message.
    pub(crate) async fn say(&mut self, message: &impl serde::Serialize) -> Result<()> {
        stream::send(&mut self.send, message).await.map_err(|e| self.peer.stream_error(&e))
    }

    /// Sends shares.
    pub(crate) async fn deal(&mut self, dealt: &Parts) -> Result<()> {
        deal(&mut self.send, dealt).await.map_err(|e| self.peer.stream_error(&e))
    }

    /// Sends bytes while it waits for the reply to them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<Reply> {
        let Self { peer, send, recv } = self;
        // Where the party does not take them, its reply says why.
        let (_, reply) = tokio::join!(send.write_all(bytes), stream::receive(recv, MAX_ENCODED));
        reply.map_err(|e| peer.stream_error(&e))
    }

    /// Sends shares while it waits for the reply to what was said before.
    pub(crate) async fn deal_ahead(&mut self, dealt: &Parts) -> Result<Reply> {
        let Self { peer, send, recv } = self;
        // Where the party does not take them, its replies say why.
        let (_, reply) = tokio::join!(deal(send, dealt), stream::receive(recv, MAX_ENCODED));
        reply.map_err(|e| peer.stream_error(&e))
    }

    /// Waits for a reply.
    pub(crate) async fn reply(&mut self) -> Result<Reply> {
        stream::receive(&mut self.recv, MAX_ENCODED).await.map_err(|e| self.peer.stream_error(&e))
    }

    /// Waits for both components of a share of this shape.
    pub(crate) async fn share<D: Domain>(&mut self, shape: &[usize]) -> Result<Share<D, u64>> {
        let own = stream::receive_words(&mut self.recv, shape).await.map_err(|e| self.peer.stream_error(&e))?;
        let next = stream::receive_words(&mut self.recv, shape).await.map_err(|e| self.peer.stream_error(&e))?;
        Ok(Share::new(own, next))
    }

    /// The party at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        self.peer
    }
}

async fn deal(send: &mut SendStream, dealt: &Parts) -> std::io::Result<()> {
    for (dealt, width) in dealt {
        stream::send_dealt(send, dealt, *width).await?;
    }
    Ok(())
}
