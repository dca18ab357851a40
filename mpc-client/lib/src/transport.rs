//! The client's way to a party, as a trait that QUIC, WebTransport and tests can implement.
//!
//! A conversation is a stream of bytes each way. The library frames messages, compares and reconstructs; sockets,
//! clocks and keys belong to the transport.

use std::io;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// A connection to one party, which has shown a key that the cluster file lists.
pub trait Transport {
    /// The sending half of a conversation.
    type Sender: Sender;
    /// The receiving half of a conversation. Dropping it before its end tells the party that the client has given up.
    type Receiver: Receiver;

    /// Role and name of the party, for people.
    fn party(&self) -> &str;

    /// Opens a conversation.
    ///
    /// # Errors
    /// As [`Transport::lost`].
    fn open(&self) -> impl Future<Output = Result<(Self::Sender, Self::Receiver)>>;

    /// Why the party is lost, if it is: [`Error::NotTrusted`] where it does not accept this client, else
    /// [`Error::Aborted`].
    fn lost(&self) -> Option<Error>;

    /// Tells the party that the client is done.
    fn close(&self) -> impl Future<Output = ()>;

    /// Ends after `time`.
    fn sleep(time: Duration) -> impl Future<Output = ()>;
}

/// The sending half of a conversation.
pub trait Sender {
    /// Sends all of `bytes`.
    fn send(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>>;
}

/// The receiving half of a conversation.
pub trait Receiver {
    /// Waits for exactly `length` bytes, and takes memory for them as they arrive.
    ///
    /// # Errors
    /// `UnexpectedEof` where the party ends the conversation early.
    fn receive(&mut self, length: usize) -> impl Future<Output = io::Result<Zeroizing<Vec<u8>>>>;
}
