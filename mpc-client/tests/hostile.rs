//! Malformed and hostile connections beside an honest client: every question is answered, the parties' memory stays
//! small, and hostile requests are refused.
//!
//! `MPC_HOSTILE` is the number of connections (700 unless set), `MPC_RATE` how many begin in a second (100 unless set):
//! enemies and parties share the processors of one machine here.

mod support;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mpc_client::{Client, Dealing, Encoded, Identity, Mode, Model, preprocess};
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use mpc_core::network::endpoint;
use mpc_core::network::reach::connect;
use mpc_core::network::stream;
use mpc_core::network::tls;
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use mpc_core::wire::message::{
    Evaluate, MAX_CONTROL, Purpose, Question, Refusal, Reply, Request, Stamp, Subject, Versioned,
};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use support::{brightness_model, picture};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// Time limit of one hostile connection.
const PATIENCE: Duration = Duration::from_secs(20);

/// Maximum number of simultaneous hostile connections.
const AT_ONCE: usize = 32;

/// An attacker.
struct Enemy {
    cluster: Cluster,
    /// A key that the parties know: clients may be hostile too.
    known: Identity,
    stranger: Identity,
    model: Model,
}

impl Enemy {
    fn target(&self, number: usize) -> (Role, &PartyEntry) {
        let role = Role::ALL[number % 3];
        (role, &self.cluster.parties[role.index()])
    }

    /// Attacks in one of several ways, and names it. Panics if an attack succeeds.
    async fn attack(&self, number: usize) -> &'static str {
        let (role, party) = self.target(number / KINDS);
        let address = party.addresses[0].parse().expect("an address");
        let endpoint = endpoint::caller().expect("a port");
        match number % KINDS {
            0 => {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
                for length in [0, 1, 20, 1200, 1500] {
                    let garbage: Vec<u8> = (0..length).map(|i| (number * 7 + i * 13) as u8 | 0xc0).collect();
                    // A busy kernel may refuse; garbage need not arrive.
                    drop(socket.send_to(&garbage, address));
                }
                "garbage"
            }
            1 => {
                let mut config = self.config();
                config.alpn_protocols = vec![b"h3".to_vec()];
                assert!(self.handshake(&endpoint, config, address).await.is_none(), "another protocol");
                "wrong ALPN"
            }
            2 => {
                let mut config = self.config();
                config.client_auth_cert_resolver = Arc::new(Nobody);
                if let Some(connection) = self.handshake(&endpoint, config, address).await {
                    assert!(self.gets_nothing(&connection).await, "served without a certificate");
                }
                "no certificate"
            }
            3 => {
                // The first packet, and then silence.
                drop(timeout(Duration::from_millis(2), self.handshake(&endpoint, self.config(), address)).await);
                "half a handshake"
            }
            4 => {
                if let Ok(connection) = connect(&endpoint, &self.stranger, role, party).await {
                    assert!(self.gets_nothing(&connection).await, "a stranger was served");
                }
                "a stranger"
            }
            5 => {
                for mut conversation in self.open(&endpoint, role, party, 32).await {
                    drop(conversation.0.write_all(&[200, 0]).await);
                }
                "half-open streams"
            }
            6 => {
                for mut conversation in self.open(&endpoint, role, party, 4).await {
                    drop(conversation.0.write_all(&u32::MAX.to_le_bytes()).await);
                    assert!(!refused(&mut conversation.1).await.is_empty());
                }
                "oversized frames"
            }
            7 => {
                let request = Request::Evaluate(Evaluate {
                    stamp: Stamp::fresh().expect("random numbers"),
                    subject: Subject::Published(self.model.publication),
                    question: Question::Label,
                    windows: vec![u32::MAX; 100],
                    security: Mode::Active,
                    timeout_ms: 1,
                });
                for (mut send, mut recv) in self.open(&endpoint, role, party, 4).await {
                    drop(stream::send(&mut send, &Versioned::new(&request)).await);
                    assert!(!refused(&mut recv).await.is_empty());
                }
                "replayed and absurd requests"
            }
            8 => {
                for (mut send, _) in self.open(&endpoint, role, party, 64).await {
                    drop(stream::send(&mut send, &Versioned::new(Request::Models)).await);
                }
                "a flood of requests"
            }
            _ => {
                for (mut send, mut recv) in self.open(&endpoint, role, party, 4).await {
                    drop(send.write_all(&[12, 0, 0, 0, 255, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]).await);
                    assert!(!refused(&mut recv).await.is_empty());
                }
                "another version"
            }
        }
    }

    /// Some streams to a party, over one connection of a known client. `None` if the party is busy.
    async fn open(
        &self,
        endpoint: &Endpoint,
        role: Role,
        party: &PartyEntry,
        count: usize,
    ) -> Vec<(SendStream, RecvStream)> {
        let Ok(connection) = connect(endpoint, &self.known, role, party).await else { return Vec::new() };
        let mut streams = Vec::new();
        for _ in 0..count {
            if let Ok(stream) = connection.open_bi().await {
                streams.push(stream);
            }
        }
        streams
    }

    /// The TLS configuration of a stranger that calls any of the three.
    fn config(&self) -> rustls::ClientConfig {
        let pins = self.cluster.parties.iter().flat_map(|party| endpoint::pins(party).expect("fingerprints"));
        tls::client_config(&self.stranger, &pins.collect::<Vec<_>>(), Purpose::Ask).expect("a configuration")
    }

    async fn handshake(
        &self,
        endpoint: &Endpoint,
        config: rustls::ClientConfig,
        address: std::net::SocketAddr,
    ) -> Option<Connection> {
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("usable for QUIC")));
        endpoint.connect_with(config, address, "party").expect("an attempt").await.ok()
    }

    /// Whether a connection is closed, or a question over it not answered.
    async fn gets_nothing(&self, connection: &Connection) -> bool {
        let Ok((mut send, mut recv)) = connection.open_bi().await else { return true };
        drop(stream::send(&mut send, &Versioned::new(Request::Models)).await);
        stream::receive::<Reply>(&mut recv, MAX_CONTROL).await.is_err()
    }
}

