//! [`Network`] over QUIC streams, polled by the protocol's own thread.

use super::{Branch, Network};
use crate::error::Result;
use crate::prss::Key;
use crate::role::Role;

/// Ends a session from another thread.
#[derive(Clone)]
pub struct Cancel(());

impl Cancel {
    /// Makes every wait of the session, in every branch, return [`Error::Aborted`](crate::Error::Aborted) with this reason, and the peers fail soon
    /// after. The first reason stays.
    pub fn abort(&self, _reason: &str) {
        unimplemented!()
    }
}

/// One party's ends of one branch of one session.
pub struct QuicNetwork(());

impl QuicNetwork {
    /// The handle to end the session from another thread.
    pub fn cancel(&self) -> Cancel {
        unimplemented!()
    }

    /// The session's PRSS keys (k_i, shared with the previous party, and k_{i+1}, shared with the next), exported from the TLS
    /// sessions of the very connections that the session runs on, and bound to the session's name.
    ///
    /// # Errors
    /// [`Error::Transport`](crate::Error::Transport) where a connection is gone.
    pub fn prss_keys(&self) -> Result<(Key, Key)> {
        unimplemented!()
    }
}

impl Network for QuicNetwork {
    fn role(&self) -> Role {
        unimplemented!()
    }

    fn send(&mut self, _to: Role, _message: &[u8]) -> Result<()> {
        unimplemented!()
    }

    fn recv(&mut self, _from: Role, _message: &mut [u8]) -> Result<()> {
        unimplemented!()
    }

    fn flush(&mut self) -> Result<()> {
        unimplemented!()
    }

    fn branch(&mut self, _branch: Branch) -> Result<Box<dyn Network>> {
        unimplemented!()
    }
}
