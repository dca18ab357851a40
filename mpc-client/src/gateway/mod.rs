//! Questions over HTTP, for devices that cannot share secrets themselves.
//!
//! Whoever runs the gateway and whoever asks trust it: it sees files and answers, as the command line does. The three servers see
//! shares. One thread serves the network, a second and further ones decode files; everything that comes in has a limit and a deadline.

mod guard;
mod handle;
mod link;
mod metrics;
mod multipart;
mod reply;
mod routes;
mod websocket;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mpc_client::{Error, Result};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::cli::{GatewayArgs, Global};
use crate::commands::interrupted;
use crate::output::{print_json, print_line, print_warning};
use guard::Guard;
use handle::Gateway;
use link::Link;
use metrics::Metrics;

/// Most connections at a time, each with one request; further ones wait in the kernel.
const CONNECTIONS: u32 = 256;

/// The head of a request is here within this time.
const HEAD: Duration = Duration::from_secs(10);

/// The rest of a request is here within this time.
const BODY: Duration = Duration::from_secs(60);

/// Requests that are being answered may take this long when the gateway is stopped; so may what is still to be published, and an answer to
/// leave.
const GRACE: Duration = Duration::from_secs(5);

/// Listens until somebody stops the program.
///
/// # Errors
/// [`Error::Usage`] where the options do not go together, a file or the address cannot be used; with `--local` also where the three servers
/// do not start. A cluster that cannot be reached is tried again with each request.
pub(crate) async fn run(global: Global, mut args: GatewayArgs) -> Result<()> {
    if global.clear || global.csv {
        return Err(Error::Usage(
            "the gateway asks the servers and answers in JSON: leave --clear and --csv out".into(),
        ));
    }
    let guard = Guard::new(args.listen, args.token_file.as_deref())?;
    let unusable = |e| Error::Usage(format!("cannot listen on {}: {e}", args.listen));
    let listener = TcpListener::bind(args.listen).await.map_err(unusable)?;
    let (json, listen) = (global.json, format!("http://{}", listener.local_addr().map_err(unusable)?));
    let metrics = Metrics::new();
    let (publisher, delivery) = args.publish.take().map(|url| websocket::to(url, &metrics)).unzip();
    let gateway = Rc::new(Gateway::new(Link::new(global), guard, metrics, publisher, args));
    let stop = interrupted();
    tokio::pin!(stop);
    let started = tokio::select! {
        started = gateway.link.start() => started?,
        () = &mut stop => return Ok(()),
    };
    if let Some(problem) = started {
        print_warning(&format!("{problem}; the next request tries again"));
    }
    if json {
        print_json(&serde_json::json!({ "command": "gateway", "listen": listen }))?;
    } else {
        print_line(&format!("listening on {listen}"))?;
    }
    let delivery = delivery.map(|delivery| tokio::spawn(delivery.run()));
    let connections = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let serve = async {
        tokio::select! {
            () = accept(listener, &gateway, &connections) => {}
            () = &mut stop => {}
        }
        // Whoever is not done by then gets no answer.
        drop(timeout(GRACE, connections.acquire_many(CONNECTIONS)).await);
    };
    LocalSet::new().run_until(serve).await;
    gateway.link.close().await;
    // The publisher goes with it, so that the delivery has an end.
    drop(gateway);
    if let Some(delivery) = delivery
        && timeout(GRACE, delivery).await.is_err()
    {
        print_warning("answers were still to be published; they are lost");
    }
    Ok(())
}

async fn accept(listener: TcpListener, gateway: &Rc<Gateway>, connections: &Arc<Semaphore>) {
    while let Ok(place) = connections.clone().acquire_owned().await {
        let connection = match listener.accept().await {
            Ok((connection, _)) => connection,
            Err(error) => {
                // Out of file descriptors, most likely: others must close theirs first.
                print_warning(&format!("cannot accept a connection: {error}"));
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
            // Whoever is too slow or breaks off gets no answer.
            drop(timeout(HEAD + BODY + gateway.timeout() + GRACE, served).await);
            drop(place);
        });
    }
}
