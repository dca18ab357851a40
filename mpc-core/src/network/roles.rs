//! Checks that two parties agree on their roles, before a connection between them carries anything.
//!
//! A peer's key identifies it, and the order in the cluster file gives the roles. Each party has a copy; one in another
//! order would make sessions fail later, far from the cause.

use std::sync::atomic::{AtomicU8, Ordering};

use quinn::{Connection, ConnectionError};
use tokio::time::timeout;

use super::endpoint::{GREETING, explain};
use super::session::Header;
use crate::role::Role;

/// Which side of a new connection a party is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The party called, and states its roles first.
    Caller,
    /// The party was called, and states its roles after it has heard the other's.
    Called,
}

/// What this party knows about the others' cluster files, by role.
#[derive(Default)]
pub(super) struct Views([AtomicU8; 3]);

const AGREES: u8 = 1;
const DIFFERS: u8 = 2;

impl Views {
    /// Tells a peer the roles of both as `role` sees them, and compares.
    ///
    /// # Errors
    /// How they differ and whose file is wrong, as far as is known; or why the peer did not state its roles.
    pub(super) async fn compare(
        &self,
        role: Role,
        peer: Role,
        connection: &Connection,
        side: Side,
    ) -> Result<(), String> {
        let ours = Header::Roles(role, peer);
        let exchange = async {
            if side == Side::Caller {
                say(connection, ours).await?;
            }
            let theirs = hear(connection).await?;
            if side == Side::Called {
                say(connection, ours).await?;
            }
            Ok::<_, ConnectionError>(theirs)
        };
        let theirs = match timeout(GREETING, exchange).await {
            Ok(Ok(theirs)) => theirs,
            Ok(Err(error)) => return Err(explain(&error)),
            Err(_) => return Err("it did not say in time which party it is".into()),
        };
        let Some(Header::Roles(own, other)) = theirs else {
            return Err("it did not say which party it is".into());
        };
        if (own, other) == (peer, role) {
            self.0[peer.index()].store(AGREES, Ordering::Relaxed);
            return Ok(());
        }
        let how = format!("it takes itself for {own} and this party, {role}, for {other}");
        Err(self.differs(role, peer, &how))
    }

    /// Notes that a peer's file has another order, as `how` shows. Returns a text for people that names the wrong file
    /// if known.
    pub(super) fn differs(&self, role: Role, peer: Role, how: &str) -> String {
        self.0[peer.index()].store(DIFFERS, Ordering::Relaxed);
        let third = Role::from_index(3 - role.index() - peer.index());
        let whose = match self.0[third.index()].load(Ordering::Relaxed) {
            AGREES => format!("{third} has the order of this party, so correct the one at {peer}"),
            DIFFERS => format!("it is not the order of {third} either, so correct the one at {role} first"),
            _ => "correct the one that is wrong".into(),
        };
        format!("the order in cluster.toml is not the same at both: {how}; {whose}")
    }
}

async fn say(connection: &Connection, header: Header) -> Result<(), ConnectionError> {
    let mut stream = connection.open_uni().await?;
    // A failed write means that the connection is lost, and the read that follows says why.
    drop(stream.write_all(&header.encode()).await);
    drop(stream.finish());
    Ok(())
}

async fn hear(connection: &Connection) -> Result<Option<Header>, ConnectionError> {
    let mut stream = connection.accept_uni().await?;
    let mut header = [0; Header::LENGTH];
    match stream.read_exact(&mut header).await {
        Ok(()) => Ok(Header::decode(&header)),
        Err(_) => connection.close_reason().map_or(Ok(None), Err),
    }
}
