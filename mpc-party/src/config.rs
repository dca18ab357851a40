//! `party.toml`, the operator's settings: defaults, then the file, then `MPC_PARTY_...` variables of the environment.
//!
//! A variable is the key in capitals with `__` between levels: `MPC_PARTY_LIMITS__SESSIONS=4` sets `limits.sessions`.
//! An unknown key is refused, wherever it stands.

mod clients;
mod limits;
mod operations;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};
use garde::Validate;
use mpc_core::Role;
use mpc_core::session::Mode;
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use serde::Deserialize;

pub use self::clients::{Client, ClientLimits, Right};
pub use self::limits::Limits;
pub use self::operations::{Audit, Telemetry};
use crate::error::{Error, Result};
use crate::store::StoreKey;

/// The operator's settings. Paths are relative to the folder of the file.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file they were read from.
    #[serde(skip)]
    #[garde(skip)]
    file: PathBuf,
    /// Which party this is: 0, 1 or 2. The cluster must list this identity's key there.
    #[garde(range(max = 2))]
    role: u8,
    /// Address and UDP port to serve on.
    #[serde(default = "default_listen")]
    #[garde(skip)]
    pub listen: SocketAddr,
    /// Folder with the key and the certificate that `mpc-party init` made.
    #[serde(default = "here")]
    #[garde(skip)]
    pub identity: PathBuf,
    /// Folder for the shares of published models.
    #[serde(default = "default_data")]
    #[garde(skip)]
    pub data: PathBuf,
    /// Key that the shares are sealed with. Meant for the environment (`MPC_PARTY_STORE_KEY`); without it, the file
    /// `store.key` in the identity's folder is read.
    #[garde(skip)]
    store_key: Option<StoreKey>,
    /// The file that names the three parties, unless `[[parties]]` lists them here.
    #[garde(skip)]
    cluster: Option<PathBuf>,
    /// The three parties, where no file names them.
    #[serde(default)]
    #[garde(skip)]
    parties: Vec<PartyEntry>,
    /// The clients that the party serves.
    #[serde(default)]
    #[garde(dive)]
    pub clients: Vec<Client>,
    /// Let clients with any key ask questions. For demonstrations.
    #[serde(default)]
    #[garde(skip)]
    pub open_to_any_client: bool,
    /// The security that the party insists on.
    #[serde(default)]
    #[garde(skip)]
    pub security: Security,
    /// The load that the party takes on.
    #[serde(default)]
    #[garde(dive)]
    pub limits: Limits,
    /// Metrics, health and traces.
    #[serde(default)]
    #[garde(skip)]
    pub telemetry: Telemetry,
    /// The audit log.
    #[serde(default)]
    #[garde(skip)]
    pub audit: Audit,
    /// The log.
    #[serde(default)]
    #[garde(skip)]
    pub log: Log,
}

/// The security that the party insists on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// The weakest security that the party accepts. With `passive`, clients choose; `active` refuses questions
    /// that a deviating server could answer wrongly.
    pub minimum: Mode,
}

impl Default for Security {
    fn default() -> Self {
        Self { minimum: Mode::Passive }
    }
}

/// The log on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Lines for people or for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, also by module: `info,quinn=warn`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, level: "info".into() }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line for people.
    Pretty,
    /// One JSON object.
    Json,
}

