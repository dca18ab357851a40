//! The server: starts everything, accepts, and stops in order.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use mpc_core::Role;
use mpc_core::network::endpoint::Io;
use mpc_core::network::identity::{Fingerprint, Identity};
use mpc_core::network::mesh::{Control, Inbox, Mesh};
use mpc_core::network::quiet::Quiet;
use mpc_core::party::keep_freed_memory;
use mpc_core::session::Mode;
use mpc_core::wire::message::{Code, Question, Refusal};
use mpc_core::wire::peer::PeerRequest;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::access::{Access, Stamps};
use crate::admission::{Admission, NotAdmitted, stopping};
use crate::agreement::Agreement;
use crate::catalog::Catalog;
use crate::config::{Config, Limits};
use crate::lines::Lines;
use crate::reload::watch_certificate;
use crate::request::{Ended, Who, serve_caller};
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::telemetry::http::Exporter;
use crate::telemetry::metrics::Limit;
use crate::telemetry::{Cause, tell_what_was_left_out};

/// What all conversations of a party share.
pub(crate) struct Shared {
    /// Connections to the peers.
    pub(crate) mesh: Mesh,
    /// Models in service.
    pub(crate) catalog: Arc<Catalog>,
    /// That all three parties have the same in service.
    pub(crate) agreement: Agreement,
    /// Agreement on sessions.
    pub(crate) admission: Admission,
    /// What is known of the lines to the peers.
    pub(crate) lines: Lines,
    /// What the party takes on.
    pub(crate) limits: Limits,
    /// The weakest security that the party takes part in.
    pub(crate) minimum: Mode,
    /// Counters and the audit log.
    pub(crate) telemetry: Telemetry,
    /// How many requests wait or run.
    requests: watch::Sender<usize>,
    /// Sessions running now.
    pub(crate) running: AtomicU32,
    /// Who may do what.
    pub(crate) access: watch::Sender<Access>,
    /// What was asked in the last minutes.
    pub(crate) stamps: Stamps,
    /// Lines about the ends of requests, by who asked and how they ended.
    pub(crate) quiet: Quiet<Cause>,
    /// What is in force.
    pub(crate) config: Mutex<Config>,
}

impl Shared {
    /// Refuses what is weaker than this party, the model or the question demands.
    pub(crate) fn check_security(&self, asked: Mode, model: Mode, question: &Question) -> Result<(), Refusal> {
        let demands = [
            (self.minimum, "this party's operator demands (security.minimum)"),
            (model, "the model's manifest demands (security)"),
            (question.minimum(), "what the parties keep demands"),
        ];
        match demands.into_iter().find(|(minimum, _)| asked < *minimum) {
            None => Ok(()),
            Some((minimum, who)) => Err(Code::WeakSecurity
                .because(format!("the request asks for {asked} security, {who} {minimum} security; ask for that"))),
        }
    }

    /// A place for a request that will wait or run.
    ///
    /// # Errors
    /// There is none; when to try again.
    pub(crate) fn take_on(&self) -> Result<Place, Refusal> {
        let (party, most) = (self.mesh.role(), self.limits.waiting);
        let (limit, refusal) = if self.admission.is_stopping() {
            (Limit::Stopping, stopping(party))
        } else if self.telemetry.audit_forbids_requests() {
            let reason = format!("{party} cannot write its audit log, without which it serves nobody; try again later");
            (Limit::Audit, Code::Unavailable.because(reason))
        } else if self.requests.send_if_modified(|n| {
            *n < most && {
                *n += 1;
                true
            }
        }) {
            return Ok(Place(self.requests.clone()));
        } else {
            let reason = format!("{most} requests wait or run at {party} already (limits.waiting); try again later");
            (Limit::Waiting, Code::Busy.because(reason))
        };
        self.telemetry.metrics.turned_away(limit);
        Err(refusal)
    }

    /// Number of requests that were taken on and have not ended.
    pub(crate) fn open_requests(&self) -> usize {
        *self.requests.borrow()
    }

    /// Why new requests are not served, one line each; none where they are.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let role = self.mesh.role();
        let peers = [role.next(), role.prev()].into_iter().filter(|peer| !self.mesh.is_connected(*peer));
        peers.map(|peer| format!("not connected to {peer}")).chain(self.obstacles()).collect()
    }

    /// As [`Shared::not_ready`], other than for want of a peer.
    pub(crate) fn obstacles(&self) -> Vec<String> {
        let reasons = [
            (self.admission.is_stopping(), "stopping"),
            (self.telemetry.audit_forbids_requests(), "the audit log cannot be written"),
            (!self.catalog.store().is_usable(), "the share store cannot be read"),
        ];
        reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason.to_owned()).collect()
    }

    /// What keeps this party from serving all that is in service, although it serves the rest; one line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.catalog.missing().into_iter().chain(self.agreement.problem()).collect()
    }

    /// How a request ends that was not admitted.
    pub(crate) fn not_admitted(&self, NotAdmitted { refusal, limit }: NotAdmitted) -> Ended {
        if let Some(limit) = limit {
            self.telemetry.metrics.turned_away(limit);
        }
        Ended::Refused(refusal)
    }

    /// Who has this key, if that may come in now.
    pub(crate) fn recognise(&self, fingerprint: &Fingerprint) -> Option<Who> {
        if *fingerprint == self.mesh.identity().fingerprint() {
            return Some(Who::Operator);
        }
        let peer = self.mesh.role_of(*fingerprint).map(Who::Peer);
        peer.or_else(|| self.access.borrow().recognise(fingerprint).map(Who::Client))
    }
}

