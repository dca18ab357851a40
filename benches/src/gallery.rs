//! Times a match against many enrolled templates, including the embedding network and the search, on three servers with
//! sealed stores.
//!
//! ```text
//! cargo build --release && target/release/gallery models/face-match --persons 10000 --picture
//! models/face/samples/face.png
//! ```
//!
//! The program puts shares of random templates into the three stores while no server runs, as if they had been enrolled
//! one by one; the servers then load them and answer. It times a question from the prepared input to the answer, over
//! an open connection; the modes take turns. The first turn does not count.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mpc_client::preprocess::{Options, prepare};
use mpc_client::{Client, Dealing, Mode};
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use mpc_core::model::Model;
use mpc_core::ring::{Arithmetic, Tensor, fixed};
use mpc_core::session::Id;
use mpc_core::sharing::{Share, share};
use mpc_core::wire::peer::Enrolled;
use mpc_party::store::{KEY_FILE, Store, StoreKey};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Times a match against many enrolled templates.
#[derive(Parser)]
struct Arguments {
    /// Folder of a model that compares pictures
    model: PathBuf,
    /// The picture to ask about
    #[arg(long)]
    picture: PathBuf,
    /// Number of enrolled persons
    #[arg(long, default_value_t = 10_000)]
    persons: usize,
    /// Timed questions in each mode
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

fn main() -> Result<()> {
    let Arguments { model, picture, persons, runs } = Arguments::parse();
    let model = Model::load(&model)?;
    let embedding = model.manifest.embedding.as_ref().context("the model compares nothing")?;
    let program = std::env::current_exe()?.with_file_name("mpc-client");
    let state = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let publication = runtime.block_on(async {
        let mut servers = LocalCluster::kept(&program, state.path())?;
        let client = servers.connect().await?;
        let published = client.publish(&model, &Dealing::fresh()?, false).await?;
        client.close().await;
        anyhow::Ok(published.publication)
    })?;
    enrol(state.path(), publication, embedding.size, persons)?;
    runtime.block_on(async {
        let mut servers = LocalCluster::kept(&program, state.path())?;
        let started = Instant::now();
        let client = servers.connect().await?;
        anstream::println!(
            "three servers with {persons} persons are up after {:.2} s",
            started.elapsed().as_secs_f64()
        );
        let times = ask(&client, &model.manifest.name, &picture, runs).await?;
        client.close().await;
        for (mode, mut times) in [(Mode::Passive, times.0), (Mode::Active, times.1)] {
            times.sort();
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let median = times[times.len() / 2];
            anstream::println!(
                "{mode}: median {:.0} ms, {:.0} to {:.0}",
                ms(median),
                ms(times[0]),
                ms(times[times.len() - 1])
            );
        }
        Ok(())
    })
}

/// Times questions in passive and active mode.
async fn ask(client: &Client, name: &str, picture: &Path, runs: usize) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let model = client.model(name).await?;
    let features = prepare(&model.manifest, picture, Options::default())?.features;
    let input = [model.encode(&features)?];
    let mut times = (Vec::new(), Vec::new());
    for run in 0..=runs {
        for mode in [Mode::Passive, Mode::Active] {
            let started = Instant::now();
            let matches = client.find(&model, &input, mode, Duration::from_secs(600)).await?;
            let time = started.elapsed();
            ensure!(matches.evaluation.is_some(), "nobody is enrolled");
            if run > 0 {
                if mode == Mode::Passive { times.0.push(time) } else { times.1.push(time) }
            }
        }
    }
    Ok(times)
}

/// Puts random templates into the stores of three stopped servers.
fn enrol(state: &Path, publication: Id, size: usize, persons: usize) -> Result<()> {
    let stores = Role::ALL.map(|role| {
        let folder = state.join(role.to_string());
        Ok(Store::open(&folder, &StoreKey::load(&folder.join(KEY_FILE))?)?)
    });
    let stores = stores.into_iter().collect::<Result<Vec<Store>>>()?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut gallery = Vec::new();
    for person in 0..persons {
        let mut template = Id::default();
        template[..8].copy_from_slice(&(person as u64 + 1).to_le_bytes());
        let row: Vec<f64> = (0..size).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5).collect();
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        let words =
            row.iter().map(|x| fixed::encode(x / length, 16).context("a number in range")).collect::<Result<_>>()?;
        let dealt = share::<Arithmetic, u64>(&Tensor::from_shape_vec(&[size][..], words)?)?;
        for (store, dealt) in stores.iter().zip(dealt) {
            let share = Share::new(dealt.own.expand(&[size]), dealt.next.expand(&[size]));
            store.keep_template(&(publication, template), &share, &[])?;
        }
        gallery.push(Enrolled { person: format!("person {person}"), template });
    }
    for store in stores {
        store.set_catalog(&store.catalog()?.with_gallery(&publication, gallery.clone())?, &[], &[])?;
    }
    Ok(())
}
