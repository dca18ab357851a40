//! New settings for a party that runs: who may come in, who the others are, and what it shows of itself.
//!
//! Nothing that runs is touched. Whatever is wrong with the new settings, the old ones stay as a whole.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use mpc_core::network::certificate::date;
use mpc_core::network::identity::Identity;
use mpc_core::network::mesh::Mesh;
use tracing::{error, info, warn};

use crate::access::Access;
use crate::config::Config;
use crate::serve::{Server, Shared};

/// How often an operator is reminded of a certificate that ends.
const DAY: Duration = Duration::from_secs(86_400);

impl Server {
    /// Goes on with the clients, the cluster and the identity of another configuration. What else it says takes a restart.
    ///
    /// # Errors
    /// What is wrong with it; then everything stays as it was.
    pub fn reload(&self, config: &Config) -> Result<()> {
        apply(&self.shared, config)
    }

    /// Opens the audit log anew, reads the configuration again and reloads; where that fails, the log says why.
    pub(crate) fn reload_files(&self) {
        self.shared.telemetry.reopen_audit();
        let read = lock(&self.shared).reread();
        if let Err(error) = read.and_then(|config| self.reload(&config)) {
            error!("could not reload, the old settings stay: {error:#}");
        }
    }
}

fn apply(shared: &Shared, config: &Config) -> Result<()> {
    let mut running = lock(shared);
    ensure!(config.role() == running.role(), "role: a party cannot become another one; restart it");
    let identity = Arc::new(Identity::load(&config.identity)?);
    let (before, cluster) = (shared.mesh.identity(), config.cluster()?);
    let parties = shared.mesh.cluster() != cluster;
    shared.mesh.reload(identity.clone(), &cluster)?;
    let certificate = before.chain() != identity.chain();
    let key = before.fingerprint() != identity.fingerprint();
    let clients = running.replace_clients(config);
    if clients {
        shared.access.send_replace(Access::new(config));
    } else {
        // A party's key may have come or gone.
        shared.access.send_modify(|_| {});
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
    warn_of_end(&shared.mesh);
    Ok(())
}

fn lock(shared: &Shared) -> MutexGuard<'_, Config> {
    shared.config.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reminds the operator, as long as the party serves.
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
