//! The network alone: consecutive rounds around the ring, in which every party sends to its predecessor.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use mpc_core::Role;
use mpc_core::network::identity::Identity;
use mpc_core::network::mesh::Mesh;
use mpc_core::network::quic::{Cancel, QuicNetwork};
use mpc_core::network::{Network, endpoint, tls};
use mpc_core::session::Meter;
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::message::Purpose;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use crate::job::{Against, Measured, Run};
use crate::session::{Clock, DEADLINE, barrier, session};

/// Consecutive rounds in one run.
const ROUNDS: u64 = 200;

/// Bytes of the large messages beside the small ones.
const BULK: usize = 1 << 20;

/// The first session number for large messages.
const BULK_SESSIONS: u32 = 1 << 31;

/// Both kinds of rounds take turns, run by run; the first turn warms up. The rounds to compare with come first.
pub(crate) fn run(
    mesh: &Mesh,
    identity: &Identity,
    cluster: &Cluster,
    runs: u32,
    bytes: usize,
    against: Against,
) -> Result<Vec<Measured>> {
    let mut network = session(mesh, 0)?;
    let mut ring = match against {
        Against::Tls => Some(TlsRing::connect(&mut network, identity, cluster)?),
        Against::Alone => None,
    };
    let meter = Meter { rounds: ROUNDS, bytes_sent: ROUNDS * bytes as u64 };
    let mut measured = [(); 2].map(|()| Measured { meter, ..Measured::default() });
    for turn in 0..=runs {
        let first = match &mut ring {
            Some(ring) => time(&mut network, bytes, |_, message, got| ring.round(message, got))?,
            None => time(&mut network, bytes, |network, message, got| Ok(round(network, message, got)?))?,
        };
        let bulk = ring.is_none().then(|| Bulk::start(mesh, turn)).transpose()?;
        let second = time(&mut network, bytes, |network, message, got| Ok(round(network, message, got)?))?;
        bulk.map(Bulk::stop).transpose()?;
        if turn > 0 {
            measured[0].runs.push(first);
            measured[1].runs.push(second);
        }
    }
    network.flush()?;
    Ok(measured.into())
}

/// Times a run that all three start together.
fn time(
    network: &mut QuicNetwork,
    bytes: usize,
    mut round: impl FnMut(&mut QuicNetwork, &[u8], &mut [u8]) -> Result<()>,
) -> Result<Run> {
    let (message, mut got) = (vec![0; bytes], vec![0; bytes]);
    barrier(network)?;
    let clock = Clock::start();
    for _ in 0..ROUNDS {
        round(network, &message, &mut got)?;
    }
    Ok(clock.stop())
}

fn round(network: &mut QuicNetwork, message: &[u8], got: &mut [u8]) -> mpc_core::Result<()> {
    let role = network.role();
    network.send(role.prev(), message)?;
    network.recv(role.next(), got)
}

/// Rounds of large messages in a session and a thread of their own, until they are stopped.
struct Bulk {
    cancel: Cancel,
    thread: JoinHandle<mpc_core::Result<()>>,
}

impl Bulk {
    fn start(mesh: &Mesh, turn: u32) -> Result<Self> {
        let mut network = session(mesh, BULK_SESSIONS + turn)?;
        barrier(&mut network)?;
        let cancel = network.cancel();
        let thread = thread::spawn(move || {
            let (message, mut got) = (vec![0; BULK], vec![0; BULK]);
            loop {
                round(&mut network, &message, &mut got)?;
            }
        });
        Ok(Self { cancel, thread })
    }

    fn stop(self) -> Result<()> {
        self.cancel.abort("the measurement is over");
        // The thread ends with the abort above, or with that of the peer that came first.
        drop(self.thread.join().map_err(|_| anyhow!("a thread panicked"))?);
        Ok(())
    }
}

/// The same ring over blocking TCP with TLS: to the predecessor and from the successor.
struct TlsRing {
    to: StreamOwned<ClientConnection, TcpStream>,
    from: StreamOwned<ServerConnection, TcpStream>,
}

impl TlsRing {
    /// A larger message goes in pieces, each read before the next is written: a kernel buffer holds one, so three
    /// parties that all write do not wait for each other.
    const PIECE: usize = 64 << 10;

    /// Connects over the TCP ports with the numbers of the UDP ports.
    fn connect(network: &mut QuicNetwork, identity: &Identity, cluster: &Cluster) -> Result<Self> {
        let role = network.role();
        let address = |role: Role| cluster.parties[role.index()].addresses[0].as_str();
        let listener = TcpListener::bind(address(role)).with_context(|| address(role).to_owned())?;
        barrier(network)?;
        let pins = endpoint::pins(&cluster.parties[role.prev().index()])?;
        let client = tls::client_config(identity, &pins, Purpose::Mesh)?;
        let to = ClientConnection::new(Arc::new(client), "party".try_into()?)?;
        let from = ServerConnection::new(Arc::new(tls::server_config(identity)?))?;
        let mut to = StreamOwned::new(to, TcpStream::connect(address(role.prev()))?);
        let mut from = StreamOwned::new(from, listener.accept()?.0);
        for socket in [&to.sock, &from.sock] {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(DEADLINE))?;
        }
        // Both handshakes run at once, or the ring would wait for itself.
        thread::scope(|scope| {
            let caller = scope.spawn(|| to.conn.complete_io(&mut to.sock));
            from.conn.complete_io(&mut from.sock)?;
            caller.join().map_err(|_| anyhow!("a thread panicked"))??;
            anyhow::Ok(())
        })?;
        Ok(Self { to, from })
    }

    fn round(&mut self, message: &[u8], got: &mut [u8]) -> Result<()> {
        let mut pieces = message.chunks(Self::PIECE);
        let first = pieces.next().unwrap_or_default();
        self.to.write_all(&[&(message.len() as u64).to_le_bytes(), first].concat())?;
        let mut length = [0; 8];
        self.from.read_exact(&mut length)?;
        ensure!(u64::from_le_bytes(length) == got.len() as u64, "a message of another length");
        for place in got.chunks_mut(Self::PIECE) {
            self.from.read_exact(place)?;
            self.to.write_all(pieces.next().unwrap_or_default())?;
        }
        Ok(())
    }
}
