//! Three `mpc-party` processes on loopback, a small model, and a client that is written from the wire format alone.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mpc_core::Role;
use mpc_core::model::{Bound, Facts, Graph, Node, Op, Source, WeightSpec};
use mpc_core::network::endpoint::{caller, connect};
use mpc_core::network::identity::Identity;
use mpc_core::ring::{Arithmetic, Boolean, Tensor, fixed};
use mpc_core::security::Mode;
use mpc_core::sharing::{Dealt, Share, reconstruct, share};
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use mpc_core::wire::codec::{self, MAX_ENCODED};
use mpc_core::wire::message::{Classify, Commit, Id, Publish, Reply, Request, Status, Versioned};
use mpc_core::wire::stream;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tempfile::TempDir;

/// Runs a test's conversation; whatever hangs for a minute has failed.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("a minute is enough") })
}

/// Three parties that know one publisher and one client.
pub(crate) struct Parties {
    dir: TempDir,
    cluster: Cluster,
    processes: [Option<Child>; 3],
    pub(crate) publisher: Identity,
    pub(crate) client: Identity,
}

impl Parties {
    /// Starts them with `limits`, lines of TOML, and the tables behind them.
    pub(crate) fn start(limits: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sockets = Role::ALL.map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let addresses = sockets.map(|socket| socket.local_addr().unwrap().to_string());
        let (publisher, client) = (Identity::generate("publisher").unwrap(), Identity::generate("client").unwrap());
        let mut entries = Vec::new();
        for role in Role::ALL {
            let folder = dir.path().join(role.to_string());
            let made = Command::new(program()).args(["init", "--dir"]).arg(&folder).output().unwrap();
            assert!(made.status.success(), "{made:?}");
            let fingerprint = Identity::load(&folder).unwrap().fingerprint().to_string();
            assert!(String::from_utf8(made.stdout).unwrap().contains(&fingerprint));
            entries.push(PartyEntry {
                name: role.to_string(),
                addresses: vec![addresses[role.index()].clone()],
                fingerprints: vec![fingerprint],
            });
            let config = format!(
                "role = {}\nlisten = {:?}\ncluster = \"../cluster.toml\"\n\
                 [[clients]]\nname = \"client\"\nfingerprint = \"{}\"\n\
                 [[publishers]]\nname = \"publisher\"\nfingerprint = \"{}\"\n\
                 [limits]\n{limits}\n[log]\nlevel = \"error\"\n",
                role.index(),
                addresses[role.index()],
                client.fingerprint(),
                publisher.fingerprint(),
            );
            std::fs::write(folder.join("party.toml"), config).unwrap();
        }
        let cluster = Cluster { parties: entries };
        std::fs::write(dir.path().join("cluster.toml"), toml::to_string(&cluster).unwrap()).unwrap();
        let mut parties = Self { dir, cluster, processes: [const { None }; 3], publisher, client };
        Role::ALL.into_iter().for_each(|role| parties.restart(role));
        parties
    }

    /// The configuration of a party.
    pub(crate) fn config(&self, role: Role) -> PathBuf {
        self.dir.path().join(role.to_string()).join("party.toml")
    }

    /// Starts a party again, or for the first time.
    pub(crate) fn restart(&mut self, role: Role) {
        let mut command = Command::new(program());
        command.args(["serve", "--config"]).arg(self.config(role)).stdin(Stdio::null()).stdout(Stdio::null());
        self.processes[role.index()] = Some(command.spawn().unwrap());
    }

    /// Kills a party as a power cut would.
    pub(crate) fn kill(&mut self, role: Role) {
        let mut process = self.processes[role.index()].take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Sends a party SIGTERM and returns whether it ended in order.
    pub(crate) fn terminate(&mut self, role: Role) -> bool {
        let mut process = self.processes[role.index()].take().unwrap();
        assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
        process.wait().unwrap().success()
    }

    /// Connects to all three and waits until they have found each other.
    pub(crate) async fn connect(&self, identity: &Identity) -> Client {
        let client = loop {
            if let Ok(client) = Client::connect(&self.cluster, identity).await {
                break client;
            }
        };
        client.until(|status| status.peers == [true; 2]).await;
        client
    }

    /// Connects to all three without waiting.
    pub(crate) async fn call(&self, identity: &Identity) -> Client {
        Client::connect(&self.cluster, identity).await.unwrap()
    }
}

impl Drop for Parties {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mpc-party"))
}

/// A client with a connection to each party.
pub(crate) struct Client {
    _endpoint: Endpoint,
    pub(crate) connections: [Connection; 3],
}

impl Client {
    async fn connect(cluster: &Cluster, identity: &Identity) -> mpc_core::Result<Self> {
        let endpoint = caller()?;
        let mut connections = Vec::new();
        for role in Role::ALL {
            connections.push(connect(&endpoint, identity, role, &cluster.parties[role.index()]).await?);
        }
        Ok(Self { _endpoint: endpoint, connections: connections.try_into().unwrap() })
    }

