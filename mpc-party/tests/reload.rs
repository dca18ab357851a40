//! New settings for running parties: clients, certificates, keys.

#[cfg(test)]
mod common;

use std::path::Path;
use std::process::Command;

use common::{LABELS, Parties, SAMPLES, TestModel, answered, edit, program, run, send_input};
use mpc_core::Role::{self, P1};
use mpc_core::network::identity::Identity;
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::message::{Code, Refusal, Reply, Request};

/// Runs `mpc-party` with a folder.
fn keys(arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(program()).args(arguments).arg("--dir").arg(dir).output().expect("the program");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_client_that_is_removed_finishes_what_runs_and_gets_nothing_new() {
    let parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&parties.client).await;
        let mut session = client.ask_all(&Request::Evaluate(model.classify(3))).await;
        for conversation in &mut session {
            assert!(matches!(conversation.reply().await, Reply::Accepted { .. }));
        }
        let stranger = Identity::generate("stranger").unwrap().fingerprint().to_string();
        for role in Role::ALL {
            edit(&parties.config(role), &parties.client.fingerprint().to_string(), &stranger);
            parties.hang_up(role);
        }
        for role in Role::ALL {
            // Over the connection that it has; and a new one is closed.
            let reason = loop {
                match client.ask(role, &Request::Status).await.reply().await {
                    Reply::Refused(Refusal { code: Code::NotListed, reason }) => break reason,
                    other => assert!(matches!(other, Reply::Status(_)), "{other:?}"),
                }
            };
            assert!(reason.contains(&parties.client.fingerprint().to_string()), "{reason}");
            let closed = parties.call(&parties.client).await.connections[role.index()].closed().await.to_string();
            assert!(closed.contains("does not know the key"), "{closed}");
        }
        send_input(&mut session, &SAMPLES, &Role::ALL).await;
        for conversation in &mut session {
            assert!(matches!(conversation.reply().await, Reply::Output { .. }));
        }
        drop(session);
        let closed = client.connections[0].closed().await.to_string();
        assert!(closed.contains("does not know the key"), "{closed}");
        // Whoever is still listed is served.
        let publisher = parties.connect(&parties.publisher).await;
        assert_eq!(publisher.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
    });
}

#[test]
fn what_cannot_be_used_leaves_the_old_settings() {
    let parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let client = parties.connect(&parties.publisher).await;
        client.publish(&model).await;
        let fingerprint = Identity::load(&parties.file("P1")).unwrap().fingerprint().to_string();
        for (from, to) in [("role = 1", "role = 2"), ("role = 1", "role = "), ("listen", "lisden")] {
            edit(&parties.config(P1), from, to);
            parties.hang_up(P1);
            answered(&client, &model).await;
            edit(&parties.config(P1), to, from);
        }
        let cluster = parties.file("cluster.toml");
        edit(&cluster, &fingerprint, &Identity::generate("other").unwrap().fingerprint().to_string());
        parties.hang_up(P1);
        answered(&client, &model).await;
    });
}

#[test]
fn certificate_and_key_are_replaced_while_questions_are_answered() {
    let parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    let folder = parties.file("P1");
    let (cluster_file, mut cluster) =
        (parties.file("cluster.toml"), Cluster::load(&parties.file("cluster.toml")).unwrap());
    run(async {
        let client = parties.connect(&parties.publisher).await;
        client.publish(&model).await;

        keys(&["init", "--renew", "--days", "40"], &folder);
        parties.hang_up(P1);
        let renewed = Identity::load(&folder).unwrap();
        parties.until_shown(P1, &renewed, &cluster).await;
        answered(&client, &model).await;

        // Everybody takes both keys, the party changes its own, everybody forgets the old one.
        let said = keys(&["rotate"], &folder);
        let next = Identity::load(&folder.join("next")).unwrap();
        assert!(said.contains(&next.fingerprint().to_string()), "{said}");
        let reload = |cluster: &Cluster| {
            std::fs::write(&cluster_file, toml::to_string(cluster).unwrap()).unwrap();
            Role::ALL.into_iter().for_each(|role| parties.hang_up(role));
        };
        cluster.parties[1].fingerprints.push(next.fingerprint().to_string());
        reload(&cluster);
        answered(&client, &model).await;
        keys(&["rotate", "--finish"], &folder);
        parties.hang_up(P1);
        parties.until_shown(P1, &next, &cluster).await;
        answered(&client, &model).await;
        cluster.parties[1].fingerprints.remove(0);
        reload(&cluster);
        answered(&client, &model).await;
        client.until(|status| status.peers == [true; 2]).await;
        assert!(
            client.connections.iter().all(|connection| connection.close_reason().is_none()),
            "it never had to call again"
        );
    });
}
