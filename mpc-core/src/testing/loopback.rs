//! Three QUIC meshes on loopback, in one process.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::network::endpoint::Io;
use crate::network::identity::Identity;
use crate::network::mesh::{Inbox, Mesh};
use crate::network::quic::QuicNetwork;
use crate::role::Role;
use crate::session::Id;
use crate::wire::cluster::{Cluster, PartyEntry};

/// Time limit for events that must happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Three connected servers.
pub struct Loopback {
    /// The keys of the servers, by role.
    pub identities: [Arc<Identity>; 3],
    /// The names, addresses and keys of the servers.
    pub cluster: Cluster,
    /// The servers, by role.
    pub parties: Vec<Server>,
}

/// One connected server.
pub struct Server {
    /// The connections to the peers.
    pub mesh: Mesh,
    /// Streams and connections besides sessions.
    pub inbox: Inbox,
    /// Dropped last, because the mesh needs it.
    pub io: Io,
}

impl Loopback {
    /// Starts three servers with fresh keys and waits until they are connected.
    ///
    /// # Panics
    /// If the machine gives no ports or threads.
    pub fn start() -> Self {
        let identities = Role::ALL.map(|role| Arc::new(Identity::generate(&role.to_string()).expect("a name")));
        let sockets = Role::ALL.map(|_| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
        let entry = |role: Role| PartyEntry {
            name: role.to_string(),
            addresses: vec![sockets[role.index()].local_addr().expect("bound").to_string()],
            fingerprints: vec![identities[role.index()].fingerprint().to_string()],
        };
        let cluster = Cluster { parties: Role::ALL.map(entry).into() };
        let mut three = Self { identities, cluster, parties: Vec::new() };
        for (role, socket) in Role::ALL.into_iter().zip(sockets) {
            three.parties.push(three.server(role, socket));
        }
        three.connected();
        three
    }

    /// Starts the server of `role`.
    ///
    /// # Panics
    /// If the machine gives no thread.
    pub fn server(&self, role: Role, socket: UdpSocket) -> Server {
        let io = Io::start().expect("a thread");
        let identity = self.identities[role.index()].clone();
        let (mesh, inbox) = Mesh::start(&io, socket, identity, role, &self.cluster).expect("a valid cluster");
        Server { mesh, inbox, io }
    }

    /// Waits until all are connected.
    ///
    /// # Panics
    /// If they are not in [`DEADLINE`].
    pub fn connected(&self) {
        for party in &self.parties {
            party.io.handle().block_on(party.mesh.connected(DEADLINE)).expect("all are up");
        }
    }

    /// Enters a session at all three, with waits that give up after `deadline`.
    pub fn enter(&self, session: Id, deadline: Duration) -> Result<[QuicNetwork; 3]> {
        let [p0, p1, p2] = [0, 1, 2].map(|i| self.parties[i].mesh.session(session, deadline));
        Ok([p0?, p1?, p2?])
    }
}
