//! `models`: what a cluster serves.

use mpc_client::{Model, Result};
use serde::Serialize;

use super::{Needed, ask};
use crate::cli::Global;
use crate::output::{print_json, print_line};

#[derive(Serialize)]
struct List {
    command: &'static str,
    models: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    title: String,
    labels: Vec<String>,
    reveal: mpc_core::model::manifest::Reveal,
    security: mpc_client::Mode,
    licence: mpc_core::model::manifest::Licence,
    publication: String,
}

/// Lists the models that all three parties serve.
pub(crate) async fn run(global: &Global) -> Result<()> {
    let models = ask(global, Needed::All, async |client, _| client.models().await).await?;
    if global.json {
        return print_json(&List { command: "models", models: models.into_iter().map(entry).collect() });
    }
    if models.is_empty() {
        return print_line("no models yet: publish one with `mpc-client model publish FOLDER`");
    }
    let width = models.iter().map(|model| model.manifest.name.len()).max().unwrap_or(0);
    models.iter().try_for_each(|model| {
        let manifest = &model.manifest;
        print_line(&format!("{:width$}  {} ({} labels)", manifest.name, manifest.title, manifest.labels.len()))
    })
}

fn entry(Model { publication, manifest, minimum, .. }: Model) -> Entry {
    Entry {
        name: manifest.name,
        title: manifest.title,
        labels: manifest.labels,
        reveal: manifest.reveal,
        security: minimum,
        licence: manifest.licence,
        publication: super::hex(&publication),
    }
}