impl Config {
    /// Reads a file and the environment, and checks them.
    ///
    /// # Errors
    /// [`Error::Config`], which names the file and the key.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, None)
    }

    /// As [`Config::load`], with other variables than those of the process.
    fn load_with(path: &Path, environment: Option<HashMap<String, String>>) -> Result<Self> {
        let wrong = |reason: String| Error::Config { file: path.to_owned(), reason };
        let variables = Environment::with_prefix("MPC_PARTY").prefix_separator("_").separator("__").source(environment);
        let sources = config::Config::builder()
            .add_source(File::from(path).format(FileFormat::Toml))
            .add_source(variables)
            .build();
        let read = sources.and_then(config::Config::try_deserialize);
        let mut config: Self = read.map_err(|error| wrong(error.to_string()))?;
        config.validate().map_err(|report| wrong(report.to_string().trim().replace('\n', "; ")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for relative in [&mut config.identity, &mut config.data]
            .into_iter()
            .chain(&mut config.cluster)
            .chain(&mut config.audit.file)
        {
            *relative = folder.join(&relative);
        }
        config.check_clients().map_err(wrong)?;
        config.file = path.to_owned();
        Ok(config)
    }

    /// Reads the file and the environment again.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn reread(&self) -> Result<Self> {
        Self::load(&self.file)
    }

    /// Adopts the clients of another configuration; returns whether they have changed.
    pub(crate) fn replace_clients(&mut self, new: &Self) -> bool {
        let per_client = new.limits.client;
        let same = self.clients == new.clients
            && self.open_to_any_client == new.open_to_any_client
            && self.limits.client == per_client;
        (self.clients, self.open_to_any_client) = (new.clients.clone(), new.open_to_any_client);
        self.limits.client = per_client;
        !same
    }

    /// The keys that differ from the running configuration and take a restart.
    pub(crate) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        let differs = [
            (self.listen != running.listen, "listen"),
            (self.data != running.data, "data"),
            (self.security != running.security, "security"),
            (self.limits != running.limits, "limits"),
            (self.telemetry != running.telemetry, "telemetry"),
            (self.audit != running.audit, "audit"),
            (self.log != running.log, "log"),
        ];
        differs.into_iter().filter_map(|(differs, key)| differs.then_some(key)).collect()
    }

    /// Which party this is.
    pub fn role(&self) -> Role {
        Role::from_index(self.role.into())
    }

    /// The key that the store is sealed with.
    ///
    /// # Errors
    /// There is no key, or others can read its file.
    pub fn store_key(&self) -> Result<StoreKey> {
        match &self.store_key {
            Some(key) => Ok(key.clone()),
            None => {
                let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
                Ok(StoreKey::find(credentials.as_deref(), &self.identity)?)
            }
        }
    }

    /// The three parties.
    ///
    /// # Errors
    /// The file cannot be read, or does not describe a cluster.
    pub fn cluster(&self) -> Result<Cluster> {
        match (&self.cluster, self.parties.is_empty()) {
            (Some(path), true) => Ok(Cluster::load(path)?),
            (None, false) => {
                let cluster = Cluster { parties: self.parties.clone() };
                cluster.validate().map_err(|e| Error::Setting(format!("parties: {e}")))?;
                Ok(cluster)
            }
            _ => {
                let reason = "name the three parties: either `cluster`, a file, or three `[[parties]]`";
                Err(Error::Setting(reason.into()))
            }
        }
    }

    fn check_clients(&self) -> Result<(), String> {
        if self.clients.is_empty() && !self.open_to_any_client {
            return Err("clients: nobody may ask; list the fingerprint that `mpc-client init` prints".into());
        }
        let mut known = HashMap::new();
        for client in &self.clients {
            for fingerprint in &client.fingerprints {
                if let Some(other) = known.insert(fingerprint, &client.name) {
                    let both = format!("{other:?} and {:?}", client.name);
                    return Err(format!("clients: {both} have the same key {fingerprint}; list it once"));
                }
            }
        }
        Ok(())
    }
}

fn default_listen() -> SocketAddr {
    ([0, 0, 0, 0], 7100).into()
}

fn here() -> PathBuf {
    ".".into()
}

