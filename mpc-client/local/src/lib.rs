//! Three real parties on this machine for the time of one question: separate processes, QUIC over loopback, and
//! throw-away keys and stores, or ones kept in a folder.
//!
//! The program starts itself again as each party. A party ends when its standard input closes, so none outlives this
//! process.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use mpc_client::{Client, Error, Result};
use mpc_core::Role;
use mpc_core::model::manifest;
use mpc_core::network::identity::{DAYS, Identity};
use mpc_core::network::keys;
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use mpc_party::store::{KEY_FILE, StoreKey};
use tempfile::TempDir;

/// The hidden subcommand that [`LocalCluster::start`] gives to the program; its argument is the party's configuration
/// file.
pub const SUBCOMMAND: &str = "local-party";

/// Time limit for three parties to find each other.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Interval between checks of a starting party.
const POLL: Duration = Duration::from_millis(10);

/// Three parties, which stop when this is dropped.
pub struct LocalCluster {
    program: PathBuf,
    parties: Vec<Child>,
    cluster: Cluster,
    identity: Identity,
    folder: Folder,
}

/// The folder of keys and stores.
enum Folder {
    /// A folder that is deleted afterwards.
    Temporary(TempDir),
    /// A folder that is kept, and locked while the file is open.
    Kept { path: PathBuf, _lock: File },
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept { path, .. } => path,
        }
    }

    /// The identity in a subfolder, created if missing.
    fn identity(&self, subfolder: &str, name: &str) -> Result<Identity> {
        Ok(keys::init(&self.path().join(subfolder), name, DAYS, false)?.identity)
    }
}

impl LocalCluster {
    /// Starts `program` three times. One key has the rights to ask and publish; [`LocalCluster::connect`] uses it.
    ///
    /// # Errors
    /// [`Error::System`] where the operating system gives no folder, port or process.
    pub fn start(program: &Path) -> Result<Self> {
        Self::configured(program, [""; 3])
    }

    /// As [`LocalCluster::start`], with further tables (TOML) in the configurations of P0, P1 and P2.
    ///
    /// # Errors
    /// As [`LocalCluster::start`].
    pub fn configured(program: &Path, tables: [&str; 3]) -> Result<Self> {
        Self::routed(program, tables, |_, _, address| address.to_owned())
    }

