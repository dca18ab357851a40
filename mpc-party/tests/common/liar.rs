//! A party with a party's own key that says what a test tells it to, written from the wire format alone.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use mpc_core::Role::{self, P1, P2};
use mpc_core::network::Network;
use mpc_core::network::endpoint::Io;
use mpc_core::network::identity::Identity;
use mpc_core::network::mesh::{Control, Inbox, Mesh};
use mpc_core::network::stream;
use mpc_core::session::{Conditions, Id};
use mpc_core::wire::codec::{self, MAX_ENCODED};
use mpc_core::wire::message::{Change, Versioned};
use mpc_core::wire::peer::{
    Catalog, ChangeHello, Decision, PeerRequest, Propose, Verdict, nonce_commitment, session_id,
};
use quinn::{RecvStream, SendStream};
use serde::de::DeserializeOwned;

use super::Parties;

/// Longest wait for an honest party.
const WAIT: Duration = Duration::from_secs(20);

/// Random numbers of parties that the test plays.
const NONCE: Id = [0x20; 32];

/// In the place of one party.
pub(crate) struct Liar {
    mesh: Mesh,
    inbox: Inbox,
    // Dropped last, so that the thread outlives its users.
    _io: Io,
}

/// A follower that P0 has proposed a change to.
pub(crate) struct Proposed {
    verdict: Verdict,
    send: SendStream,
}

impl Liar {
    /// Takes the place of a party, whose process ends, and waits for the others.
    pub(crate) async fn in_place_of(parties: &mut Parties, role: Role) -> Self {
        parties.terminate(role);
        let liar = Self::start(parties, role);
        liar.connected().await;
        liar
    }

    /// Takes the place of a party that does not run.
    pub(crate) fn start(parties: &Parties, role: Role) -> Self {
        let address = &parties.cluster.parties[role.index()].addresses[0];
        let socket = std::iter::repeat_with(|| UdpSocket::bind(&**address)).find_map(Result::ok).unwrap();
        let identity = Arc::new(Identity::load(&parties.folder(role)).unwrap());
        let io = Io::start().unwrap();
        let (mesh, inbox) = Mesh::start(&io, socket, identity, role, &parties.cluster).unwrap();
        Self { mesh, inbox, _io: io }
    }

    /// Waits for the others.
    pub(crate) async fn connected(&self) {
        self.mesh.connected(WAIT).await.unwrap();
    }

    /// Leaves, so that the honest party may come back.
    pub(crate) async fn leave(self) {
        self.mesh.close("done").await;
    }

    async fn ask<T: DeserializeOwned>(&self, peer: Role, request: PeerRequest) -> std::io::Result<T> {
        let (mut send, mut recv) = self.mesh.control(peer).await.unwrap();
        stream::send(&mut send, &Versioned::new(request)).await?;
        stream::receive(&mut recv, MAX_ENCODED).await
    }

    /// Says that a list is in service; returns what the peer then has, if it answers.
    pub(crate) async fn tell(&self, peer: Role, list: &Catalog) -> std::io::Result<Catalog> {
        self.ask(peer, PeerRequest::Catalog(list.clone())).await
    }

    /// As P0: proposes a change to a follower, with a commitment to `nonce`.
    pub(crate) async fn propose(&self, peer: Role, change: &Change, client: &Identity, nonce: Id) -> Proposed {
        let digest = change.digest().unwrap();
        let (request, client) = (change.stamp.request, client.fingerprint().0);
        let propose = Propose { request, digest, client, tenant: "default".into() };
        let commitment = nonce_commitment(&digest, &nonce);
        let (mut send, mut recv) = self.mesh.control(peer).await.unwrap();
        stream::send(&mut send, &Versioned::new(PeerRequest::Propose { propose, commitment })).await.unwrap();
        Proposed { verdict: stream::receive(&mut recv, MAX_ENCODED).await.unwrap(), send }
    }

