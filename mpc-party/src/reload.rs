//! Applies new settings to a running party: its clients, the cluster, and its own identity.
//!
//! Nothing that runs is affected. If anything is wrong with the new settings, all old ones stay.

use std::sync::Arc;
use std::time::Duration;

use mpc_core::network::certificate::date;
use mpc_core::network::identity::Identity;
use mpc_core::network::mesh::Mesh;
use parking_lot::{Mutex, MutexGuard};
use tracing::{error, info, warn};

use crate::access::Access;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::telemetry::Telemetry;

/// Interval at which an operator is reminded of a certificate that expires.
const DAY: Duration = Duration::from_secs(86_400);

/// The settings in force, and the owners that act on them.
pub(crate) struct Settings {
    mesh: Mesh,
    access: Arc<Access>,
    telemetry: Arc<Telemetry>,
    running: Mutex<Config>,
}

impl Settings {
    pub(crate) fn new(mesh: Mesh, access: Arc<Access>, telemetry: Arc<Telemetry>, config: &Config) -> Self {
        Self { mesh, access, telemetry, running: Mutex::new(config.clone()) }
    }

    /// Reopens the audit log, reads the configuration again and applies it; if that fails, the log says why.
    pub(crate) fn reload_files(&self) {
        self.telemetry.reopen_audit();
        let read = self.lock().reread();
        if let Err(error) = read.and_then(|config| self.apply(&config)) {
            error!("could not reload; the old settings stay: {error}");
        }
    }

    /// Switches to the clients, the cluster and the identity of another configuration. Its other settings take a
    /// restart.
    ///
    /// # Errors
    /// The new configuration cannot be used; then nothing changes.
    pub(crate) fn apply(&self, config: &Config) -> Result<()> {
        let mut running = self.lock();
        if config.role() != running.role() {
            return Err(Error::Setting("role: a party cannot become another one; restart it".into()));
        }
        let identity = Arc::new(Identity::load(&config.identity)?);
        let (before, cluster) = (self.mesh.identity(), config.cluster()?);
        let parties = self.mesh.cluster() != cluster;
        self.mesh.reload(identity.clone(), &cluster)?;
        let certificate = before.chain() != identity.chain();
        let key = before.fingerprint() != identity.fingerprint();
        let clients = running.replace_clients(config);
        if clients {
            self.access.replace_clients(config);
        } else {
            self.access.replace_parties();
        }
        let changed = [
            (clients, "who may come in"),
            (parties, "the parties of the cluster"),
            (key, "this party's key"),
            (certificate, "this party's certificate"),
        ];
        let changed: Vec<_> = changed.into_iter().filter_map(|(changed, what)| changed.then_some(what)).collect();
        let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") };
        let (until, restart) = (date(identity.validity().until), config.needs_restart(&running));
        info!(changed, until, "reloaded");
        if !restart.is_empty() {
            warn!("changed, but only a restart applies it: {}", restart.join(", "));
        }
        warn_of_end(&self.mesh);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Config> {
        self.running.lock()
    }
}

/// Reminds the operator of the certificate's expiry while the party serves.
pub(crate) async fn watch_certificate(mesh: Mesh) {
    loop {
        warn_of_end(&mesh);
        tokio::time::sleep(DAY).await;
    }
}

fn warn_of_end(mesh: &Mesh) {
    if let Some(warning) = mesh.identity().validity().warning("mpc-party init --renew") {
        warn!("{warning}; then reload this party");
    }
}
