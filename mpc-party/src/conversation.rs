//! A conversation: one request of one caller, and its answer, on one stream.

use mpc_core::network::stream;
use mpc_core::wire::message::Reply;
use quinn::{RecvStream, SendStream};

use crate::access::Who;
use crate::admission::Ticket;
use crate::ended::Ended;
use crate::intake::Place;
use crate::telemetry::Record;

/// One request of one caller, while it lasts.
pub(crate) struct Conversation {
    /// The caller.
    pub(crate) who: Who,
    /// The entry for metrics and the audit log.
    pub(crate) record: Record,
    /// Ties the request to the client's requests to the other parties.
    pub(crate) ticket: Option<Ticket>,
    /// The request's place among those that the party has taken on, kept until the reply is delivered.
    pub(crate) place: Option<Place>,
    /// The stream to the caller.
    pub(crate) send: SendStream,
    /// The stream from the caller.
    pub(crate) recv: RecvStream,
}

impl Conversation {
    /// A conversation on a stream that the caller has opened; the request has not been read.
    pub(crate) fn new(who: Who, send: SendStream, recv: RecvStream) -> Self {
        Self { who, record: Record::new(), ticket: None, place: None, send, recv }
    }

    /// Sends a reply.
    ///
    /// # Errors
    /// [`Ended::Left`].
    pub(crate) async fn say(&mut self, reply: &Reply) -> Result<(), Ended> {
        stream::send(&mut self.send, reply).await.map_err(|_| Ended::Left)
    }
}
