//! The connection to the three servers, made anew after it was lost.

use std::rc::Rc;
use std::time::Duration;

use mpc_client::local::LocalCluster;
use mpc_client::{Client, Error, Result};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cli::Global;
use crate::commands::{Needed, connect};
use crate::output::Progress;

/// One connection that all requests share.
pub(crate) struct Link {
    global: Global,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Rc<Client>>,
    /// The last failure to connect, and when.
    failed: Option<(Instant, Error)>,
    /// With `--local`, the three servers. Dropped after the client.
    parties: Option<LocalCluster>,
}

impl Link {
    /// Not connected yet, with what the command line says of the cluster.
    pub(crate) fn new(global: Global) -> Self {
        Self { global, state: Mutex::default() }
    }

    /// How long a question may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.global.timeout
    }

    /// Connects for the first time; the problem, where it is one that may pass.
    ///
    /// # Errors
    /// What no further attempt would mend.
    pub(crate) async fn start(&self) -> Result<Option<Error>> {
        let connected = tokio::time::timeout(self.timeout(), self.client_with(&Progress::start())).await;
        match connected.unwrap_or(Err(Error::Timeout(self.timeout()))) {
            Ok(_) => Ok(None),
            // Nobody else can mend what is wrong on this machine.
            Err(error) if self.global.local || [1, 2].contains(&error.exit_code()) => Err(error),
            Err(error) => Ok(Some(error)),
        }
    }

    /// A client that is not known to have lost a server.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub(crate) async fn client(&self) -> Result<Rc<Client>> {
        self.client_with(&Progress::hidden()).await
    }

    async fn client_with(&self, progress: &Progress) -> Result<Rc<Client>> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        let State { client, failed, parties } = &mut *state;
        if let Some(client) = client.as_ref().filter(|client| client.connected()) {
            return Ok(client.clone());
        }
        // Whoever waited while another one tried in vain does not try once more.
        if let Some((_, error)) = failed.as_ref().filter(|(when, _)| *when > asked) {
            return Err(error.clone());
        }
        *client = None;
        let connected = match parties {
            Some(parties) => parties.connect().await,
            None => connect(&self.global, Needed::All, parties, progress).await,
        };
        *failed = connected.as_ref().err().map(|error| (Instant::now(), error.clone()));
        Ok(client.insert(Rc::new(connected?)).clone())
    }

    /// Says good-bye to the servers.
    pub(crate) async fn close(&self) {
        if let Some(client) = self.state.lock().await.client.take() {
            client.close().await;
        }
    }
}
