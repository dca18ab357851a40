//! One file per command.

pub(crate) mod check;
pub(crate) mod classify;
pub(crate) mod face;
pub(crate) mod filter;
pub(crate) mod gateway;
pub(crate) mod init;
pub(crate) mod inputs;
pub(crate) mod model;
pub(crate) mod plan;
pub(crate) mod preprocess;

use std::path::Path;
use std::time::Duration;

use mpc_client::{Client, Dealing, Error, Identity, Result};
use mpc_client_local::{self as local, LocalCluster};
use mpc_core::model::Model;

use crate::cli::Global;
use crate::cluster;
use crate::output::{Progress, print_warning};

/// Connects to the cluster that the options name, or starts one for this question that serves `models`; does the
/// `work`; closes the connections. Ctrl-C and the time limit end the work and tell the parties.
pub(crate) async fn ask<T>(
    global: &Global,
    models: Needed<'_>,
    work: impl AsyncFnOnce(&Client, &Progress) -> Result<T>,
) -> Result<T> {
    ask_within(global.timeout, global, models, work).await
}

/// As [`ask`], with a time limit of its own.
pub(crate) async fn ask_within<T>(
    timeout: Duration,
    global: &Global,
    models: Needed<'_>,
    work: impl AsyncFnOnce(&Client, &Progress) -> Result<T>,
) -> Result<T> {
    let progress = Progress::start();
    let stop = stopped(timeout);
    tokio::pin!(stop);
    // The three local parties, dropped last, after the client has closed its connections.
    let mut parties = None;
    let client = tokio::select! {
        client = connect(global, models, &mut parties, &progress) => client?,
        error = &mut stop => return Err(error),
    };
    let result = tokio::select! {
        result = work(&client, &progress) => result,
        error = &mut stop => Err(error),
    };
    client.close().await;
    result
}

/// The models that a local cluster must have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needed<'a> {
    /// None.
    None,
    /// The one of this name.
    One(&'a str),
    /// Every one in the folder of models.
    All,
}

/// A client of the cluster that the options name, or of one started here and left in `parties`.
pub(crate) async fn connect(
    global: &Global,
    models: Needed<'_>,
    parties: &mut Option<LocalCluster>,
    progress: &Progress,
) -> Result<Client> {
    if !global.local {
        progress.say("connecting");
        let (path, cluster) = cluster::find(global.cluster.as_deref())?;
        let dir = cluster::identity_dir(global.identity.as_deref(), Some(&path))?;
        return Client::connect(&cluster, &identity(&dir)?).await;
    }
    if global.cluster.is_some() {
        return Err(Error::Usage("--local and --cluster exclude each other: leave one out".into()));
    }
    progress.say("starting three servers on this machine");
    let folders = local_models(global, models)?;
    let program = std::env::current_exe().map_err(|e| Error::System(format!("this program's own file: {e}")))?;
    let parties = parties.insert(match &global.state {
        Some(folder) => LocalCluster::kept(&program, folder)?,
        None => LocalCluster::start(&program)?,
    });
    let kept = parties.publications().map(|folder| (folder, parties.cluster().clone()));
    let load = blocking(move || folders.iter().map(|folder| Ok(Model::load(folder)?)).collect::<Result<Vec<_>>>());
    let (client, models) = tokio::try_join!(parties.connect(), load)?;
    progress.say("sharing the model's weights");
    for model in &models {
        let dealing = match &kept {
            Some((folder, cluster)) => client.dealing(folder, model, cluster, false).await?,
            None => Dealing::fresh()?,
        };
        client.publish(model, &dealing, false).await?;
    }
    Ok(client)
}

fn local_models(global: &Global, models: Needed<'_>) -> Result<Vec<std::path::PathBuf>> {
    if let Needed::None = models {
        return Ok(Vec::new());
    }
    let dir = local::models_dir(global.models.as_deref())?;
    let there = local::model_names(&dir)?;
    match models {
        Needed::One(name) if there.iter().any(|other| other == name) => Ok(vec![dir.join(name)]),
        Needed::One(name) => {
            let list = if there.is_empty() { "none".into() } else { there.join(", ") };
            Err(Error::Usage(format!("no model {name:?} in {}; there is {list}", dir.display())))
        }
        _ => Ok(there.iter().map(|name| dir.join(name)).collect()),
    }
}

/// This client's identity, or an error that says how to get one.
fn identity(dir: &Path) -> Result<Identity> {
    if !dir.exists() {
        return Err(Error::Usage(format!(
            "this client has no key in {} yet: run `mpc-client init` and send the fingerprint to the three operators",
            dir.display()
        )));
    }
    let identity = Identity::load(dir)?;
    if let Some(warning) = identity.validity().warning("mpc-client init --renew") {
        print_warning(&warning);
    }
    Ok(identity)
}

/// Runs work that would hold up the network on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))?
}

/// Ends when the program is stopped or the time is up.
async fn stopped(timeout: Duration) -> Error {
    tokio::select! {
        () = interrupted() => Error::Aborted("interrupted; the servers were told to end the session".into()),
        () = tokio::time::sleep(timeout) => Error::Timeout(timeout),
    }
}

/// Ends when somebody presses Ctrl-C or ends the process.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
