//! Three `mpc-party` processes on loopback, a small model, and a client that is written from the wire format alone.

#![allow(dead_code, reason = "shared by the test programs, each of which uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mpc_core::Role;
use mpc_core::model::{Bound, Facts, Graph, Node, Op, Source, WeightSpec};
use mpc_core::network::endpoint::{caller, connect, peer_fingerprint, peer_validity};
use mpc_core::network::identity::Identity;
use mpc_core::ring::{Arithmetic, Boolean, Tensor, fixed};
use mpc_core::security::Mode;
use mpc_core::sharing::{Dealt, Share, reconstruct, share};
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use mpc_core::wire::codec::{self, MAX_ENCODED};
use mpc_core::wire::message::{Action, Change, Classify, Id, Reply, Request, Stamp, Status, Upload, Versioned};
use mpc_core::wire::stream::{self, encode_dealt};
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Runs a test's conversation; whatever hangs for a minute has failed.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    run_within(Duration::from_secs(60), test)
}

/// Runs a test's conversation; whatever hangs for longer has failed.
pub(crate) fn run_within<T>(limit: Duration, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(limit, test).await.expect("enough time") })
}

/// Three parties that know one publisher and one client.
pub(crate) struct Parties {
    dir: TempDir,
    cluster: Cluster,
    processes: [Option<Child>; 3],
    telemetry: [SocketAddr; 3],
    pub(crate) publisher: Identity,
    pub(crate) client: Identity,
}

impl Parties {
    /// Starts them with `limits`, lines of TOML, and the tables behind them.
    pub(crate) fn start(limits: &str) -> Self {
        Self::with_clients(limits, "")
    }

