//! An emulated network between the parties: a relay that delays each UDP datagram as the link would.
//!
//! Every party has one uplink with a rate, on which its datagrams to both peers wait for each other; they arrive half a
//! round-trip time after they have left it, in order. A datagram that finds more than [`QUEUE`] and a bandwidth-delay
//! product waiting, or exceeds the link's packet size, is dropped. A pair of parties shares one socket of the relay:
//! each of the two takes it for the other.
//!
//! A burst that the kernel delivers as one (generic receive offload) waits until its last byte has left and travels on
//! as one, so that the relay uses little of the processors it shares with the parties.

use std::collections::HashMap;
use std::fmt;
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mpc_core::Role;
use mpc_core::session::Conditions;
use parking_lot::Mutex;
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt;

/// Bytes that may wait for an uplink beyond a bandwidth-delay product.
const QUEUE: f64 = 4e6;

/// Bytes of IP and UDP headers, which take time on the link too.
const HEADERS: usize = 28;

/// A datagram's time through the relay besides waiting (twice through the kernel, waking threads): part of the delay.
const PASSAGE: Duration = Duration::from_micros(60);

/// Bytes that the kernel buffers while the relay is not running.
const SOCKET_BUFFER: usize = 4 << 20;

/// The link between the parties.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmulatedLink {
    name: String,
    /// `None` on loopback.
    emulated: Option<Emulated>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Emulated {
    round_trip: Duration,
    /// Bytes per second.
    rate: f64,
    /// Size of the largest packet in bytes.
    mtu: usize,
}

impl FromStr for EmulatedLink {
    type Err = String;

    /// `loopback`, `lan`, `wan`, or a round-trip time and a rate: `40ms,100Mbit`.
    fn from_str(text: &str) -> Result<Self, String> {
        let emulated = match text {
            "loopback" => return Ok(Self::loopback()),
            "lan" => Emulated { round_trip: Duration::from_micros(200), rate: 1e9 / 8.0, mtu: 9000 },
            "wan" => Emulated { round_trip: Duration::from_millis(40), rate: 1e8 / 8.0, mtu: 1500 },
            custom => custom.split_once(',').and_then(Emulated::parse).ok_or_else(|| {
                format!(
                    "{custom:?} is neither loopback, lan, wan nor a round-trip time and a rate such as 40ms,100Mbit"
                )
            })?,
        };
        Ok(Self { name: text.to_owned(), emulated: Some(emulated) })
    }
}

impl EmulatedLink {
    /// No emulated link.
    pub(crate) fn loopback() -> Self {
        Self { name: "loopback".to_owned(), emulated: None }
    }

    /// The conditions that the parties plan for: the same in every run, so that rounds and bytes are too.
    pub(crate) fn conditions(&self) -> Conditions {
        let near = Conditions::LOOPBACK;
        self.emulated.map_or(near, |link| Conditions {
            latency_us: (link.round_trip / 2).as_micros() as u32 + near.latency_us,
            rate_mbit: (link.rate * 8e-6) as u32,
        })
    }
}

impl fmt::Display for EmulatedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Emulated {
    fn parse((round_trip, rate): (&str, &str)) -> Option<Self> {
        let number = |text: &str, units: &[(&str, f64)]| {
            let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
            number.parse::<f64>().ok().filter(|number| (1e-3..1e6).contains(number)).map(|number| number * factor)
        };
        let seconds = number(round_trip, &[("us", 1e-6), ("ms", 1e-3)])?;
        let bits = number(rate, &[("Mbit", 1e6), ("Gbit", 1e9)])?;
        Some(Self { round_trip: Duration::from_secs_f64(seconds), rate: bits / 8.0, mtu: 1500 })
    }
}

/// The addresses at which each party reaches the others: `addresses[from][to]`.
pub(crate) type Addresses = [[SocketAddr; 3]; 3];

/// Puts the link between the parties that serve at `parties`; its threads run until the process ends.
pub(crate) fn connect(link: &EmulatedLink, parties: [SocketAddr; 3]) -> Result<Addresses> {
    let mut addresses = [parties; 3];
    let Some(emulated) = link.emulated else { return Ok(addresses) };
    let mut uplinks = Vec::new();
    for role in Role::ALL {
        let (sender, receiver) = channel();
        thread::Builder::new().name(format!("uplink {role}")).spawn(move || deliver(&receiver))?;
        uplinks.push(Arc::new(Mutex::new(Uplink { link: emulated, free: Instant::now(), sender })));
    }
    for role in Role::ALL {
        let ends = [role, role.next()].map(Role::index);
        let socket = Arc::new(Socket::bind()?);
        addresses[ends[0]][ends[1]] = socket.address;
        addresses[ends[1]][ends[0]] = socket.address;
        let routes = [(ends[0], ends[1]), (ends[1], ends[0])];
        let routes = routes.map(|(from, to)| (parties[from], Route { uplink: uplinks[from].clone(), to: parties[to] }));
        let receive = move || socket.receive(&HashMap::from(routes));
        thread::Builder::new().name(format!("relay {role}")).spawn(receive)?;
    }
    Ok(addresses)
}

