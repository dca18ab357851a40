//! A faulty network: UDP relays between the parties that lose, repeat, delay and cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use mpc_core::Role;
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

/// Steele, Lea and Flood's SplitMix64: enough to choose faults.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// What happens to datagrams between two parties.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Nothing arrives.
    pub(crate) cut: AtomicBool,
    /// Per mille of datagrams that do not arrive.
    pub(crate) lost: AtomicU32,
    /// Per mille of datagrams that arrive twice.
    pub(crate) repeated: AtomicU32,
    /// Milliseconds that datagrams take longer, up to twice as many: they overtake each other.
    pub(crate) delay: AtomicU32,
}

impl Faults {
    /// Removes all faults.
    pub(crate) fn heal(&self) {
        self.cut.store(false, Ordering::Relaxed);
        [&self.lost, &self.repeated, &self.delay].into_iter().for_each(|fault| fault.store(0, Ordering::Relaxed));
    }
}

/// One relay for each pair of parties; the lower role calls the higher one through it.
#[derive(Default)]
pub(crate) struct Relays {
    pairs: Vec<((Role, Role), Arc<Faults>)>,
}

impl Relays {
    /// Puts a relay in front of `to` for the calls of `from`; returns its address.
    pub(crate) fn between(&mut self, runtime: &Handle, from: Role, to: Role, address: &str, seed: u64) -> String {
        let to_address: SocketAddr = address.parse().expect("a party on loopback has an address");
        let faults = Arc::new(Faults::default());
        let relay = runtime.block_on(start(to_address, faults.clone(), seed));
        self.pairs.push(((from, to), faults));
        relay.to_string()
    }

    /// The pair at a position, and what happens to it.
    pub(crate) fn pair(&self, position: u64) -> (&(Role, Role), &Arc<Faults>) {
        let (pair, faults) = &self.pairs[position as usize % self.pairs.len()];
        (pair, faults)
    }

    /// Heals all pairs.
    pub(crate) fn heal(&self) {
        self.pairs.iter().for_each(|(_, faults)| faults.heal());
    }
}

async fn start(to: SocketAddr, faults: Arc<Faults>, seed: u64) -> SocketAddr {
    let socket = async || Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
    let (front, back) = (socket().await, socket().await);
    let address = front.local_addr().expect("a bound socket");
    let caller = Arc::new(Mutex::new(None));
    let seen = caller.clone();
    let called = move |from| {
        *seen.lock() = Some(from);
        Some(to)
    };
    let returned = move |_| *caller.lock();
    tokio::spawn(pump(front.clone(), back.clone(), called, faults.clone(), Random(seed)));
    tokio::spawn(pump(back, front, returned, faults, Random(!seed)));
    address
}

/// Carries datagrams from one socket to the other, to where `route` says.
async fn pump(
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    route: impl Fn(SocketAddr) -> Option<SocketAddr> + Send,
    faults: Arc<Faults>,
    mut random: Random,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        // A party that is down answers datagrams with an error of the socket, which passes.
        let Ok((length, source)) = from.recv_from(&mut buffer).await else { continue };
        let Some(target) = route(source) else { continue };
        let chosen = |random: &mut Random, fault: &AtomicU32| random.below(1000) < fault.load(Ordering::Relaxed).into();
        if faults.cut.load(Ordering::Relaxed) || chosen(&mut random, &faults.lost) {
            continue;
        }
        let copies = 1 + usize::from(chosen(&mut random, &faults.repeated));
        let delay = u64::from(faults.delay.load(Ordering::Relaxed));
        for _ in 0..copies {
            if delay == 0 {
                drop(to.send_to(&buffer[..length], target).await);
                continue;
            }
            let (to, datagram) = (to.clone(), buffer[..length].to_vec());
            let delay = Duration::from_millis(delay + random.below(delay));
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                drop(to.send_to(&datagram, target).await);
            });
        }
    }
}
