//! [`Transport`] over QUIC, with pinned keys.

use std::io;
use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::identity::{Fingerprint, Identity};
use mpc_core::network::reach::{Unreachable, reach};
use mpc_core::network::{endpoint, stream};
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::message::{Code, Purpose};
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use zeroize::Zeroizing;

use crate::connect::{Client, join};
use crate::error::{Error, Result};
use crate::transport::{Receiver, Sender, Transport};

/// How long a party may take to answer the first packet.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// How long a closed connection is kept to repeat the close.
const CLOSING: Duration = Duration::from_millis(50);

/// A QUIC connection to one party.
pub struct Quic {
    party: String,
    address: String,
    ours: Fingerprint,
    endpoint: Endpoint,
    connection: Connection,
}

impl Client<Quic> {
    /// Connects to all three parties of `cluster` at once, as `identity`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where a party does not answer, or shows a key that the cluster file does not list.
    pub async fn connect(cluster: &Cluster, identity: &Identity) -> Result<Self> {
        let endpoint = endpoint::caller()?;
        let parties = Role::ALL.map(|role| Quic::connect(endpoint.clone(), cluster, identity, role));
        Ok(Self::new(join(parties).await?))
    }
}

impl Quic {
    async fn connect(endpoint: Endpoint, cluster: &Cluster, identity: &Identity, role: Role) -> Result<Self> {
        let entry = &cluster.parties[role.index()];
        let party = format!("{role} ({})", entry.name);
        let address = entry.addresses.first().cloned().unwrap_or_default();
        endpoint::pins(entry)?;
        let called = reach(&endpoint, identity, Purpose::Ask, entry, CONNECT_DEADLINE).await;
        let connection = called.map_err(|unreachable| match unreachable {
            Unreachable::OtherVersion { .. } => {
                let reason = "it speaks another version of the protocol; update the older side".into();
                Error::Refused { party: party.clone(), code: Code::OtherVersion, reason }
            }
            other => Error::Unreachable { party: party.clone(), reason: other.to_string() },
        })?;
        Ok(Self { party, address, ours: identity.fingerprint(), endpoint, connection })
    }

    fn ended(&self, error: &ConnectionError) -> Error {
        let Self { party, address, ours, .. } = self;
        match error {
            ConnectionError::ApplicationClosed(closed) if closed.error_code == endpoint::close::NOT_TRUSTED => {
                Error::NotTrusted(format!(
                    "{party} does not know this client: ask its operator to add {ours} to the clients in its configuration"
                ))
            }
            error if endpoint::blames_certificate(error) => {
                Error::NotTrusted(format!("{party}: {}", endpoint::explain(error)))
            }
            error => Error::Aborted(format!("lost {party} at {address}: {}", endpoint::explain(error))),
        }
    }
}

impl Transport for Quic {
    type Sender = SendStream;
    type Receiver = RecvStream;

    fn party(&self) -> &str {
        &self.party
    }

    async fn open(&self) -> Result<(SendStream, RecvStream)> {
        self.connection.open_bi().await.map_err(|e| self.ended(&e))
    }

    fn lost(&self) -> Option<Error> {
        self.connection.close_reason().map(|reason| self.ended(&reason))
    }

    async fn close(&self) {
        self.connection.close(endpoint::close::DONE, b"the client is done");
        // The close leaves at once; the wait is only for repeating it.
        drop(tokio::time::timeout(CLOSING, self.endpoint.wait_idle()).await);
    }

    async fn sleep(time: Duration) {
        tokio::time::sleep(time).await;
    }
}

impl Sender for SendStream {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        Ok(self.write_all(bytes).await?)
    }
}

impl Receiver for RecvStream {
    async fn receive(&mut self, length: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        stream::receive_bytes(self, length).await
    }
}
