//! The connection to the three servers, renewed after a loss.

use std::rc::Rc;
use std::time::Duration;

use mpc_client::{Client, Error, Result};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Servers;

/// The connection that all requests share.
pub(crate) struct Reconnecting<S> {
    timeout: Duration,
    state: Mutex<State<S>>,
}

struct State<S> {
    client: Option<Rc<Client>>,
    /// The last failure to connect, and when.
    failed: Option<(Instant, Error)>,
    /// Dropped after the client.
    servers: S,
}

impl<S: Servers> Reconnecting<S> {
    /// Not connected yet; a question may take `timeout`.
    pub(crate) fn new(servers: S, timeout: Duration) -> Self {
        Self { timeout, state: Mutex::new(State { client: None, failed: None, servers }) }
    }

    /// Time limit of a question.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Connects for the first time; returns the problem if it may pass.
    ///
    /// # Errors
    /// A problem that no further attempt would solve.
    pub(crate) async fn start(&self) -> Result<Option<Error>> {
        let connected = tokio::time::timeout(self.timeout, self.client()).await;
        match connected.unwrap_or(Err(Error::Timeout(self.timeout))) {
            Ok(_) => Ok(None),
            Err(error) if self.state.lock().await.servers.may_pass(&error) => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// A client that is not known to have lost a server.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub(crate) async fn client(&self) -> Result<Rc<Client>> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        let State { client, failed, servers } = &mut *state;
        if let Some(client) = client.as_ref().filter(|client| client.connected()) {
            return Ok(client.clone());
        }
        // A request that waited while another one failed to connect does not try again.
        if let Some((_, error)) = failed.as_ref().filter(|(when, _)| *when > asked) {
            return Err(error.clone());
        }
        *client = None;
        let connected = servers.connect().await;
        *failed = connected.as_ref().err().map(|error| (Instant::now(), error.clone()));
        Ok(client.insert(Rc::new(connected?)).clone())
    }

    /// Closes the connections to the servers.
    pub(crate) async fn close(&self) {
        if let Some(client) = self.state.lock().await.client.take() {
            client.close().await;
        }
    }
}
