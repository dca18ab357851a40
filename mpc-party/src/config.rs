//! `party.toml`: what an operator decides. Defaults, then the file, then `MPC_PARTY_...` variables of the environment.
//!
//! A variable is the key in capitals with `__` between levels: `MPC_PARTY_LIMITS__SESSIONS=4` sets `limits.sessions`.
//! A key that is not listed here is refused, wherever it stands.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use config::{Environment, File, FileFormat};
use garde::Validate;
use mpc_core::Role;
use mpc_core::network::identity::Fingerprint;
use mpc_core::security::Mode;
use mpc_core::wire::cluster::{Cluster, PartyEntry};
use serde::Deserialize;

use crate::store::StoreKey;

/// Everything that an operator decides. Paths are relative to the folder of the file.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Config {
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
    pub store_key: Option<StoreKey>,
    /// The file that names the three parties; or list them here as `[[parties]]`.
    #[garde(skip)]
    cluster: Option<PathBuf>,
    /// The three parties, where no file names them.
    #[serde(default)]
    #[garde(skip)]
    parties: Vec<PartyEntry>,
    /// Who may ask.
    #[serde(default)]
    #[garde(dive)]
    pub clients: Vec<Caller>,
    /// Who may publish models (and ask).
    #[serde(default)]
    #[garde(dive)]
    pub publishers: Vec<Caller>,
    /// Serve every client, whatever its key. For demonstrations.
    #[serde(default)]
    #[garde(skip)]
    pub open_to_any_client: bool,
    /// What the party insists on.
    #[serde(default)]
    #[garde(skip)]
    pub security: Security,
    /// What the party takes on.
    #[serde(default)]
    #[garde(dive)]
    pub limits: Limits,
    /// What the party says.
    #[serde(default)]
    #[garde(skip)]
    pub log: Log,
}

/// Somebody whose key is known.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// For people and logs.
    #[garde(length(min = 1, max = 100))]
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits, as `mpc-client init` prints it.
    #[garde(skip)]
    pub fingerprint: Fingerprint,
}

/// What the party insists on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// The weakest security that it takes part in. With `passive`, clients choose; `active` refuses questions that a
    /// deviating server could answer wrongly.
    pub minimum: Mode,
}

impl Default for Security {
    fn default() -> Self {
        Self { minimum: Mode::Passive }
    }
}

/// What the party takes on at once.
#[derive(Debug, Clone, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions that run at the same time; P0's number counts, further requests wait in order.
    #[garde(range(min = 1, max = 256))]
    pub sessions: usize,
    /// Requests that wait; further ones are refused.
    #[garde(range(min = 1, max = 4_096))]
    pub waiting: usize,
    /// A session ends after so many seconds.
    #[garde(range(min = 1, max = 86_400))]
    session_timeout_s: u64,
    /// Nobody waits longer than so many seconds for a peer's or a client's next message.
    #[garde(range(min = 1, max = 3_600))]
    wait_s: u64,
    /// Windows (samples) in one request.
    #[garde(range(min = 1, max = 65_536))]
    pub batch: usize,
    /// Share of the input of one request, in MiB per component.
    #[garde(range(min = 1, max = 4_096))]
    input_mib: usize,
    /// What one session may need while it is computed, in MiB, by an estimate from above; the weights are not counted.
    #[garde(range(min = 16, max = 1_048_576))]
    pub session_mib: u64,
    /// Weight share of one model, in MiB per component.
    #[garde(range(min = 1, max = 4_096))]
    model_mib: usize,
    /// Models in service.
    #[garde(range(min = 1, max = 32))]
    pub models: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 8,
            waiting: 1024,
            session_timeout_s: 120,
            wait_s: 10,
            batch: 256,
            input_mib: 64,
            session_mib: 4096,
            model_mib: 256,
            models: 16,
        }
    }
}

impl Limits {
    /// A session ends after this time.
    pub fn session_timeout(&self) -> Duration {
        Duration::from_secs(self.session_timeout_s)
    }

    /// Longest wait for somebody's next message.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_s)
    }

    /// Most words in a component of an input share.
    pub fn input_words(&self) -> usize {
        self.input_mib << 17
    }

    /// Most words in a component of a model's weight share.
    pub fn model_words(&self) -> usize {
        self.model_mib << 17
    }
}

/// What the party writes to standard error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, also by module: `info,quinn=warn`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, level: "info".into() }
    }
}

/// How a log line looks.
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
    /// One line that names the file and the key.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, None)
    }

    /// As [`Config::load`], with other variables than those of the process.
    fn load_with(path: &Path, environment: Option<HashMap<String, String>>) -> Result<Self> {
        let what = || format!("configuration {}", path.display());
        let variables = Environment::with_prefix("MPC_PARTY").prefix_separator("_").separator("__").source(environment);
        let sources = config::Config::builder()
            .add_source(File::from(path).format(FileFormat::Toml))
            .add_source(variables)
            .build();
        let mut config: Self = sources.and_then(config::Config::try_deserialize).with_context(what)?;
        config
            .validate()
            .map_err(|report| anyhow::anyhow!(report.to_string().trim().replace('\n', "; ")))
            .with_context(what)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for relative in [&mut config.identity, &mut config.data].into_iter().chain(&mut config.cluster) {
            *relative = folder.join(&relative);
        }
        config.check_callers().with_context(what)?;
        Ok(config)
    }

    /// Which party this is.
    pub fn role(&self) -> Role {
        Role::from_index(self.role.into())
    }

    /// The three parties.
    ///
    /// # Errors
    /// The file cannot be read, or what it says is no cluster.
    pub fn cluster(&self) -> Result<Cluster> {
        match (&self.cluster, self.parties.is_empty()) {
            (Some(path), true) => Ok(Cluster::load(path)?),
            (None, false) => {
                let cluster = Cluster { parties: self.parties.clone() };
                cluster.validate().map_err(|e| anyhow::anyhow!("parties: {e}"))?;
                Ok(cluster)
            }
            _ => bail!("name the three parties: either `cluster`, a file, or three `[[parties]]`"),
        }
    }

    fn check_callers(&self) -> Result<()> {
        if self.clients.is_empty() && self.publishers.is_empty() && !self.open_to_any_client {
            bail!(
                "clients, publishers: both are empty, so nobody may ask; list the fingerprint that `mpc-client init` prints"
            );
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
        fingerprint = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
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
            let error = format!("{:#}", load(text, environment).unwrap_err());
            assert!(expected.iter().all(|word| error.contains(word)) && error.contains("party.toml"), "{error}");
            assert!(!error.contains('\n'), "one line: {error}");
        };
        refused(&GOOD.replace("role = 1", "role = 3"), &[], &["role"]);
        refused(&GOOD.replace("role = 1", ""), &[], &["role"]);
        refused(&GOOD.replace("listen", "lisden"), &[], &["lisden"]);
        refused(&GOOD.replace("127.0.0.1:0", "here"), &[], &["listen"]);
        refused(&GOOD.replace("sha256:00", "sha256:0"), &[], &["fingerprint"]);
        refused(&GOOD.replace("alice", ""), &[], &["clients[0].name"]);
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
