//! An HTTP gateway to three servers, for devices that cannot share secrets themselves.
//!
//! The gateway sees files and answers, as the command line does, so its operator and its callers must trust it. The
//! three servers see shares. One thread serves the network, others decode files; everything that comes in has a limit
//! and a deadline.

mod guard;
mod handle;
mod metrics;
mod multipart;
mod reconnecting;
mod reply;
mod routes;
mod websocket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mpc_client::{Client, Error, Result};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use guard::Guard;
use handle::Gateway;
use metrics::Metrics;
use reconnecting::Reconnecting;

pub use websocket::Url;

/// Maximum number of connections, each with one request; further ones wait in the kernel.
const CONNECTIONS: u32 = 256;

/// Time limit for the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// Time limit for the rest of a request.
const BODY: Duration = Duration::from_secs(60);

/// When the gateway stops, time limit for open requests, and for answers still to be published; also for an answer to
/// leave.
const GRACE: Duration = Duration::from_secs(5);

/// The options of the gateway.
#[derive(Debug)]
pub struct Options {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// A file with the tokens that callers must show, one a line. An address that others can reach needs one.
    pub token_file: Option<PathBuf>,
    /// Largest request in MiB.
    pub max_mib: u64,
    /// Maximum number of requests being worked on; further callers are told to come back (503).
    pub concurrent: u16,
    /// The `analyzer_id` in answers about two recordings.
    pub analyzer_id: String,
    /// The WebSocket that also gets the answers about two recordings.
    pub publish: Option<Url>,
    /// Time limit of a question.
    pub timeout: Duration,
    /// Tells the operator, on one line, about a problem that the gateway survives.
    pub warn: fn(&str),
}

/// The gateway's way to the three servers.
pub trait Servers: 'static {
    /// Connects to the servers, at the start and after a loss.
    ///
    /// # Errors
    /// Those of [`Client::connect`], or of starting the servers.
    fn connect(&mut self) -> impl Future<Output = Result<Client>>;

    /// Whether the gateway goes on after this failure at the start, because connecting again may succeed.
    fn may_pass(&self, error: &Error) -> bool;
}

/// Serves until `stop` is done. `listening` is told the address once the first attempt to connect is over.
///
/// # Errors
/// [`Error::Usage`] where the options do not go together, a file or the address cannot be used; a failure to connect at
/// the start that will not [pass](Servers::may_pass).
pub async fn run(
    mut options: Options,
    servers: impl Servers,
    listening: impl FnOnce(SocketAddr) -> Result<()>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let guard = Guard::new(options.listen, options.token_file.as_deref())?;
    let unusable = |e| Error::Usage(format!("cannot listen on {}: {e}", options.listen));
    let listener = TcpListener::bind(options.listen).await.map_err(unusable)?;
    let (address, warn) = (listener.local_addr().map_err(unusable)?, options.warn);
    let metrics = Metrics::new();
    let (publisher, delivery) = options.publish.take().map(|url| websocket::to(url, &metrics, warn)).unzip();
    let gateway =
        Rc::new(Gateway::new(Reconnecting::new(servers, options.timeout), guard, metrics, publisher, options));
    tokio::pin!(stop);
    let started = tokio::select! {
        started = gateway.servers.start() => started?,
        () = &mut stop => return Ok(()),
    };
    if let Some(problem) = started {
        warn(&format!("{problem}; the next request tries again"));
    }
    listening(address)?;
    let delivery = delivery.map(|delivery| tokio::spawn(delivery.run()));
    let connections = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let serve = async {
        tokio::select! {
            () = accept(listener, &gateway, &connections, warn) => {}
            () = &mut stop => {}
        }
        // Requests still open by then get no answer.
        drop(timeout(GRACE, connections.acquire_many(CONNECTIONS)).await);
    };
    LocalSet::new().run_until(serve).await;
    gateway.servers.close().await;
    // The publisher is dropped with the gateway, so that the delivery ends.
    drop(gateway);
    if let Some(delivery) = delivery
        && timeout(GRACE, delivery).await.is_err()
    {
        warn("answers were still to be published; they are lost");
    }
    Ok(())
}

async fn accept(
    listener: TcpListener,
    gateway: &Rc<Gateway<impl Servers>>,
    connections: &Arc<Semaphore>,
    warn: fn(&str),
) {
    while let Ok(place) = connections.clone().acquire_owned().await {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                // Most likely out of file descriptors: other connections must close first.
                warn(&format!("cannot accept a connection: {error}"));
                sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let gateway = gateway.clone();
        spawn_local(async move {
            let service = service_fn(|request| gateway.serve(request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(connection), service);
            // A caller that is too slow or disconnects gets no answer.
            drop(timeout(HEAD + BODY + gateway.timeout() + GRACE, served).await);
            drop(place);
        });
    }
}
