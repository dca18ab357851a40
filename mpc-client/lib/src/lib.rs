//! Asks three `mpc-party` servers for an answer about a recording or a picture that none of them sees.
//!
//! ```no_run
//! # #[cfg(feature = "quic")]
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{path::Path, time::Duration};
//! use mpc_client::{Client, Cluster, Identity, Mode, preprocess};
//!
//! let cluster = Cluster::load(Path::new("cluster.toml"))?; let client = Client::connect(&cluster,
//! &Identity::load(Path::new("client"))?).await?; let model = client.model("face").await?; let features =
//! preprocess::prepare(&model.manifest, Path::new("face.png"), preprocess::Options::default())?.features; let inputs =
//! [model.encode(&features)?]; let answer = client.classify(&model, &inputs, Mode::Active,
//! Duration::from_secs(120)).await?; println!("{}", model.label(&answer.predictions[0]));
//! # client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! `Client::connect` speaks QUIC (the feature `quic`, on by default). Without that feature the library opens no
//! socket, starts no thread and reads the clock only to stamp requests, so that it compiles for browsers:
//!
//! ```sh
//! rustup target add wasm32-unknown-unknown
//! cargo build -p mpc-client-lib --no-default-features --target wasm32-unknown-unknown
//! ```
//!
//! A program that embeds it there implements [`Transport`](transport::Transport) to reach the parties, and calls
//! `Client::new`.

pub mod answer;
pub mod clear;
mod connect;
pub mod error;
pub mod filter;
mod gallery;
pub mod input;
mod models;
pub mod picture;
pub mod preprocess;
mod publish;
#[cfg(feature = "quic")]
pub mod quic;
mod session;
pub mod transport;

pub use answer::{Answer, Question};
#[cfg(not(feature = "quic"))]
pub use connect::Client;
pub use error::{Error, Result};
pub use gallery::{Gallery, Lost, Matches};
pub use input::Input;
pub use models::Models;
#[cfg(feature = "quic")]
pub use mpc_core::network::identity::Identity;
pub use mpc_core::session::Mode;
pub use mpc_core::wire::cluster::Cluster;
pub use publish::{Dealing, Published};
pub use session::{Encoded, Evaluation, Model, Prediction};

/// A client of one cluster, connected to its three parties, by default over QUIC.
#[cfg(feature = "quic")]
pub type Client<T = quic::Quic> = connect::Client<T>;