/// The route of datagrams from one party to another.
struct Route {
    uplink: Arc<Mutex<Uplink>>,
    to: SocketAddr,
}

/// The sending side of a party.
struct Uplink {
    link: Emulated,
    /// When the last waiting byte will have left.
    free: Instant,
    sender: Sender<Held>,
}

/// Datagrams in flight.
struct Held {
    due: Instant,
    socket: Arc<Socket>,
    to: SocketAddr,
    ecn: Option<EcnCodepoint>,
    /// Bytes of each datagram but the last.
    stride: usize,
    bytes: Vec<u8>,
}

impl Uplink {
    /// Queues a burst, unless the queue is full.
    fn send(&mut self, socket: &Arc<Socket>, to: SocketAddr, bytes: &[u8], meta: &RecvMeta) {
        let Emulated { round_trip, rate, mtu } = self.link;
        let (now, stride) = (Instant::now(), meta.stride.max(1));
        let waiting = self.free.saturating_duration_since(now).as_secs_f64() * rate;
        if stride + HEADERS > mtu || waiting > QUEUE + round_trip.as_secs_f64() * rate {
            return;
        }
        let on_wire = bytes.len() + bytes.len().div_ceil(stride) * HEADERS;
        self.free = self.free.max(now) + Duration::from_secs_f64(on_wire as f64 / rate);
        let due = self.free + (round_trip / 2).saturating_sub(PASSAGE);
        let held = Held { due, socket: socket.clone(), to, ecn: meta.ecn, stride, bytes: bytes.to_vec() };
        // The receiver lives as long as this process.
        drop(self.sender.send(held));
    }
}

/// Forwards each burst when it is due; all on an uplink have the same delay, so they are due in order.
fn deliver(held: &Receiver<Held>) {
    wake_in_time();
    for Held { due, socket, to, ecn, stride, bytes } in held {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let segment_size = (bytes.len() > stride).then_some(stride);
        let transmit = Transmit { destination: to, ecn, contents: &bytes, segment_size, src_ip: None };
        // A datagram to a party that has ended is lost, as on a link.
        drop(socket.state.send((&socket.socket).into(), &transmit));
    }
}

/// Lets this thread's sleeps end on time: otherwise they may end 50 microseconds late, a quarter of a LAN's round trip.
#[cfg(target_os = "linux")]
fn wake_in_time() {
    // If the kernel does not allow this, times are slightly longer.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

#[cfg(not(target_os = "linux"))]
fn wake_in_time() {}

/// The socket that two parties share.
struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    state: UdpSocketState,
}

impl Socket {
    fn bind() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("the relay gets no socket")?;
        sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER)?;
        sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER)?;
        let state = UdpSocketState::new((&socket).into())?;
        socket.set_nonblocking(false)?;
        Ok(Self { address: socket.local_addr()?, socket, state })
    }

    /// Receives from the two parties; ignores datagrams from elsewhere.
    fn receive(self: &Arc<Self>, routes: &HashMap<SocketAddr, Route>) {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        let mut meta = [RecvMeta::default()];
        loop {
            let received = self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(&mut buffer)], &mut meta);
            let [meta] = &meta;
            if let (Ok(1..), Some(Route { uplink, to })) = (received, routes.get(&meta.addr)) {
                let mut uplink = uplink.lock();
                uplink.send(self, *to, &buffer[..meta.len], meta);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_named_or_described() {
        let parse = |text: &str| text.parse::<EmulatedLink>();
        assert_eq!(parse("loopback").unwrap(), EmulatedLink::loopback());
        assert_eq!(parse("wan").unwrap().emulated, parse("40ms,100Mbit").unwrap().emulated);
        assert_eq!(parse("200us,1Gbit").unwrap().emulated.unwrap().rate, 1.25e8);
        for wrong in ["", "moon", "40ms", "40,100", "-1ms,1Gbit", "NaNms,1Gbit", "1ms,0Mbit"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn datagrams_arrive_in_order_and_as_they_were_unless_too_large() {
        let parties = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let own = parties.each_ref().map(|party| party.local_addr().unwrap());
        let addresses = connect(&"1ms,100Mbit".parse().unwrap(), own).unwrap();
        for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 1)] {
            parties[to].set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            parties[from].send_to(&[0; 1473], addresses[from][to]).unwrap();
            for length in (1..100).chain([1472]) {
                parties[from].send_to(&vec![length as u8; length], addresses[from][to]).unwrap();
            }
            for length in (1..100).chain([1472]) {
                let mut got = [0; 2000];
                let (received, back) = parties[to].recv_from(&mut got).unwrap();
                assert_eq!((&got[..received], back), (&*vec![length as u8; length], addresses[to][from]));
            }
        }
    }
}
