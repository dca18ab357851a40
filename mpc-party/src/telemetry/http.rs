//! `/metrics`, `/healthz` and `/readyz` over HTTP, on a thread of its own: scrapes never hold up the I/O thread.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::Telemetry;
use super::snapshot::Snapshot;
use crate::error::{Error, Result};

/// A connection serves one request and ends within this time.
const DEADLINE: Duration = Duration::from_secs(10);

/// A live I/O thread runs a new task within this time.
const ALIVE: Duration = Duration::from_secs(2);

/// Maximum number of connections at a time; further ones wait in the kernel.
const CONNECTIONS: usize = 32;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The listener's thread, which ends when this is dropped.
pub(crate) struct Exporter {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts to listen. `snapshot` reads the current figures; the party counts as alive while the runtime `io` is.
    ///
    /// # Errors
    /// The address is not available.
    pub(crate) fn start(
        listen: SocketAddr,
        telemetry: Arc<Telemetry>,
        snapshot: impl Fn() -> Snapshot + Send + Sync + 'static,
        io: Handle,
    ) -> Result<Self> {
        let failed = |e: std::io::Error| Error::system(format!("cannot listen on {listen} (telemetry.listen)"))(e);
        let listener = TcpListener::bind(listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _runtime = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let pages =
            Arc::new(Pages { registry: telemetry.metrics.registry(), telemetry, snapshot: Box::new(snapshot), io });
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, pages) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("telemetry".into()).spawn(run).map_err(failed)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported.
            drop(thread.join());
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, pages: Arc<Pages>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                // Most likely out of file descriptors: other connections must close first.
                tracing::warn!(%error, "cannot accept a connection for telemetry");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let pages = pages.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&pages, request));
            let served = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(connection), service);
            // A caller that is too slow or disconnects gets no answer.
            drop(timeout(DEADLINE, served).await);
            drop(place);
        });
    }
}

/// The pages that are served.
struct Pages {
    registry: Registry,
    telemetry: Arc<Telemetry>,
    snapshot: Box<dyn Fn() -> Snapshot + Send + Sync>,
    io: Handle,
}

async fn answer(pages: &Pages, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let response = Response::builder().header(CONTENT_TYPE, PLAIN);
    if request.method() != Method::GET {
        return response.status(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, "GET").body("only GET\n".into());
    }
    match request.uri().path() {
        "/metrics" => {
            pages.telemetry.metrics.read(&(pages.snapshot)());
            let mut body = String::new();
            match text::encode(&mut body, &pages.registry) {
                Ok(()) => Response::builder().header(CONTENT_TYPE, OPEN_METRICS).body(body.into()),
                Err(_) => response.status(StatusCode::INTERNAL_SERVER_ERROR).body("cannot be encoded\n".into()),
            }
        }
        "/healthz" => match timeout(ALIVE, pages.io.spawn(async {})).await {
            Ok(Ok(())) => response.body("alive\n".into()),
            _ => response.status(StatusCode::SERVICE_UNAVAILABLE).body("the I/O thread does not answer\n".into()),
        },
        "/readyz" => {
            let snapshot = (pages.snapshot)();
            match (&snapshot.not_ready()[..], &snapshot.problems[..]) {
                ([], []) => response.body("ready\n".into()),
                // Still ready for a load balancer: one damaged model is no reason to lose all others.
                ([], problems) => response.body(format!("degraded\n{}\n", problems.join("\n")).into()),
                (reasons, _) => {
                    response.status(StatusCode::SERVICE_UNAVAILABLE).body((reasons.join("\n") + "\n").into())
                }
            }
        }
        _ => response.status(StatusCode::NOT_FOUND).body("try /metrics, /healthz or /readyz\n".into()),
    }
}