/// A place among the requests that wait or run.
pub(crate) struct Place(watch::Sender<usize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

/// Has the kernel write no memory to the disk when this process crashes: it holds shares and keys. On other systems than Unix there is
/// nothing to switch off.
///
/// # Errors
/// Where the system does not let a process lower its own limit.
pub fn without_core_dumps() -> Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).context("cannot switch off core dumps")?;
    }
    Ok(())
}

/// A running party.
pub struct Server {
    pub(crate) shared: Arc<Shared>,
    exporter: Option<Exporter>,
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
        let cluster = config.cluster()?;
        let catalog = Catalog::open(Store::open(&config.data, &config.store_key()?)?, &config.limits)?;
        let telemetry = Telemetry::start(config.role(), &config.audit)?;
        let socket = UdpSocket::bind(config.listen);
        let socket = socket.with_context(|| format!("cannot listen on {} (listen)", config.listen))?;
        keep_freed_memory();
        without_core_dumps()?;
        let io = Io::start()?;
        let (mesh, inbox) = Mesh::start(&io, socket, Arc::new(identity), config.role(), &cluster)?;

        let limits = config.limits.clone();
        let shared = Arc::new(Shared {
            admission: Admission::new(mesh.clone(), &limits),
            lines: Lines::new(mesh.clone(), limits.wait()),
            requests: watch::Sender::new(0),
            telemetry,
            running: AtomicU32::new(0),
            agreement: Agreement::new(mesh.clone(), limits.wait()),
            access: watch::Sender::new(Access::new(config)),
            stamps: Stamps::default(),
            quiet: Quiet::default(),
            config: Mutex::new(config.clone()),
            minimum: config.security.minimum,
            mesh,
            catalog: Arc::new(catalog),
            limits,
        });
        io.handle().spawn(accept(shared.clone(), inbox));
        io.handle().spawn(watch_certificate(shared.mesh.clone()));
        io.handle().spawn(tell_what_was_left_out(shared.clone()));
        if config.role() == Role::P0 {
            io.handle().spawn(Lines::keep_measuring(shared.clone()));
            io.handle().spawn(Agreement::keep(shared.clone()));
        }
        let exporter = |listen| Exporter::start(listen, shared.clone(), io.handle().clone());
        let exporter = config.telemetry.listen.map(exporter).transpose()?;
        let address = shared.mesh.local_address()?;
        let (models, security) = (shared.catalog.len(), shared.minimum);
        info!(party = %config.role(), %address, models, minimum_security = %security, "serving");
        if config.open_to_any_client {
            warn!("open_to_any_client is set: whoever reaches {address} may ask");
        }
        Ok(Self { shared, exporter, io })
    }

    /// Where this party serves.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.shared.mesh.local_address()?)
    }

    /// Refuses new requests at once, waits up to `limits.drain_s` until those taken on have ended, and closes.
    pub fn stop(self) {
        self.io.handle().block_on(drain(&self.shared));
        self.close();
    }

    fn close(self) {
        let Self { shared, exporter, io } = self;
        let cut_off = shared.open_requests();
        if cut_off > 0 {
            warn!(cut_off, "stopping although requests have not ended");
        }
        io.handle().block_on(shared.mesh.close("the party is stopping"));
        drop(exporter);
        info!("stopped");
    }
}

/// Serves until the process is told to stop (SIGTERM, Ctrl-C); SIGHUP has it read its files again.
///
/// # Errors
/// As [`Server::start`].
pub fn serve(config: &Config) -> Result<()> {
    let server = Server::start(config)?;
    let handle = server.io.handle().clone();
    handle.block_on(told_to_stop(&server)).context("cannot wait for signals")?;
    handle.block_on(async {
        tokio::select! {
            () = drain(&server.shared) => {}
            _ = told_to_stop(&server) => warn!("told to stop again"),
        }
    });
    server.close();
    Ok(())
}

/// Takes on nothing more, and waits until what was taken on has ended, in its time.
async fn drain(shared: &Shared) {
    /// Time between two lines of the log that say what is awaited.
    const REMINDER: Duration = Duration::from_secs(10);
    shared.admission.stop();
    let limit = shared.limits.drain();
    let until = Instant::now() + limit;
    loop {
        let (requests, sessions) = (shared.open_requests(), shared.running.load(Ordering::Relaxed));
        if requests == 0 {
            return;
        }
        info!(requests, sessions, at_most_s = limit.as_secs(), "stopping; waiting for the requests that were taken on");
        let mut open = shared.requests.subscribe();
        let none = timeout_at(until.min(Instant::now() + REMINDER), open.wait_for(|n| *n == 0)).await;
        if none.is_err() && Instant::now() >= until {
            return;
        }
    }
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
            _ = reload.recv() => server.reload_files(),
        }
    }
}

#[cfg(not(unix))]
async fn told_to_stop(_server: &Server) -> std::io::Result<()> {
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
        Some((PeerRequest::Propose { propose, commitment }, send, recv)) => {
            shared.admission.serve_proposal(propose, commitment, send, recv).await;
        }
        Some((PeerRequest::Catalog(list), send, _)) => shared.agreement.hear(shared, list, send).await,
        Some((PeerRequest::InService, send, _)) => shared.agreement.say(shared, send).await,
        Some((PeerRequest::Measure { session }, ..)) => shared.lines.take_part(session).await,
        None => {}
    }
}
