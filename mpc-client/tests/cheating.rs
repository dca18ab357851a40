//! What the person who asks is told when a check of active security has failed.

mod program;
mod support;

use std::path::Path;

use mpc_client::local::LocalCluster;
use mpc_core::Role;
use mpc_core::model::Model;
use mpc_core::network::endpoint;
use mpc_core::ring::{Arithmetic, Tensor};
use mpc_core::sharing::share;
use mpc_core::wire::codec;
use mpc_core::wire::message::{Commit, MAX_CONTROL, Publish, Reply, Request, Versioned, publication_id};
use mpc_core::wire::stream;
use program::{client, run};
use support::{brightness_model, picture};

/// Publishes `model`, but deals for every party anew: of no component do both holders hold the same.
async fn publish_inconsistently(parties: &LocalCluster, model: &Model) -> mpc_core::Result<()> {
    let endpoint = endpoint::caller()?;
    let manifest = toml::to_string(&model.manifest).expect("TOML");
    let graph = codec::encode(&model.graph)?;
    let publication = publication_id(&manifest, &graph, &[0; 32]);
    let words: Vec<u64> = model.encode_weights()?.iter().flatten().copied().collect();
    let weights = Tensor::from_shape_vec(&[words.len()][..], words).expect("flat");
    for role in Role::ALL {
        let party = &parties.cluster().parties[role.index()];
        let connection = endpoint::connect(&endpoint, parties.identity(), role, party).await?;
        let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
        let request = Publish { publication, manifest: manifest.clone(), graph: graph.clone() };
        stream::send(&mut send, &Versioned::new(Request::Publish(request))).await.expect("sent");
        stream::receive::<Reply>(&mut recv, MAX_CONTROL).await.expect("ready");
        stream::send_dealt(&mut send, &share::<Arithmetic, u64>(&weights)?[role.index()]).await.expect("sent");
        stream::receive::<Reply>(&mut recv, MAX_CONTROL).await.expect("stored");
        stream::send(&mut send, &Commit { publication }).await.expect("sent");
        let reply = stream::receive::<Reply>(&mut recv, MAX_CONTROL).await.expect("published");
        assert_eq!(reply, Reply::Published);
    }
    Ok(())
}

#[tokio::test]
async fn cheating_exits_with_5_names_the_check_and_nobody() {
    let mut parties = LocalCluster::start(Path::new(env!("CARGO_BIN_EXE_mpc-client"))).unwrap();
    parties.connect().await.unwrap().close().await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("cluster.toml"), toml::to_string(parties.cluster()).unwrap()).unwrap();
    parties.identity().save(&dir.join("client")).unwrap();
    picture(dir, "day.png", 240);
    let model = Model::load(&brightness_model(dir, "face", ["dark", "bright"])).unwrap();
    publish_inconsistently(&parties, &model).await.unwrap();

    let (out, err, code) = run(client(dir).args(["--json", "classify", "--input", "day.png"]));
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("the comparison of the model's shares") && err.contains("operators"), "{err}");
    assert!(!["P0", "P1", "P2"].iter().any(|party| err.contains(party)), "no culprit: {err}");
    let object: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&object["command"], &object["kind"]), (&"classify".into(), &"cheating".into()));
}
