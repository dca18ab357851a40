//! The server: starts everything, accepts, and stops in order.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use anyhow::{Context, Result};
use mpc_core::Role;
use mpc_core::model::Manifest;
use mpc_core::network::endpoint::Io;
use mpc_core::network::identity::{Fingerprint, Identity};
use mpc_core::network::mesh::{Control, Inbox, Mesh};
use mpc_core::party::keep_freed_memory;
use mpc_core::security::Mode;
use mpc_core::wire::message::{Classify, PeerRequest};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::admission::Admission;
use crate::catalog::Catalog;
use crate::config::{Config, Limits};
use crate::lines::Lines;
use crate::request::{Principal, Rights, serve_caller};
use crate::store::{KEY_FILE, Store, StoreKey};

/// What all conversations of a party share.
pub(crate) struct Shared {
    /// Connections to the peers.
    pub(crate) mesh: Mesh,
    /// Models in service.
    pub(crate) catalog: Catalog,
    /// Agreement on sessions.
    pub(crate) admission: Admission,
    /// What is known of the lines to the peers.
    pub(crate) lines: Lines,
    /// What the party takes on.
    pub(crate) limits: Limits,
    /// The weakest security that the party takes part in.
    pub(crate) minimum: Mode,
    /// Requests that wait or run; closed when the party stops.
    pub(crate) waiting: Semaphore,
    /// Sessions running now.
    pub(crate) running: AtomicU32,
    callers: Vec<Principal>,
    open_to_any_client: bool,
}

impl Shared {
    /// Refuses what is weaker than this party or the model demands.
    pub(crate) fn check_security(&self, request: &Classify, model: &Manifest) -> Result<(), String> {
        let demands = [
            (self.minimum, "this party's operator demands (security.minimum)"),
            (model.security, "the model's manifest demands (security)"),
        ];
        match demands.into_iter().find(|(minimum, _)| request.security < *minimum) {
            None => Ok(()),
            Some((minimum, who)) => Err(format!(
                "the request asks for {} security, {who} {minimum} security; ask with --security {minimum}",
                request.security
            )),
        }
    }

    /// Who has this key, if that may call.
    pub(crate) fn recognise(&self, fingerprint: Fingerprint) -> Option<Principal> {
        let known = self.callers.iter().find(|caller| caller.fingerprint == fingerprint).cloned();
        let anybody = || Principal { name: "anybody".into(), fingerprint, rights: Rights::Ask };
        known.or_else(|| self.open_to_any_client.then(anybody))
    }
}

/// A running party.
pub struct Server {
    shared: Arc<Shared>,
    // Last, so that the I/O thread outlives what uses it.
    io: Io,
}

impl Server {
    /// Opens the store, binds the socket, starts to call the peers and to accept.
    ///
    /// # Errors
    /// Whatever keeps the party from serving, with the file or key to look at.
    pub fn start(config: &Config) -> Result<Self> {
        let identity = Identity::load(&config.identity).context("run `mpc-party init` first")?;
        let key = match &config.store_key {
            Some(key) => key.clone(),
            None => StoreKey::load(&config.identity.join(KEY_FILE))?,
        };
        let cluster = config.cluster()?;
        let catalog = Catalog::open(Store::open(&config.data, &key)?, &config.limits)?;
        let socket = UdpSocket::bind(config.listen);
        let socket = socket.with_context(|| format!("cannot listen on {} (listen)", config.listen))?;
        keep_freed_memory();
        let io = Io::start()?;
        let callers = callers(config, identity.fingerprint());
        let (mesh, inbox) = Mesh::start(&io, socket, Arc::new(identity), config.role(), &cluster)?;

        let limits = config.limits.clone();
        let shared = Arc::new(Shared {
            admission: Admission::new(mesh.clone(), limits.sessions, limits.wait()),
            lines: Lines::new(mesh.clone(), limits.wait()),
            waiting: Semaphore::new(limits.waiting),
            running: AtomicU32::new(0),
            open_to_any_client: config.open_to_any_client,
            minimum: config.security.minimum,
            mesh,
            catalog,
            limits,
            callers,
        });
        io.handle().spawn(accept(shared.clone(), inbox));
        if config.role() == Role::P0 {
            io.handle().spawn(Lines::keep_measuring(shared.clone()));
        }
        let address = shared.mesh.local_address()?;
        let (models, security) = (shared.catalog.len(), shared.minimum);
        info!(party = %config.role(), %address, models, minimum_security = %security, "serving");
        if config.open_to_any_client {
            warn!("open_to_any_client is set: whoever reaches {address} may ask");
        }
        Ok(Self { shared, io })
    }

    /// Where this party serves.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.shared.mesh.local_address()?)
    }

    /// Refuses new requests, lets those that run finish as long as anybody waits for a message, and closes.
    pub fn stop(self) {
        let Self { shared, io } = self;
        io.handle().block_on(async {
            let all = shared.limits.waiting as u32;
            if tokio::time::timeout(shared.limits.wait(), shared.waiting.acquire_many(all)).await.is_err() {
                warn!("stopping although sessions run");
            }
            shared.waiting.close();
            shared.mesh.close("the party is stopping").await;
        });
        info!("stopped");
    }
}

/// Serves until the process is told to stop (SIGTERM, Ctrl-C).
///
/// # Errors
/// As [`Server::start`].
pub fn serve(config: &Config) -> Result<()> {
    let server = Server::start(config)?;
    server.io.handle().block_on(told_to_stop()).context("cannot wait for signals")?;
    server.stop();
    Ok(())
}

#[cfg(unix)]
async fn told_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
async fn told_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

async fn accept(shared: Arc<Shared>, mut inbox: Inbox) {
    loop {
        tokio::select! {
            Some(caller) = inbox.callers.recv() => {
                tokio::spawn(serve_caller(shared.clone(), caller));
            }
            Some(control) = inbox.controls.recv() => {
                let shared = shared.clone();
                tokio::spawn(async move { serve_peer(&shared, control).await });
            }
            else => return,
        }
    }
}

async fn serve_peer(shared: &Shared, control: Control) {
    match shared.admission.hear_peer(control).await {
        Some((PeerRequest::Propose(propose), send, recv)) => shared.admission.serve_proposal(propose, send, recv).await,
        Some((PeerRequest::Measure { session }, ..)) => shared.lines.take_part(session).await,
        None => {}
    }
}

fn callers(config: &Config, own: Fingerprint) -> Vec<Principal> {
    let with = |rights, callers: &[crate::config::Caller]| -> Vec<Principal> {
        callers.iter().map(|c| Principal { name: c.name.clone(), fingerprint: c.fingerprint, rights }).collect()
    };
    let myself = Principal { name: "health check".into(), fingerprint: own, rights: Rights::Watch };
    // Whoever is listed twice has the rights of a publisher.
    [with(Rights::Publish, &config.publishers), with(Rights::Ask, &config.clients), vec![myself]].concat()
}