    /// As [`Parties::start`], with further `[[clients]]`.
    pub(crate) fn with_clients(limits: &str, clients: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sockets = Role::ALL.map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let addresses = sockets.map(|socket| socket.local_addr().unwrap().to_string());
        let telemetry = Role::ALL.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let telemetry = telemetry.map(|listener| listener.local_addr().unwrap());
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
                 [[clients]]\nname = \"client\"\nfingerprints = [\"{}\"]\n\
                 [[clients]]\nname = \"publisher\"\nfingerprints = [\"{}\"]\nmay = [\"classify\", \"publish\"]\n\
                 {clients}\
                 [telemetry]\nlisten = \"{}\"\n[log]\nlevel = \"error\"\n[limits]\n{limits}\n",
                role.index(),
                addresses[role.index()],
                client.fingerprint(),
                publisher.fingerprint(),
                telemetry[role.index()],
            );
            std::fs::write(folder.join("party.toml"), config).unwrap();
        }
        let cluster = Cluster { parties: entries };
        std::fs::write(dir.path().join("cluster.toml"), toml::to_string(&cluster).unwrap()).unwrap();
        let mut parties = Self { dir, cluster, processes: [const { None }; 3], telemetry, publisher, client };
        Role::ALL.into_iter().for_each(|role| parties.restart(role));
        parties
    }

    /// The configuration of a party.
    pub(crate) fn config(&self, role: Role) -> PathBuf {
        self.dir.path().join(role.to_string()).join("party.toml")
    }

    /// The folder of a party's keys.
    pub(crate) fn folder(&self, role: Role) -> PathBuf {
        self.dir.path().join(role.to_string())
    }

    /// Runs `mpc-party store` for a party; `path` is the last argument.
    pub(crate) fn store(&self, role: Role, arguments: &[&str], path: &Path) {
        let mut command = Command::new(program());
        command.arg("store").args(arguments).arg(path).arg("--config").arg(self.config(role));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
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
        self.signal(role, "TERM");
        self.ended(role)
    }

    /// Sends a party a signal.
    pub(crate) fn signal(&self, role: Role, signal: &str) {
        let process = self.processes[role.index()].as_ref().unwrap();
        let sent = Command::new("kill").args(["-s", signal, &process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until a party ends and returns whether it did in order.
    pub(crate) fn ended(&mut self, role: Role) -> bool {
        self.processes[role.index()].take().unwrap().wait().unwrap().success()
    }

    /// The status and the body that a party answers over HTTP.
    pub(crate) fn http(&self, role: Role, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.telemetry[role.index()]).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: party\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
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

    /// What a party says to its own operator, once it is as wished.
    pub(crate) async fn until_operator(&self, role: Role, wished: impl Fn(&Status) -> bool) {
        let identity = Identity::load(&self.folder(role)).unwrap();
        let endpoint = caller().unwrap();
        loop {
            let connected = connect(&endpoint, &identity, role, &self.cluster.parties[role.index()]).await;
            let Ok(connection) = connected else { continue };
            let (mut send, mut recv) = connection.open_bi().await.unwrap();
            stream::send(&mut send, &Versioned::new(Request::Status)).await.unwrap();
            let Reply::Status(status) = stream::receive(&mut recv, MAX_ENCODED).await.unwrap() else { panic!() };
            if wished(&status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Has a party read its files again.
    pub(crate) fn hang_up(&self, role: Role) {
        let process = self.processes[role.index()].as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    }

    /// A file or folder in the folder with all of them.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Calls a party until it shows this certificate.
    pub(crate) async fn until_shown(&self, role: Role, identity: &Identity, cluster: &Cluster) {
        let endpoint = caller().unwrap();
        loop {
            let called = connect(&endpoint, &self.client, role, &cluster.parties[role.index()]).await.unwrap();
            let shown = (peer_fingerprint(&called).unwrap(), peer_validity(&called).unwrap());
            if shown == (identity.fingerprint(), identity.validity()) {
                return;
            }
        }
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

    /// Publishes `model` everywhere; the number of the change.
    pub(crate) async fn publish(&self, model: &TestModel) -> u64 {
        for role in Role::ALL {
            assert_eq!(self.upload(role, model).await, Reply::Stored);
        }
        let replies = self.change(Action::Activate { publication: model.publication }).await;
        let Reply::Changed { revision } = replies[0] else { panic!("{replies:?}") };
        assert_eq!(replies, [(); 3].map(|()| Reply::Changed { revision }));
        revision
    }

    /// Sends one party its share of `model`.
    pub(crate) async fn upload(&self, role: Role, model: &TestModel) -> Reply {
        let share = encode_dealt(&model.dealt[role.index()]);
        let mut conversation = self.ask(role, &Request::Upload(model.upload(role))).await;
        match conversation.reply().await {
            Reply::Ready { have } => conversation.send.write_all(&share[have as usize..]).await.unwrap(),
            other => return other,
        }
        conversation.reply().await
    }

    /// What each party says to a change.
    pub(crate) async fn change(&self, action: Action) -> [Reply; 3] {
        let request = Request::Change(Change { stamp: Stamp::fresh().unwrap(), action });
        let [mut p0, mut p1, mut p2] = self.ask_all(&request).await;
        [p0.reply().await, p1.reply().await, p2.reply().await]
    }

    /// The publications that each party has in service for this client.
    pub(crate) async fn in_service(&self) -> [Vec<Id>; 3] {
        let mut lists = [const { Vec::new() }; 3];
        for (list, conversation) in lists.iter_mut().zip(&mut self.ask_all(&Request::Models).await) {
            let Reply::Models { models, .. } = conversation.reply().await else { panic!("no list of models") };
            list.extend(models.iter().map(|model| model.publication));
        }
        lists
    }

    /// The label of each sample.
    pub(crate) async fn classify(&self, model: &TestModel, samples: &[[f64; 4]]) -> Result<Vec<u64>, Reply> {
        let mut conversations = self.begin(model, samples.len()).await?;
        send_input(&mut conversations, samples, &Role::ALL).await;
        finish(conversations, samples.len()).await
    }

    /// Asks about so many samples; all three parties accept.
    pub(crate) async fn begin(&self, model: &TestModel, samples: usize) -> Result<[Conversation; 3], Reply> {
        let mut conversations = self.ask_all(&Request::Classify(model.classify(samples))).await;
        let mut session = None;
        for conversation in &mut conversations {
            match conversation.reply().await {
                Reply::Accepted { session: name } => assert_eq!(*session.get_or_insert(name), name),
                other => return Err(other),
            }
        }
        Ok(conversations)
    }
}

/// The label of each of so many samples, once the input is sent.
pub(crate) async fn finish(mut conversations: [Conversation; 3], samples: usize) -> Result<Vec<u64>, Reply> {
    let mut outputs = Vec::new();
    for Conversation { recv, .. } in &mut conversations {
        match stream::receive(recv, MAX_ENCODED).await.unwrap() {
            Reply::Output { shape, meter } => {
                assert_eq!(shape, [samples as u64]);
                assert!(meter.rounds > 0 && meter.bytes_sent > 0);
                let own = stream::receive_words(recv, &[samples]).await.unwrap();
                let next = stream::receive_words(recv, &[samples]).await.unwrap();
                outputs.push(Share::<Boolean, u64>::new(own, next));
            }
            other => return Err(other),
        }
    }
    Ok(reconstruct(&outputs.try_into().unwrap()).unwrap().into_iter().collect())
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
        Self { publication: [publication; 32], ..Self::first_three_pixels_times(1) }
    }

    /// The same of their products with a number.
    pub(crate) fn first_three_pixels_times(factor: u64) -> Self {
        let one = factor << 16;
        Self::new(0, vec![one, 0, 0, 0, one, 0, 0, 0, one, 0, 0, 0])
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

    /// What announces a party's share.
    pub(crate) fn upload(&self, role: Role) -> Upload {
        let share = encode_dealt(&self.dealt[role.index()]);
        Upload {
            publication: self.publication,
            manifest: self.manifest.clone(),
            graph: codec::encode(&self.graph).unwrap(),
            length: share.len() as u64,
            digest: Sha256::digest(&share).into(),
        }
    }

    /// A request for so many samples.
    pub(crate) fn classify(&self, samples: usize) -> Classify {
        Classify {
            stamp: Stamp::fresh().unwrap(),
            publication: self.publication,
            windows: vec![1; samples],
            security: Mode::Active,
            timeout_ms: 60_000,
        }
    }
}