/// Shows no certificate.
#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

const KINDS: usize = 10;

/// The reason of a refusal; what a closed connection says counts too.
async fn refused(recv: &mut RecvStream) -> String {
    match stream::receive::<Reply>(recv, MAX_CONTROL).await {
        Ok(Reply::Refused(Refusal { reason, .. })) => reason,
        Ok(other) => panic!("served: {other:?}"),
        Err(error) => error.to_string(),
    }
}

/// MiB that a process holds.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
}

/// Asks until told to stop; returns the time of each answer.
async fn ask(client: &Client, model: &Model, input: &Encoded, until: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    while !until(times.len()) {
        let start = Instant::now();
        let input = std::slice::from_ref(input);
        let evaluation = client.classify(model, input, Mode::Active, PATIENCE).await.expect("an answer");
        assert_eq!(model.manifest.labels[evaluation.predictions[0].label], "bright");
        times.push(start.elapsed());
    }
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_connections_do_not_keep_the_parties_from_serving() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let (count, rate) = (number("MPC_HOSTILE").unwrap_or(700), number("MPC_RATE").unwrap_or(100));
    let mut parties = LocalCluster::start(Path::new(env!("CARGO_BIN_EXE_mpc-client"))).unwrap();
    let client = Arc::new(parties.connect().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let model = mpc_core::model::Model::load(&brightness_model(folder.path(), "face", ["dark", "bright"])).unwrap();
    client.publish(&model, &Dealing::fresh().unwrap(), false).await.unwrap();
    let model = client.model("face").await.unwrap();
    let file = picture(folder.path(), "day.png", 240);
    let input =
        model.encode(&preprocess::prepare(&model.manifest, &file, Default::default()).unwrap().features).unwrap();
    parties.identity().save(&folder.path().join("client")).unwrap();
    let enemy = Arc::new(Enemy {
        cluster: parties.cluster().clone(),
        known: Identity::load(&folder.path().join("client")).unwrap(),
        stranger: Identity::generate("stranger").unwrap(),
        model: model.clone(),
    });

    let usual = ask(&client, &model, &input, |asked| asked == 100).await;
    let over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (client, model, input, over) = (client.clone(), model.clone(), input.clone(), over.clone());
        tokio::spawn(async move { ask(&client, &model, &input, |_| over.load(Ordering::Relaxed)).await })
    };
    let (mut pace, places) = (interval(Duration::from_secs(1) / rate as u32), Arc::new(Semaphore::new(AT_ONCE)));
    let mut attacks = JoinSet::new();
    for number in 0..count {
        pace.tick().await;
        let (enemy, place) = (enemy.clone(), places.clone().acquire_owned().await.unwrap());
        attacks.spawn(async move {
            let kind = timeout(PATIENCE, enemy.attack(number)).await.expect("a hostile connection hangs");
            drop(place);
            kind
        });
    }
    let mut kinds = BTreeMap::new();
    while let Some(kind) = attacks.join_next().await {
        *kinds.entry(kind.unwrap()).or_insert(0) += 1;
    }
    eprintln!("{kinds:?}");
    over.store(true, Ordering::Relaxed);
    let beside = asking.await.unwrap();
    let median = |times: &[Duration]| times[times.len() / 2].as_secs_f64() * 1e3;
    eprintln!(
        "{count} hostile connections; {} questions beside them, median {:.1} ms, usual {:.1} ms",
        beside.len(),
        median(&beside),
        median(&usual)
    );
    for role in Role::ALL {
        let mib = resident(parties.process(role));
        eprintln!("{role} holds {mib} MiB");
        assert!(mib < 300, "{role} holds {mib} MiB");
    }
    let idle = async {
        while client.status().await.unwrap().iter().any(|status| status.sessions > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, idle).await.expect("a session is left");
}
