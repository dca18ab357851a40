//! `model publish`, `list`, `show` and `retire`.

use std::path::PathBuf;
use std::time::Instant;

use data_encoding::HEXLOWER;
use mpc_client::answer::{ModelEntry, ModelList};
use mpc_client::{Dealing, Error, Model, Models, Result};
use serde::Serialize;

use super::{Needed, ask, blocking};
use crate::cli::Global;
use crate::cluster;
use crate::output::{print_json, print_line, print_warning};

#[derive(Serialize)]
struct Published {
    command: &'static str,
    model: String,
    version: String,
    publication: String,
    revision: u64,
    weights: usize,
    bytes_sent: u64,
    elapsed_ms: u64,
}

/// Imports, compiles and publishes the model in `folder`.
pub(crate) async fn publish(global: &Global, folder: PathBuf, anew: bool, forget_gallery: bool) -> Result<()> {
    let start = Instant::now();
    let kept = kept(global)?;
    let model = blocking(move || Ok(mpc_core::model::Model::load(&folder)?)).await?;
    let published = ask(global, Needed::None, async |client, progress| {
        progress.say("sharing the weights");
        let dealing = match &kept {
            Some((folder, cluster)) => client.dealing(folder, &model, cluster, anew).await?,
            None => Dealing::fresh()?,
        };
        client.publish(&model, &dealing, forget_gallery).await
    })
    .await?;
    let weights = model.weights.iter().map(|weight| weight.len()).sum();
    let (name, version) = (model.manifest.name, model.manifest.version);
    if global.json {
        return print_json(&Published {
            command: "model publish",
            model: name,
            version,
            publication: HEXLOWER.encode(&published.publication),
            revision: published.revision,
            weights,
            bytes_sent: published.bytes_sent,
            elapsed_ms: start.elapsed().as_millis() as u64,
        });
    }
    let how = match published.bytes_sent {
        0 => "all three servers had its shares already".into(),
        bytes => format!("{weights} weights shared to the three servers, {} sent", indicatif::HumanBytes(bytes)),
    };
    print_line(&format!("{name} {version} is in service: {how}"))
}

/// The folder that keeps dealings to resume publications, and the cluster they are for; `None` for throw-away servers.
fn kept(global: &Global) -> Result<Option<(PathBuf, mpc_client::Cluster)>> {
    if global.local {
        return Ok(None);
    }
    let (path, cluster) = cluster::find(global.cluster.as_deref())?;
    let dir = cluster::identity_dir(global.identity.as_deref(), Some(&path))?.join("publications");
    Ok(Some((dir, cluster)))
}

/// Lists the models that all three parties serve.
pub(crate) async fn list(global: &Global) -> Result<()> {
    let models = ask(global, Needed::All, async |client, _| client.models().await).await?;
    if global.json {
        return print_json(&ModelList::from(models));
    }
    let Models { served, problems, .. } = models;
    problems.iter().for_each(|problem| print_warning(problem));
    if served.is_empty() {
        return print_line("no models yet: publish one with `mpc-client model publish FOLDER`");
    }
    let width = |what: fn(&Model) -> &str| served.iter().map(|model| what(model).len()).max().unwrap_or(0);
    let (names, versions) = (width(|model| &model.manifest.name), width(|model| &model.manifest.version));
    served.iter().try_for_each(|Model { manifest, .. }| {
        let (name, version, labels) = (&manifest.name, &manifest.version, manifest.labels.len());
        print_line(&format!("{name:names$}  {version:versions$}  {} ({labels} labels)", manifest.title))
    })
}

/// Prints the public facts about a model.
pub(crate) async fn show(global: &Global, name: &str) -> Result<()> {
    let model = ask(global, Needed::One(name), async |client, _| client.model(name).await).await?;
    let model = ModelEntry::from(model);
    if global.json {
        return print_json(&model);
    }
    let bits = model.reveal_bits.map(|bits| format!(", rounded to {bits} fractional bits")).unwrap_or_default();
    let lines = [
        ("name", model.name.clone()),
        ("version", model.version.clone()),
        ("title", model.title.clone()),
        ("labels", model.labels.join(", ")),
        ("reveals", word(&model.reveal)? + &bits),
        ("security", format!("{} at least", model.security)),
        ("licence", word(&model.licence)?),
        ("input", format!("{:?}", model.input)),
        ("operations", model.operations.to_string()),
        ("weights", model.weights.to_string()),
        ("publication", model.publication.clone()),
        ("since change", model.revision.to_string()),
    ];
    lines.iter().try_for_each(|(what, value)| print_line(&format!("{what:12}  {value}")))
}

/// Takes a model out of service.
pub(crate) async fn retire(global: &Global, name: &str, forget_gallery: bool) -> Result<()> {
    #[derive(Serialize)]
    struct Retired<'a> {
        command: &'static str,
        model: &'a str,
        revision: u64,
    }
    if global.local {
        return Err(Error::Usage("--local starts servers for one command only: there is nothing to retire".into()));
    }
    let revision = ask(global, Needed::None, async |client, _| client.retire(name, forget_gallery).await).await?;
    if global.json {
        return print_json(&Retired { command: "model retire", model: name, revision });
    }
    print_line(&format!("{name} is out of service, and its shares are deleted"))
}

/// An option of a manifest as written there.
fn word(option: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(option).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(value.as_str().unwrap_or_default().to_owned())
}
