//! The server: constructs the owners, accepts, and shuts down cleanly. The only module that knows all others.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::endpoint::Io;
use mpc_core::network::identity::Identity;
use mpc_core::network::mesh::{Control, Inbox, Mesh};
use mpc_core::party::keep_freed_memory;
use mpc_core::wire::peer::PeerRequest;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::access::Access;
use crate::admission::Admission;
use crate::agreement::Agreement;
use crate::callers::Callers;
use crate::catalog::Catalog;
use crate::cell::Cell;
use crate::change::Changes;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::evaluate::Evaluations;
use crate::intake::Intake;
use crate::lines::Lines;
use crate::overview::Overview;
use crate::reload::{Settings, watch_certificate};
use crate::session::Sessions;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::telemetry::http::Exporter;

/// A running party.
struct Server {
    owners: Owners,
    settings: Settings,
    /// Longest wait for the requests taken on, once the party is told to stop.
    drain: Duration,
    exporter: Option<Exporter>,
    // Dropped last, so that the I/O thread outlives its users.
    io: Io,
}

impl Server {
    /// Opens the store, binds the socket, starts to call the peers and to accept.
    fn start(config: &Config) -> Result<Self> {
        let role = config.role();
        let identity = Identity::load(&config.identity);
        let identity = identity.map_err(|e| Error::Keys(format!("run `mpc-party init` first: {e}")))?;
        let cluster = config.cluster()?;
        let catalog = Arc::new(Catalog::open(Store::open(&config.data, &config.store_key()?)?, &config.limits)?);
        let telemetry = Arc::new(Telemetry::start(role, &config.audit)?);
        let socket = UdpSocket::bind(config.listen);
        let socket = socket.map_err(Error::system(format!("cannot listen on {} (listen)", config.listen)))?;
        keep_freed_memory();
        without_core_dumps()?;
        let io = Io::start()?;
        let (mesh, inbox) = Mesh::start(&io, socket, Arc::new(identity), role, &cluster)?;

        let owners = Owners::new(config, mesh, catalog, telemetry);
        owners.spawn(&io, config, inbox);
        let exporter = config.telemetry.listen.map(|listen| owners.export(listen, &io)).transpose()?;
        let address = owners.mesh.local_address()?;
        let (models, security) = (owners.catalog.len(), config.security.minimum);
        info!(party = %role, %address, models, minimum_security = %security, "serving");
        if config.open_to_any_client {
            warn!("open_to_any_client is set: anybody who reaches {address} may ask");
        }
        let settings = Settings::new(owners.mesh.clone(), owners.access.clone(), owners.telemetry.clone(), config);
        Ok(Self { owners, settings, drain: config.limits.drain(), exporter, io })
    }

    /// Stops taking on requests, and waits until those taken on have ended or their time is up.
    async fn drain(&self) {
        /// Interval between log lines that say what is awaited.
        const REMINDER: Duration = Duration::from_secs(10);
        self.owners.admission.stop();
        let until = Instant::now() + self.drain;
        let mut open = self.owners.intake.open();
        loop {
            let (requests, sessions) = (*open.borrow_and_update(), self.owners.sessions.running());
            if requests == 0 {
                return;
            }
            let at_most_s = self.drain.as_secs();
            info!(requests, sessions, at_most_s, "stopping; waiting for the requests taken on");
            let none = timeout_at(until.min(Instant::now() + REMINDER), open.wait_for(|n| *n == 0)).await;
            if none.is_err() && Instant::now() >= until {
                return;
            }
        }
    }

    fn close(self) {
        let cut_off = *self.owners.intake.open().borrow();
        if cut_off > 0 {
            warn!(cut_off, "stopping although requests have not ended");
        }
        self.io.handle().block_on(self.owners.mesh.close("the party is stopping"));
        drop(self.exporter);
        info!("stopped");
    }
}

/// Serves until the process is told to stop (SIGTERM, Ctrl-C); SIGHUP has it read its files again.
///
/// # Errors
/// The obstacle to serving, with the file or key to look at.
pub fn serve(config: &Config) -> Result<()> {
    let server = Server::start(config)?;
    let handle = server.io.handle().clone();
    handle.block_on(told_to_stop(&server)).map_err(Error::system("cannot wait for signals"))?;
    handle.block_on(async {
        tokio::select! {
            () = server.drain() => {}
            _ = told_to_stop(&server) => warn!("told to stop again"),
        }
    });
    server.close();
    Ok(())
}

/// Switches off core dumps: this process's memory holds shares and keys. On systems other than Unix there is nothing to
/// switch off.
///
/// # Errors
/// The system does not let the process lower its own limit.
fn without_core_dumps() -> Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).map_err(Error::system("cannot switch off core dumps"))?;
    }
    Ok(())
}

#[cfg(unix)]
async fn told_to_stop(server: &Server) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut reload = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            interrupted = tokio::signal::ctrl_c() => return interrupted,
            _ = reload.recv() => server.settings.reload_files(),
        }
    }
}

#[cfg(not(unix))]
async fn told_to_stop(_server: &Server) -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

