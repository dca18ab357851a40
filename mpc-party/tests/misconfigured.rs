//! Each misconfiguration is reported where operators look, with who must do what.

#[cfg(test)]
mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{LABELS, Parties, SAMPLES, TestModel, program, run};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::network::identity::Identity;
use mpc_core::wire::cluster::Cluster;

/// Repeats a command about a party until it prints a text; returns its output.
async fn until_said(parties: &Parties, role: Role, command: &str, text: &str) -> String {
    loop {
        let (said, _) = parties.command(role, &[command]).await;
        if said.contains(text) {
            return said;
        }
    }
}

/// Gives a party a cluster file of its own.
fn own_cluster(parties: &Parties, role: Role, change: impl FnOnce(&mut Cluster)) {
    let mut cluster = Cluster::load(&parties.file("cluster.toml")).expect("cluster.toml is read");
    change(&mut cluster);
    std::fs::write(parties.folder(role).join("own.toml"), toml::to_string(&cluster).expect("a cluster is TOML"))
        .expect("own.toml is written");
    let text = std::fs::read_to_string(parties.config(role)).expect("party.toml is read");
    std::fs::write(parties.config(role), text.replace("../cluster.toml", "own.toml")).expect("party.toml is written");
}

#[test]
fn another_order_in_one_cluster_file_is_said_at_both_sides_with_whose_it_is() {
    for (wrong, swapped) in [(P2, [0, 1]), (P1, [0, 2])] {
        let mut parties = Parties::start("");
        let model = TestModel::first_three_pixels(1);
        run(async {
            parties.connect(&parties.publisher).await.publish(&model).await;
            let good = std::fs::read_to_string(parties.config(wrong)).unwrap();
            own_cluster(&parties, wrong, |cluster| cluster.parties.swap(swapped[0], swapped[1]));
            parties.kill(wrong);
            let log = parties.restart_with_log(wrong);
            const ORDER: &str = "the order in cluster.toml is not the same at both";
            let whose = format!("so correct the one at {wrong}");
            // The two that agree name the third.
            let right = Role::ALL.into_iter().find(|role| *role != wrong).unwrap();
            let said = until_said(&parties, right, "check", &whose).await;
            assert!(said.contains(ORDER), "{said}");
            assert!(until_said(&parties, right, "health", ORDER).await.contains("not connected"));
            // So does the log of the one that is wrong, of its own file.
            parties.until_logged(&log, ORDER).await;
            until_said(&parties, wrong, "check", ORDER).await;

            std::fs::write(parties.config(wrong), good).unwrap();
            parties.kill(wrong);
            parties.restart(wrong);
            let client = parties.connect(&parties.client).await;
            assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
        });
    }
}

#[test]
fn a_wrong_key_at_a_peer_s_address_is_logged_by_whoever_calls_it_and_in_words_by_whoever_has_it() {
    let mut parties = Parties::start("");
    run(async {
        parties.connect(&parties.client).await;
        let listed = Identity::load(&parties.folder(P1)).unwrap().fingerprint().to_string();
        parties.kill(P0);
        parties.kill(P1);
        // Somebody else answers at P1's address, and believes to be P1.
        let other = Identity::generate("somebody else").unwrap();
        other.save(&parties.folder(P1)).unwrap();
        let shown = other.fingerprint().to_string();
        own_cluster(&parties, P1, |cluster| cluster.parties[1].fingerprints = vec![shown.clone()]);
        let [caller, called] = [P0, P1].map(|role| parties.restart_with_log(role));
        let line = parties.until_logged(&caller, "it answers with the key").await;
        assert!(line.contains("\"peer\":\"P1\"") && line.contains(&shown) && line.contains(&listed), "{line}");
        assert!(line.contains("\"level\":\"WARN\""), "{line}");
        let line = parties.until_logged(&called, "does not accept this side's key").await;
        assert!(!line.contains("WrongKey") && !line.contains("OtherError"), "{line}");
        let said = until_said(&parties, P0, "check", "it answers with the key").await;
        assert!(said.contains(&shown) && said.contains(&listed), "{said}");
    });
}

#[test]
#[cfg(unix)]
fn a_suspended_party_is_not_called_a_firewall() {
    let mut parties = Parties::start("");
    run(async {
        parties.connect(&parties.client).await;
        parties.signal(P2, "STOP");
        let said = until_said(&parties, P1, "check", "nobody answers on that UDP port").await;
        let line = said.lines().find(|line| line.contains("nobody answers")).unwrap();
        let places = ["hangs or is suspended", "overloaded", "firewall"].map(|cause| line.find(cause).expect(cause));
        assert!(line.contains("P2 (P2)") && places.is_sorted(), "in the order of likelihood: {line}");
        let (said, code) = parties.command(P2, &["health"]).await;
        assert!(code == 1 && said.contains("hangs or is suspended"), "{said}");
        parties.signal(P2, "CONT");
        parties.connect(&parties.client).await;
        assert!(parties.terminate(P2), "it goes on as if nothing had been");
    });
}

fn init(dir: &Path, arguments: &[&str]) -> (Output, String) {
    let output =
        Command::new(program()).args(["init", "--dir"]).arg(dir).args(arguments).output().expect("the program starts");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(said).expect("text"))
}

#[test]
fn a_renewal_makes_no_store_key_and_a_store_without_its_key_gets_no_other_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("party");
    assert!(init(&dir, &["--days", "20"]).0.status.success());
    let (key, away) = (dir.join("store.key"), folder.path().join("store.key"));
    // The service manager has the key of the store, which the party has made.
    std::fs::create_dir(dir.join("data")).unwrap();
    std::fs::write(dir.join("data/shares.redb"), b"sealed").unwrap();
    std::fs::rename(&key, &away).unwrap();

    let shown = |dir: &Path| Identity::load(dir).unwrap().validity();
    let before = shown(&dir);
    let (output, said) = init(&dir, &["--renew", "--if-due"]);
    assert!(output.status.success() && !key.exists(), "{said}");
    assert!(shown(&dir).until > before.until, "it ended within 30 days");
    let (output, said) = init(&dir, &["--renew", "--if-due"]);
    assert!(output.status.success() && said.contains("Nothing is due") && !key.exists(), "{said}");
    let (output, said) = init(&dir, &["--renew"]);
    assert!(output.status.success() && !key.exists(), "{said}");

    let (output, said) = init(&dir, &[]);
    assert!(output.status.code() == Some(2) && said.contains("shares.redb") && !key.exists(), "{said}");
    std::fs::rename(&away, &key).unwrap();
    assert!(init(&dir, &[]).0.status.success(), "with its key it is as before");

    // A store that came back without any key: nothing is made beside it.
    let bare = folder.path().join("bare");
    std::fs::create_dir_all(bare.join("data")).unwrap();
    std::fs::write(bare.join("data/shares.redb"), b"sealed").unwrap();
    let (output, said) = init(&bare, &[]);
    assert!(output.status.code() == Some(2) && !bare.join("identity.key").exists(), "{said}");
    let (output, said) = init(&folder.path().join("nothing"), &["--renew"]);
    assert!(output.status.code() == Some(2) && said.contains("no certificate to renew"), "{said}");
}
