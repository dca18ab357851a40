//! The message to the person who asks when a check of active security has failed.

mod program;
mod support;

use std::path::Path;

use mpc_client::Dealing;
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use mpc_core::model::Model;
use mpc_core::session::Id;
use mpc_party::Config;
use mpc_party::store::Store;
use program::{client, run};
use support::{brightness_model, picture};

/// Changes the weights in the store of a party that does not run, as a dishonest one would.
fn falsify(parties: &LocalCluster, role: Role, publication: &Id) {
    let config = Config::load(&parties.config(role)).expect("a good configuration");
    let store = Store::open(&config.data, &config.store_key().expect("a key")).expect("its store");
    let (_, mut share) = store.read(publication).expect("published");
    *share.last_mut().expect("a share") ^= 1;
    store.append(publication, 0, &share).expect("a disk");
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
    let client_of_all = parties.connect().await.unwrap();
    let published = client_of_all.publish(&model, &Dealing::fresh().unwrap(), false).await.unwrap();
    // P1's share ends with a word in full.
    parties.kill(Role::P1);
    falsify(&parties, Role::P1, &published.publication);
    parties.restart(Role::P1).unwrap();
    parties.connect().await.unwrap().close().await;

    let (out, err, code) = run(client(dir).args(["--json", "classify", "--input", "day.png"]));
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("the comparison of the model's shares") && err.contains("operators"), "{err}");
    assert!(!["P0", "P1", "P2"].iter().any(|party| err.contains(party)), "no culprit: {err}");
    let object: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&object["command"], &object["kind"]), (&"classify".into(), &"cheating".into()));
}