    /// Opens a conversation with one party.
    pub(crate) async fn ask(&self, role: Role, request: &Request) -> Conversation {
        let mut conversation = self.open(role).await;
        stream::send(&mut conversation.send, &Versioned::new(request)).await.unwrap();
        conversation
    }

    /// Opens a stream to one party.
    pub(crate) async fn open(&self, role: Role) -> Conversation {
        let (send, recv) = self.connections[role.index()].open_bi().await.unwrap();
        Conversation { send, recv }
    }

    /// Opens the same conversation with all parties.
    pub(crate) async fn ask_all(&self, request: &Request) -> [Conversation; 3] {
        [self.ask(Role::P0, request).await, self.ask(Role::P1, request).await, self.ask(Role::P2, request).await]
    }

    /// Asks until every party's status is as wished.
    pub(crate) async fn until(&self, wished: impl Fn(&Status) -> bool) {
        for role in Role::ALL {
            loop {
                let reply = self.ask(role, &Request::Status).await.reply().await;
                let Reply::Status(status) = reply else { panic!("{reply:?}") };
                if wished(&status) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Publishes `model` everywhere.
    pub(crate) async fn publish(&self, model: &TestModel) {
        let mut uploads = Vec::new();
        for role in Role::ALL {
            uploads.push(self.upload(role, model).await);
        }
        for upload in &mut uploads {
            assert_eq!(upload.reply().await, Reply::Stored);
        }
        for upload in &mut uploads {
            upload.commit(model.publication).await;
        }
    }

    /// Sends one party its share of `model`.
    pub(crate) async fn upload(&self, role: Role, model: &TestModel) -> Conversation {
        let mut conversation = self.ask(role, &Request::Publish(model.publish())).await;
        assert_eq!(conversation.reply().await, Reply::Ready);
        stream::send_dealt(&mut conversation.send, &model.dealt[role.index()]).await.unwrap();
        conversation
    }

    /// The label of each sample.
    pub(crate) async fn classify(&self, model: &TestModel, samples: &[[f64; 4]]) -> Result<Vec<u64>, Reply> {
        let mut conversations = self.ask_all(&Request::Classify(model.classify(samples.len()))).await;
        let mut session = None;
        for conversation in &mut conversations {
            match conversation.reply().await {
                Reply::Accepted { session: name } => assert_eq!(*session.get_or_insert(name), name),
                other => return Err(other),
            }
        }
        send_input(&mut conversations, samples, &Role::ALL).await;
        let mut outputs = Vec::new();
        for Conversation { recv, .. } in &mut conversations {
            match stream::receive(recv, MAX_ENCODED).await.unwrap() {
                Reply::Output { shape, meter } => {
                    assert_eq!(shape, [samples.len() as u64]);
                    assert!(meter.rounds > 0 && meter.bytes_sent > 0);
                    let own = stream::receive_words(recv, &[samples.len()]).await.unwrap();
                    let next = stream::receive_words(recv, &[samples.len()]).await.unwrap();
                    outputs.push(Share::<Boolean, u64>::new(own, next));
                }
                other => return Err(other),
            }
        }
        Ok(reconstruct(&outputs.try_into().unwrap()).unwrap().into_iter().collect())
    }
}

/// Sends the input share to some of the parties.
pub(crate) async fn send_input(conversations: &mut [Conversation; 3], samples: &[[f64; 4]], to: &[Role]) {
    let words = samples.iter().flatten().map(|&x| fixed::encode(x, 16).unwrap()).collect();
    let input = Tensor::from_shape_vec(&[samples.len(), 1, 2, 2][..], words).unwrap();
    let dealt = share::<Arithmetic, u64>(&input).unwrap();
    for role in to {
        stream::send_dealt(&mut conversations[role.index()].send, &dealt[role.index()]).await.unwrap();
    }
}

/// One stream.
pub(crate) struct Conversation {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

impl Conversation {
    pub(crate) async fn reply(&mut self) -> Reply {
        stream::receive(&mut self.recv, MAX_ENCODED).await.expect("a reply")
    }

    /// Puts an upload into service.
    pub(crate) async fn commit(&mut self, publication: Id) {
        stream::send(&mut self.send, &Commit { publication }).await.unwrap();
        assert_eq!(self.reply().await, Reply::Published);
    }

    /// The reason of a refusal.
    pub(crate) async fn refusal(&mut self) -> String {
        match self.reply().await {
            Reply::Refused { reason } => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The reason of a failure.
    pub(crate) async fn failure(&mut self) -> String {
        match self.reply().await {
            Reply::Failed { reason } => reason,
            other => panic!("did not fail: {other:?}"),
        }
    }
}

/// Four pixels times a matrix; the label is the position of the largest of three scores.
#[derive(Clone)]
pub(crate) struct TestModel {
    pub(crate) publication: Id,
    pub(crate) manifest: String,
    pub(crate) graph: Graph,
    /// Shares of `[4, 3]` in row-major order, flat.
    pub(crate) dealt: [Dealt<u64>; 3],
}

impl TestModel {
    /// The label of a sample is the position of the largest of its first three pixels.
    pub(crate) fn first_three_pixels(publication: u8) -> Self {
        let one = 1u64 << 16;
        Self::new(publication, vec![one, 0, 0, 0, one, 0, 0, 0, one, 0, 0, 0])
    }

    fn new(publication: u8, weights: Vec<u64>) -> Self {
        let manifest = r#"
            format = 1
            name = "pixels"
            title = "The largest pixel"
            task = "classify"
            labels = ["a", "b", "c"]
            reveal = "label"
            security = "passive"
            licence = "open"
            [preprocess]
            kind = "image"
            channels = "grey"
            mean = [0.0]
            std = [1.0]
            [input]
            shape = [1, 2, 2]
            range = 2.0
            [bounds]
            policy = "proved"
        "#;
        let facts = |shape: &[usize], batched, frac_bits, bits| Facts {
            shape: shape.to_vec(),
            batched,
            frac_bits,
            bound: Bound { bits, source: Source::Proved },
        };
        let node =
            |name: &str, op, inputs: &[usize], facts| Node { name: name.into(), op, inputs: inputs.to_vec(), facts };
        let graph = Graph {
            nodes: vec![
                node("input", Op::Input, &[], facts(&[1, 2, 2], true, 16, 18)),
                node("flat", Op::Reshape { shape: vec![4] }, &[0], facts(&[4], true, 16, 18)),
                node("weights", Op::Weight(0), &[], facts(&[4, 3], false, 16, 17)),
                node("product", Op::MatMul, &[1, 2], facts(&[3], true, 32, 37)),
                node("scores", Op::Rescale { bits: 16 }, &[3], facts(&[3], true, 16, 21)),
            ],
            weights: vec![WeightSpec { name: "weights".into(), shape: vec![4, 3], frac_bits: 16 }],
            output: 4,
        };
        graph.validate().unwrap();
        let dealt = share::<Arithmetic, u64>(&Tensor::from_shape_vec(&[12][..], weights).unwrap()).unwrap();
        Self { publication: [publication; 32], manifest: manifest.into(), graph, dealt }
    }

    pub(crate) fn publish(&self) -> Publish {
        let graph = codec::encode(&self.graph).unwrap();
        Publish { publication: self.publication, manifest: self.manifest.clone(), graph }
    }

    /// A request for so many samples.
    pub(crate) fn classify(&self, samples: usize) -> Classify {
        let mut request = [0; 32];
        getrandom::fill(&mut request).unwrap();
        Classify {
            request,
            publication: self.publication,
            windows: vec![1; samples],
            security: Mode::Active,
            timeout_ms: 60_000,
        }
    }
}