fn default_data() -> PathBuf {
    "data".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        role = 1
        listen = "127.0.0.1:0"
        cluster = "cluster.toml"
        [[clients]]
        name = "alice"
        fingerprints = ["sha256:0000000000000000000000000000000000000000000000000000000000000001"]
    "#;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("party.toml");
        std::fs::write(&path, text).unwrap();
        let environment = environment.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let config = Config::load_with(&path, Some(environment.collect()))?;
        assert!(config.identity.starts_with(dir.path()) && config.data.starts_with(dir.path()));
        Ok(config)
    }

    #[test]
    fn file_then_environment() {
        let config = load(GOOD, &[]).unwrap();
        assert_eq!((config.role(), config.limits.sessions, config.log.format), (Role::P1, 8, LogFormat::Pretty));
        assert_eq!(config.security.minimum, Mode::Passive);
        let strict = load(&format!("{GOOD}\n[security]\nminimum = \"active\""), &[]).unwrap();
        assert_eq!(strict.security.minimum, Mode::Active);
        let config = load(
            GOOD,
            &[
                ("MPC_PARTY_ROLE", "2"),
                ("MPC_PARTY_LIMITS__SESSIONS", "3"),
                ("MPC_PARTY_LOG__FORMAT", "json"),
                ("MPC_PARTY_SECURITY__MINIMUM", "active"),
                ("MPC_PARTY_OPEN_TO_ANY_CLIENT", "true"),
                ("MPC_PARTY_STORE_KEY", &"0f".repeat(32)),
                ("SOMETHING_ELSE", "1"),
            ],
        );
        let config = config.unwrap();
        assert_eq!((config.role(), config.limits.sessions, config.log.format), (Role::P2, 3, LogFormat::Json));
        assert_eq!(config.security.minimum, Mode::Active);
        assert!(config.open_to_any_client && config.store_key.is_some());
        assert!(!format!("{config:?}").contains("0f0f"), "no secret in what may be logged");
    }

    #[test]
    fn errors_name_the_key() {
        let refused = |text: &str, environment: &[(&str, &str)], expected: &[&str]| {
            let error = load(text, environment).unwrap_err().to_string();
            assert!(expected.iter().all(|word| error.contains(word)) && error.contains("party.toml"), "{error}");
            assert!(!error.contains('\n'), "one line: {error}");
        };
        refused(&GOOD.replace("role = 1", "role = 3"), &[], &["role"]);
        refused(&GOOD.replace("role = 1", ""), &[], &["role"]);
        refused(&GOOD.replace("listen", "lisden"), &[], &["lisden"]);
        refused(&GOOD.replace("127.0.0.1:0", "here"), &[], &["listen"]);
        refused(&GOOD.replace("sha256:00", "sha256:0"), &[], &["fingerprint"]);
        refused(&GOOD.replace("alice", ""), &[], &["clients[0].name"]);
        refused(&format!("{GOOD}\nmay = [\"rule\"]"), &[], &["may", "rule"]);
        refused(&format!("{GOOD}{}", GOOD.split_at(GOOD.find("[[").unwrap()).1), &[], &["same key"]);
        refused(&format!("{GOOD}\n[limits]\nsessions = 0"), &[], &["limits.sessions"]);
        refused(&format!("{GOOD}\n[limits]\nsession = 1"), &[], &["session"]);
        refused(&format!("{GOOD}\n[log]\nformat = \"xml\""), &[], &["format", "xml"]);
        refused(&format!("{GOOD}\n[security]\nminimum = \"none\""), &[], &["minimum", "none"]);
        refused(GOOD, &[("MPC_PARTY_LIMITS__WAIT_S", "soon")], &["limits.wait_s"]);
        refused(GOOD, &[("MPC_PARTY_COLOUR", "red")], &["colour"]);
        refused(GOOD, &[("MPC_PARTY_STORE_KEY", "short")], &["store_key"]);
        refused("role = 0\ncluster = \"c\"", &[], &["clients"]);
    }

    #[test]
    fn exactly_one_list_of_parties() {
        let neither = load(&GOOD.replace("cluster = \"cluster.toml\"", ""), &[]).unwrap();
        assert!(neither.cluster().unwrap_err().to_string().contains("[[parties]]"));
        let two = format!(
            "{}\n{}",
            GOOD.replace("cluster = \"cluster.toml\"", ""),
            "[[parties]]\nname = \"a\"\naddresses = [\"a:1\"]\nfingerprints = [\"sha256:00\"]\n".repeat(2)
        );
        assert!(load(&two, &[]).unwrap().cluster().unwrap_err().to_string().contains("three"));
    }
}
