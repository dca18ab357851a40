//! The client accepts models and persons only where all three parties agree, and names a party that differs.

mod support;

use std::path::Path;
use std::time::Duration;

use mpc_client::{Client, Dealing, Encoded, Error, Mode, Model, preprocess};
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use mpc_core::wire::peer::Catalog;
use mpc_party::Config;
use mpc_party::store::Store;
use support::{comparing_model, picture};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Has a stopped party believe that this list is in service.
fn set_list(parties: &LocalCluster, role: Role, list: &Catalog) {
    store(parties, role).set_catalog(list, &[], &[]).expect("a disk");
}

fn store(parties: &LocalCluster, role: Role) -> Store {
    let config = Config::load(&parties.config(role)).expect("a good configuration");
    Store::open(&config.data, &config.store_key().expect("a key")).expect("its store")
}

async fn person(client: &Client, model: &Model, input: &Encoded) -> mpc_client::Result<Option<String>> {
    let found = client.find(model, std::slice::from_ref(input), Mode::Strict, TIMEOUT).await?;
    Ok(found.persons[0].clone())
}

#[tokio::test]
async fn who_differs_is_named_and_nobody_is_answered() {
    let mut parties = LocalCluster::start(Path::new(env!("CARGO_BIN_EXE_mpc-client"))).unwrap();
    let client = parties.connect().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = mpc_core::model::Model::load(&comparing_model(folder.path(), "faces", "label")).unwrap();
    client.publish(&model, &Dealing::fresh().unwrap(), false).await.unwrap();
    let model = client.model("faces").await.unwrap();
    let inputs = [("guest", 16), ("ann", 240)].map(|(name, shade)| {
        let file = picture(folder.path(), &format!("{name}.png"), shade);
        let prepared = preprocess::prepare(&model.manifest, &file, Default::default()).unwrap();
        (name, model.encode(&prepared.features).unwrap())
    });
    for (name, input) in &inputs {
        client.enrol(&model, name, std::slice::from_ref(input), Mode::Active, TIMEOUT).await.unwrap();
    }
    let guest = &inputs[0].1;
    assert_eq!(person(&client, &model, guest).await, Ok(Some("guest".into())));
    client.close().await;

    for liar in Role::ALL {
        parties.kill(liar);
        let list = store(&parties, liar).catalog().unwrap();
        let mut swapped = Catalog { revision: list.revision + 1, ..list.clone() };
        swapped.entries[0].gallery.iter_mut().for_each(|enrolled| {
            enrolled.person = if enrolled.person == "ann" { "guest".into() } else { "ann".into() };
        });
        let mut renumbered = swapped.clone();
        renumbered.entries[0].revision += 1;
        for lie in [swapped, renumbered] {
            parties.kill(liar);
            set_list(&parties, liar, &lie);
            parties.restart(liar).unwrap();
            let client = parties.connect().await.unwrap();
            let disagreement = |error: Error| match error {
                Error::Disagreement(reason) => reason,
                other => panic!("{liar} lies: {other:?}"),
            };
            let reason = disagreement(person(&client, &model, guest).await.unwrap_err());
            assert!(reason.contains(&liar.to_string()) && reason.contains("who is enrolled"), "{reason}");
            if lie.entries[0].revision != list.entries[0].revision {
                let reason = disagreement(client.models().await.unwrap_err());
                assert!(reason.contains(&liar.to_string()), "{reason}");
            }
            client.close().await;
        }
        parties.kill(liar);
        set_list(&parties, liar, &list);
        parties.restart(liar).unwrap();
    }
    let client = parties.connect().await.unwrap();
    assert_eq!(person(&client, &model, guest).await, Ok(Some("guest".into())));
}
