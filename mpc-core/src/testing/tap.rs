//! A network that passes every incoming and outgoing message to a closure.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::role::Role;
use crate::session::Branch;

/// A message at a [`Tap`]; the bytes may be changed.
#[derive(Debug)]
pub struct Message<'a> {
    /// Branch of the session.
    pub branch: Branch,
    /// Who sent it.
    pub from: Role,
    /// Who receives it.
    pub to: Role,
    /// The bytes of the message.
    pub bytes: &'a mut [u8],
}

/// Inspects a message.
pub type Hook = Arc<dyn Fn(Message<'_>) + Send + Sync>;

/// One party's network with a hook on every message it sends and receives, in all branches.
pub struct Tap {
    inner: Box<dyn Network>,
    branch: Branch,
    hook: Hook,
}

impl Tap {
    /// Taps the root of a session.
    pub fn new(inner: impl Network + 'static, hook: Hook) -> Self {
        Self { inner: Box::new(inner), branch: Branch::ROOT, hook }
    }
}

impl Network for Tap {
    fn role(&self) -> Role {
        self.inner.role()
    }

    fn send(&mut self, to: Role, message: &[u8]) -> Result<()> {
        let mut bytes = message.to_vec();
        (self.hook)(Message { branch: self.branch, from: self.role(), to, bytes: &mut bytes });
        self.inner.send(to, &bytes)
    }

    fn recv(&mut self, from: Role, message: &mut [u8]) -> Result<()> {
        self.inner.recv(from, message)?;
        (self.hook)(Message { branch: self.branch, from, to: self.role(), bytes: message });
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }

    fn abort(&mut self, reason: &Error) {
        self.inner.abort(reason);
    }

    fn branch(&mut self, branch: Branch) -> Result<Box<dyn Network>> {
        Ok(Box::new(Tap { inner: self.inner.branch(branch)?, branch, hook: self.hook.clone() }))
    }
}
