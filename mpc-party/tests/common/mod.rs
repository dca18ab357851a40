//! Three `mpc-party` processes on loopback, a small model, and a client that is written from the wire format alone.

#![allow(dead_code, unused_imports, reason = "shared by the test programs, each of which uses a part")]

mod client;
mod fixtures;
pub(crate) mod liar;
mod model;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

pub(crate) use client::{Client, Conversation, finish, output, send_input};
pub(crate) use fixtures::{LABELS, SAMPLES, answered, edit, entry, everywhere, identities, metric, until_metric};
pub(crate) use model::TestModel;
use mpc_core::Role;
use mpc_core::network::endpoint::{caller, peer_fingerprint, peer_validity};
use mpc_core::network::identity::Identity;
use mpc_core::network::reach::connect;
use mpc_core::network::stream;
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use mpc_core::wire::codec::MAX_ENCODED;
use mpc_core::wire::message::{Reply, Request, Status, Versioned};
use mpc_core::wire::peer::Catalog;
use mpc_party::Config;
use mpc_party::store::Store;
use tempfile::TempDir;

/// Runs a test's conversation, which fails if it hangs for a minute.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    run_within(Duration::from_secs(60), test)
}

/// Runs a test's conversation, which fails if it takes longer.
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
        let addresses = Role::ALL.map(|_| free_address().to_string());
        let telemetry = Role::ALL.map(|_| free_address());
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

    /// What a party has in service, by its store.
    pub(crate) fn list(&mut self, role: Role) -> Catalog {
        self.terminate(role);
        let list = self.open_store(role).catalog().unwrap();
        self.restart(role);
        list
    }

    /// Has a party that does not run believe that this is in service.
    pub(crate) fn set_list(&self, role: Role, list: &Catalog) {
        self.open_store(role).set_catalog(list, &[], &[]).unwrap();
    }

    /// The store of a party that does not run.
    pub(crate) fn open_store(&self, role: Role) -> Store {
        let config = Config::load(&self.config(role)).unwrap();
        Store::open(&config.data, &config.store_key().unwrap()).unwrap()
    }

    /// Starts a party again, or for the first time.
    pub(crate) fn restart(&mut self, role: Role) {
        let mut command = Command::new(program());
        command.args(["serve", "--config"]).arg(self.config(role)).stdin(Stdio::null()).stdout(Stdio::null());
        self.processes[role.index()] = Some(command.spawn().unwrap());
    }

    /// Starts a party again with a log in full, in JSON; the file with it.
    pub(crate) fn restart_with_log(&mut self, role: Role) -> PathBuf {
        let (config, log) = (self.config(role), self.folder(role).join("log"));
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("level = \"error\"", "level = \"info\"\nformat = \"json\"")).unwrap();
        let mut command = Command::new(program());
        command.args(["serve", "--config"]).arg(config).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(&log).unwrap());
        self.processes[role.index()] = Some(command.spawn().unwrap());
        log
    }

    /// The output of a command of `mpc-party` for a party, both streams, and its exit code. Connections stay alive
    /// meanwhile.
    pub(crate) async fn command(&self, role: Role, arguments: &[&str]) -> (String, i32) {
        let mut command = Command::new(program());
        command.args(arguments).arg("--config").arg(self.config(role));
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (said, output.status.code().unwrap())
    }

    /// The process of a running party.
    pub(crate) fn id(&self, role: Role) -> u32 {
        self.processes[role.index()].as_ref().unwrap().id()
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

    /// Waits until a party's status, as its operator sees it, is as wished.
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

    /// As [`Parties::connect`], by the cluster that a file describes.
    pub(crate) async fn connect_by(&self, file: &Path, identity: &Identity) -> Client {
        let client = self.call_by(file, identity).await;
        client.until(|status| status.peers == [true; 2]).await;
        client
    }

    /// As [`Parties::call`], by the cluster that a file describes, as soon as all three answer.
    pub(crate) async fn call_by(&self, file: &Path, identity: &Identity) -> Client {
        let cluster = Cluster::load(file).unwrap();
        loop {
            if let Ok(client) = Client::connect(&cluster, identity).await {
                return client;
            }
        }
    }

    /// Takes on a process that runs a party.
    pub(crate) fn adopt(&mut self, role: Role, process: Child) {
        self.processes[role.index()] = Some(process);
    }

    /// Waits until a file contains a text; returns the first line with it.
    pub(crate) async fn until_logged(&self, log: &Path, text: &str) -> String {
        loop {
            let all = std::fs::read_to_string(log).unwrap();
            if let Some(line) = all.lines().find(|line| line.contains(text)) {
                return line.to_owned();
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

/// A free port, over UDP and TCP, outside the range that the system gives to those who ask for any, as the tests'
/// clients do: they could take it before the party does.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(61) as u16;
    let ports = (0..).map(|_| 12_000 + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000);
    let addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let is_free = |address: &SocketAddr| UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok();
    addresses.into_iter().find(is_free).expect("one of many ports")
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mpc-party"))
}