async fn accept(callers: Arc<Callers>, peers: Arc<Peers>, mut inbox: Inbox) {
    loop {
        tokio::select! {
            Some(caller) = inbox.callers.recv() => {
                tokio::spawn(callers.clone().serve(caller));
            }
            Some(control) = inbox.controls.recv() => {
                let peers = peers.clone();
                tokio::spawn(async move { peers.serve(control).await });
            }
            else => return,
        }
    }
}

/// The owners of a party's state. Each is constructed with the owners that it needs.
struct Owners {
    mesh: Mesh,
    cell: Cell,
    catalog: Arc<Catalog>,
    telemetry: Arc<Telemetry>,
    access: Arc<Access>,
    lines: Arc<Lines>,
    intake: Arc<Intake>,
    admission: Arc<Admission>,
    agreement: Arc<Agreement>,
    sessions: Arc<Sessions>,
}

impl Owners {
    fn new(config: &Config, mesh: Mesh, catalog: Arc<Catalog>, telemetry: Arc<Telemetry>) -> Self {
        let limits = &config.limits;
        let cell = Cell::new(mesh.clone(), limits.wait());
        let access = Arc::new(Access::new(mesh.clone(), config));
        let lines = Arc::new(Lines::new(cell.clone()));
        let intake = Arc::new(Intake::new(config.role(), limits.waiting, telemetry.clone()));
        let admission = Admission::new(cell.clone(), lines.clone(), intake.clone(), telemetry.clone(), limits);
        let agreement = Arc::new(Agreement::new(cell.clone(), catalog.clone()));
        let sessions = Arc::new(Sessions::new(cell.clone()));
        Self {
            mesh,
            cell,
            catalog,
            telemetry,
            access,
            lines,
            intake,
            admission: Arc::new(admission),
            agreement,
            sessions,
        }
    }

    /// Starts every task that runs while the party serves.
    fn spawn(&self, io: &Io, config: &Config, inbox: Inbox) {
        let (callers, peers) = (Arc::new(self.callers(config)), Arc::new(self.peers()));
        io.handle().spawn(accept(callers, peers, inbox));
        io.handle().spawn(watch_certificate(self.mesh.clone()));
        let telemetry = self.telemetry.clone();
        io.handle().spawn(async move { telemetry.tell_what_was_left_out().await });
        if config.role() == Role::P0 {
            let (lines, sessions, agreement) = (self.lines.clone(), self.sessions.clone(), self.agreement.clone());
            io.handle().spawn(async move { lines.keep_measuring(|| sessions.running() == 0).await });
            io.handle().spawn(async move { agreement.keep().await });
        }
    }

    fn export(&self, listen: SocketAddr, io: &Io) -> Result<Exporter> {
        let overview = self.overview();
        Exporter::start(listen, self.telemetry.clone(), move || overview.snapshot(), io.handle().clone())
    }

    fn callers(&self, config: &Config) -> Callers {
        let Self { catalog, telemetry, admission, .. } = self;
        let limit = config.limits.session_timeout();
        let (sessions, agreement) = (self.sessions.clone(), self.agreement.clone());
        let changes = Changes::new(self.cell.clone(), catalog.clone(), agreement, admission.clone(), limit);
        Callers {
            access: self.access.clone(),
            telemetry: telemetry.clone(),
            intake: self.intake.clone(),
            admission: admission.clone(),
            catalog: catalog.clone(),
            evaluations: Evaluations::new(catalog.clone(), admission.clone(), sessions, telemetry.clone(), config),
            changes: Arc::new(changes),
            overview: self.overview(),
            limits: config.limits.clone(),
            minimum: config.security.minimum,
        }
    }

    fn overview(&self) -> Overview {
        Overview {
            mesh: self.mesh.clone(),
            catalog: self.catalog.clone(),
            agreement: self.agreement.clone(),
            intake: self.intake.clone(),
            admission: self.admission.clone(),
            sessions: self.sessions.clone(),
            lines: self.lines.clone(),
            telemetry: self.telemetry.clone(),
        }
    }

    fn peers(&self) -> Peers {
        Peers {
            cell: self.cell.clone(),
            admission: self.admission.clone(),
            agreement: self.agreement.clone(),
            lines: self.lines.clone(),
        }
    }
}

/// Serves the requests of peers.
struct Peers {
    cell: Cell,
    admission: Arc<Admission>,
    agreement: Arc<Agreement>,
    lines: Arc<Lines>,
}

impl Peers {
    async fn serve(&self, control: Control) {
        match self.cell.hear(control).await {
            Some((PeerRequest::Propose { propose, commitment }, send, recv)) => {
                self.admission.serve_proposal(propose, commitment, send, recv).await;
            }
            Some((PeerRequest::Catalog(list), send, _)) => self.agreement.hear(list, send).await,
            Some((PeerRequest::InService, send, _)) => self.agreement.say(send).await,
            Some((PeerRequest::Measure { session }, ..)) => self.lines.take_part(session).await,
            None => {}
        }
    }
}
