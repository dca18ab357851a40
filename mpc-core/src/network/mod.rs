//! How the three parties talk: exact-length messages, deadlines, metering.
//!
//! Protocols are blocking straight-line code on a [`Network`]: `send` queues and never blocks, `recv` waits for
//! exactly the expected number of bytes and moves the queue while it waits.

pub mod lines;
pub mod memory;

#[cfg(feature = "quic")]
mod calls;
#[cfg(feature = "quic")]
pub mod certificate;
#[cfg(feature = "quic")]
pub mod check;
#[cfg(feature = "quic")]
mod congestion;
#[cfg(feature = "quic")]
mod crypto;
#[cfg(feature = "quic")]
pub mod endpoint;
#[cfg(feature = "quic")]
mod fingerprint;
#[cfg(feature = "quic")]
pub mod identity;
#[cfg(feature = "quic")]
pub mod keys;
#[cfg(feature = "quic")]
pub mod mesh;
#[cfg(feature = "quic")]
pub mod quic;
#[cfg(feature = "quic")]
pub mod quiet;
#[cfg(feature = "quic")]
pub mod reach;
#[cfg(feature = "quic")]
mod roles;
#[cfg(feature = "quic")]
mod session;
#[cfg(feature = "quic")]
pub mod stream;
#[cfg(feature = "quic")]
pub mod tls;

use crate::error::{Error, Result};
use crate::role::Role;
use crate::session::Branch;

/// One party's ends of the channels of one branch of one session.
///
/// Messages to one peer arrive in order and none is lost. Each has the length that the receiver expects, or the session
/// ends.
pub trait Network: Send {
    /// Whose ends these are.
    fn role(&self) -> Role;

    /// Queues one message for `to`. Never blocks.
    fn send(&mut self, to: Role, message: &[u8]) -> Result<()>;

    /// Waits for the next message from `from`, which must be exactly as long as `message`.
    ///
    /// # Errors
    /// `Timeout` after the session's deadline, `Transport` on a lost peer, `Malformed` on another length.
    fn recv(&mut self, from: Role, message: &mut [u8]) -> Result<()>;

    /// Waits until everything queued has been handed to the transport. Call before long local work and at the end.
    fn flush(&mut self) -> Result<()>;

    /// Ends the session, in every branch, because of an error found above the network. The peers' waits fail at once:
    /// with the same [`Error::Cheating`] where that is the reason, else with [`Error::Transport`].
    fn abort(&mut self, reason: &Error);

    /// Opens the channels of another branch of the same session. All three parties must do so.
    fn branch(&mut self, branch: Branch) -> Result<Box<dyn Network>>;
}