    /// As [`LocalCluster::configured`], but a party calls another one at the address that `route` returns for it.
    ///
    /// # Errors
    /// As [`LocalCluster::start`].
    pub fn routed(program: &Path, tables: [&str; 3], route: impl FnMut(Role, Role, &str) -> String) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("mpc-local-").tempdir().map_err(|e| failed("a folder", e))?;
        Self::start_in(Folder::Temporary(folder), program, tables, route)
    }

    /// As [`LocalCluster::start`], with keys and stores kept in `folder` for the next time.
    ///
    /// # Errors
    /// [`Error::File`] where the folder cannot be used, or is in use; as [`LocalCluster::start`].
    pub fn kept(program: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        let lock = File::create(folder.join("lock")).map_err(|e| Error::file(folder, e))?;
        if lock.try_lock().is_err() {
            return Err(Error::file(folder, "three other servers use it; wait for them to end"));
        }
        let path = std::path::absolute(folder).map_err(|e| Error::file(folder, e))?;
        Self::start_in(Folder::Kept { path, _lock: lock }, program, [""; 3], |_, _, address| address.to_owned())
    }

    fn start_in(
        folder: Folder,
        program: &Path,
        tables: [&str; 3],
        mut route: impl FnMut(Role, Role, &str) -> String,
    ) -> Result<Self> {
        let identity = folder.identity("client", "local client")?;
        let addresses = [free_port()?, free_port()?, free_port()?].map(|port| format!("127.0.0.1:{port}"));
        let mut entries = Vec::new();
        for (role, address) in Role::ALL.iter().zip(&addresses) {
            let key = folder.identity(&role.to_string(), &role.to_string())?;
            let store_key = folder.path().join(role.to_string()).join(KEY_FILE);
            if !store_key.exists() {
                StoreKey::fresh().and_then(|key| key.save(&store_key)).map_err(|e| failed("a key", e))?;
            }
            let (addresses, fingerprints) = (vec![address.clone()], vec![key.fingerprint().to_string()]);
            entries.push(PartyEntry { name: "local".into(), addresses, fingerprints });
        }
        let cluster = Cluster { parties: entries };
        let program = program.to_owned();
        let mut local = Self { program, parties: Vec::new(), cluster, identity, folder };
        for role in Role::ALL {
            let mut cluster = local.cluster.clone();
            for peer in Role::ALL.into_iter().filter(|peer| *peer > role) {
                let address = &mut cluster.parties[peer.index()].addresses[0];
                *address = route(role, peer, address);
            }
            local.write_config(role, &cluster, tables[role.index()])?;
            let party = local.spawn(role)?;
            local.parties.push(party);
        }
        Ok(local)
    }

    /// Waits until the three have found each other, and connects to them.
    ///
    /// # Errors
    /// [`Error::Internal`] with the last log line of a party that has ended, or where they do not find each other in
    /// time.
    pub async fn connect(&mut self) -> Result<Client> {
        let ready = tokio::time::timeout(START_DEADLINE, async {
            let client = Client::connect(&self.cluster, &self.identity).await?;
            while !client.status().await?.iter().all(|status| status.peers == [true; 2]) {
                tokio::time::sleep(POLL).await;
            }
            Ok(client)
        });
        tokio::pin!(ready);
        loop {
            tokio::select! {
                ready = &mut ready => {
                    return ready.unwrap_or_else(|_| {
                        let wait = START_DEADLINE.as_secs();
                        Err(Error::Internal(format!("the local parties did not find each other within {wait} s")))
                    });
                }
                () = tokio::time::sleep(POLL) => {}
            }
            for (role, party) in Role::ALL.into_iter().zip(&mut self.parties) {
                if let Ok(Some(status)) = party.try_wait() {
                    let log = std::fs::read_to_string(log_file(self.folder.path(), role)).unwrap_or_default();
                    let last = log.lines().last().unwrap_or("it said nothing");
                    return Err(Error::Internal(format!("the local party {role} ended ({status}): {last}")));
                }
            }
        }
    }

    /// The cluster file of the three parties.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The identity that may ask and publish.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The folder that keeps dealings of publications, if there is one.
    pub fn publications(&self) -> Option<PathBuf> {
        match &self.folder {
            Folder::Temporary(_) => None,
            Folder::Kept { path, .. } => Some(path.join("publications")),
        }
    }

    /// The configuration file of a party.
    pub fn config(&self, role: Role) -> PathBuf {
        config_file(self.folder.path(), role)
    }

    /// The process of a party.
    pub fn process(&self, role: Role) -> u32 {
        self.parties[role.index()].id()
    }

    /// Kills one party, as a crash would.
    pub fn kill(&mut self, role: Role) {
        end(&mut self.parties[role.index()]);
    }

    /// Restarts a killed party with its keys, address and stored shares.
    ///
    /// # Errors
    /// [`Error::System`] where the operating system gives no process.
    pub fn restart(&mut self, role: Role) -> Result<()> {
        self.kill(role);
        self.parties[role.index()] = self.spawn(role)?;
        Ok(())
    }

    fn spawn(&self, role: Role) -> Result<Child> {
        let folder = self.folder.path();
        let log = File::create(log_file(folder, role)).map_err(|e| failed("a file", e))?;
        let mut command = Command::new(&self.program);
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("MPC_")) {
            command.env_remove(key);
        }
        command.arg(SUBCOMMAND).arg(config_file(folder, role)).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C goes to the client alone, which then ends the session and the parties cleanly.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().map_err(|e| failed("a process", e))
    }

    fn write_config(&self, role: Role, cluster: &Cluster, tables: &str) -> Result<()> {
        let cluster = toml::to_string(cluster).map_err(|e| failed("a configuration", e))?;
        let (address, key) = (&self.cluster.parties[role.index()].addresses[0], self.identity.fingerprint());
        let config = format!(
            "role = {}\nlisten = \"{address}\"\nidentity = \"{role}\"\ndata = \"{role}\"\n\
             {cluster}\n[[clients]]\nname = \"local client\"\nfingerprints = [\"{key}\"]\nmay = [\"classify\", \"publish\", \"enrol\"]\n\
             [log]\nlevel = \"warn\"\n{tables}",
            role.index(),
        );
        std::fs::write(config_file(self.folder.path(), role), config).map_err(|e| failed("a file", e))
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        self.parties.iter_mut().for_each(end);
    }
}

/// Kills a process, if it still runs, and waits for it.
fn end(party: &mut Child) {
    drop(party.kill());
    drop(party.wait());
}

/// A free UDP port outside the range that the system gives to those who ask for any: another program, or a client of
/// this one, could take it before the party does.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    let start = std::process::id().wrapping_mul(61) as u16;
    let candidates = PORTS.map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u16);
    let mut ports = candidates.map(|offset| PORTS.start + offset);
    let free = ports.find(|&port| UdpSocket::bind(("127.0.0.1", port)).is_ok());
    free.ok_or_else(|| failed("a port", "none is free"))
}

fn config_file(folder: &Path, role: Role) -> PathBuf {
    folder.join(format!("{role}.toml"))
}

fn log_file(folder: &Path, role: Role) -> PathBuf {
    folder.join(format!("{role}.log"))
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::System(format!("cannot start three parties here: {what}: {error}"))
}

/// Runs one of the three parties until standard input closes.
pub fn party(config: &Path) -> std::process::ExitCode {
    std::thread::spawn(|| {
        // Nobody writes there: the read returns when the other end, the client, is gone.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let arguments: [&OsStr; 4] = ["mpc-party".as_ref(), "serve".as_ref(), "--config".as_ref(), config.as_os_str()];
    mpc_party::cli::run(arguments.map(OsStr::to_owned))
}

/// The folder with the models for [`LocalCluster`]: `explicit`, else `./models`, else `models` beside the program or in
/// a folder above it.
///
/// # Errors
/// [`Error::NoModels`] where there is none.
pub fn models_dir(explicit: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = explicit {
        let missing = || Error::file(dir, "is not a folder of models");
        return dir.is_dir().then(|| dir.to_owned()).ok_or_else(missing);
    }
    let program = std::env::current_exe().ok();
    let above = program.iter().flat_map(|path| path.ancestors().skip(1)).map(|dir| dir.join("models"));
    std::iter::once(PathBuf::from("models")).chain(above).find(|dir| dir.is_dir()).ok_or(Error::NoModels)
}

/// The names of the models in a folder of models.
///
/// # Errors
/// [`Error::File`] where the folder cannot be read.
pub fn model_names(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).map_err(|e| Error::file(dir, e))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().join(manifest::FILE).is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}