    /// As P0: commits followers to a session, with these random numbers in the places of all other parties.
    pub(crate) async fn commit(&self, followers: &mut [(Role, Proposed)], mut nonces: [Id; 3]) -> [Id; 3] {
        for (role, Proposed { verdict, .. }) in &*followers {
            let Verdict::Accept { nonce } = verdict else { panic!("{verdict:?}") };
            nonces[role.index()] = *nonce;
        }
        for (_, Proposed { send, .. }) in followers {
            stream::send(send, &Decision::Commit { nonces, conditions: Conditions::LOOPBACK }).await.unwrap();
        }
        nonces
    }

    /// As P0: admits a change to both followers, as an honest party would; returns the session.
    pub(crate) async fn admit(&self, change: &Change, client: &Identity) -> Id {
        let (p1, p2) = tokio::join!(self.propose(P1, change, client, NONCE), self.propose(P2, change, client, NONCE));
        let nonces = self.commit(&mut [(P1, p1), (P2, p2)], [NONCE; 3]).await;
        session_id(&change.digest().unwrap(), &client.fingerprint().0, &nonces)
    }

    /// As P1 or P2: answers everything with `list` until P0 proposes something, and accepts that; returns the session.
    pub(crate) async fn accept(&mut self, list: &Catalog) -> Id {
        loop {
            if let Some((propose, mut send, mut recv)) = self.answer(list).await {
                stream::send(&mut send, &Verdict::Accept { nonce: NONCE }).await.unwrap();
                match stream::receive(&mut recv, MAX_ENCODED).await.unwrap() {
                    Decision::Commit { nonces, .. } => return session_id(&propose.digest, &propose.client, &nonces),
                    abort => panic!("{abort:?}"),
                }
            }
        }
    }

    /// As P1 or P2: answers with `list` until it was asked `times` times what is in service.
    pub(crate) async fn answer_times(&mut self, list: &Catalog, times: usize) {
        for _ in 0..times {
            assert!(self.answer(list).await.is_none(), "nobody proposes anything");
        }
    }

    /// Answers the next request for what is in service, or returns the next proposal.
    async fn answer(&mut self, list: &Catalog) -> Option<(Propose, SendStream, RecvStream)> {
        loop {
            let Control { mut send, mut recv, .. } = self.inbox.controls.recv().await.unwrap();
            match stream::receive_first(&mut recv, MAX_ENCODED).await.unwrap() {
                PeerRequest::Propose { propose, .. } => return Some((propose, send, recv)),
                // The peer may have given up waiting.
                PeerRequest::Catalog(_) => drop(stream::send(&mut send, list).await),
                PeerRequest::InService => drop(stream::send(&mut send, &list.digest().unwrap()).await),
                PeerRequest::Measure { .. } => continue,
            }
            return None;
        }
    }

    /// Takes part in a change for `rounds` rounds after the hello, which tells each peer that the change leads from one
    /// list to another. Returns what ended it early.
    pub(crate) async fn meet(
        &self,
        session: Id,
        says: [(Role, [&Catalog; 2]); 2],
        rounds: usize,
    ) -> mpc_core::Result<()> {
        let mesh = self.mesh.clone();
        let hellos = says.map(|(peer, [before, next])| {
            (peer, codec::encode(&ChangeHello::new(session, before, next).unwrap()).unwrap())
        });
        let meeting = move || {
            let mut network = mesh.session(session, WAIT)?;
            for (peer, hello) in &hellos {
                network.send(*peer, hello)?;
            }
            for (peer, hello) in &hellos {
                network.recv(*peer, &mut vec![0; hello.len()])?;
            }
            for _ in 0..rounds {
                for (peer, _) in &hellos {
                    network.send(*peer, &[0])?;
                }
                for (peer, _) in &hellos {
                    network.recv(*peer, &mut [0])?;
                }
            }
            network.flush()
        };
        tokio::task::spawn_blocking(meeting).await.unwrap()
    }
}
