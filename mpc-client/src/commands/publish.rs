//! `model publish`: a model's weights go to the three servers, as shares.

use std::path::Path;
use std::time::Instant;

use mpc_client::Result;
use mpc_core::model::Model;
use serde::Serialize;

use super::{Needed, ask, blocking, hex};
use crate::cli::Global;
use crate::output::{print_json, print_line};

#[derive(Serialize)]
struct Published {
    command: &'static str,
    model: String,
    publication: String,
    weights: usize,
    elapsed_ms: u64,
}

/// Imports, compiles and publishes the model in `folder`.
pub(crate) async fn run(global: &Global, folder: &Path) -> Result<()> {
    let start = Instant::now();
    let folder = folder.to_owned();
    let model = blocking(move || Ok(Model::load(&folder)?)).await?;
    let publication = ask(global, Needed::None, async |client, progress| {
        progress.say("sharing the weights");
        client.publish(&model).await
    })
    .await?;
    let weights = model.weights.iter().map(|weight| weight.len()).sum();
    let (name, elapsed_ms) = (model.manifest.name, start.elapsed().as_millis() as u64);
    if global.json {
        let publication = hex(&publication);
        return print_json(&Published { command: "model publish", model: name, publication, weights, elapsed_ms });
    }
    print_line(&format!("{name} is in service: {weights} weights shared to the three servers"))
}
