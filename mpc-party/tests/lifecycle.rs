//! Models come, replace each other and go, at all three parties or at none, whatever dies in between.

#[cfg(test)]
mod common;

use common::{Client, LABELS, Parties, SAMPLES, TestModel, everywhere, run};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::wire::message::{Action, Change, Code, Reply, Request, Stamp};
use mpc_core::wire::share::encode_dealt;

fn activate(model: &TestModel) -> Action {
    Action::Activate { publication: model.publication, forget_gallery: false }
}

fn retire() -> Action {
    Action::Retire { model: "pixels".into(), forget_gallery: false }
}

/// Waits until all three have made so many changes.
async fn agreed(client: &Client, revision: u64) {
    client.until(|status| status.revision == revision).await;
}

#[test]
fn a_new_version_replaces_the_old_one_which_drains() {
    let parties = Parties::start("");
    let (first, second) = (TestModel::first_three_pixels(1), TestModel::first_three_pixels(2));
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        assert_eq!(publisher.publish(&first).await, 1);
        for role in Role::ALL {
            assert_eq!(publisher.upload(role, &second).await, Reply::Stored);
        }
        let client = parties.connect(&parties.client).await;
        assert_eq!(client.in_service().await, everywhere(&[first.publication]), "uploaded is not in service");

        assert_eq!(publisher.publish(&second).await, 2, "what is stored is not sent again");
        assert_eq!(client.in_service().await, everywhere(&[second.publication]));
        for model in [&first, &second] {
            assert_eq!(client.classify(model, &SAMPLES).await, Ok(LABELS.to_vec()), "the old one drains");
        }
        assert_eq!(publisher.publish(&second).await, 2, "again changes nothing");

        assert_eq!(publisher.change(retire()).await, [(); 3].map(|()| Reply::Changed { revision: 3 }));
        assert_eq!(client.in_service().await, everywhere(&[]));
        for reply in publisher.change(retire()).await {
            assert!(matches!(&reply, Reply::Refused(refusal) if refusal.code == Code::NotFound), "{reply:?}");
        }
        assert_eq!(publisher.publish(&first).await, 4, "it may come back");
        assert_eq!(client.classify(&first, &SAMPLES).await, Ok(LABELS.to_vec()));
    });
}

#[test]
fn what_is_wrong_with_a_model_is_said_before_its_share_is_sent() {
    let parties = Parties::start("models = 1");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        let mut bad = model.upload(P0);
        bad.graph.pop();
        publisher.ask(P0, &Request::Upload(bad)).await.refused(Code::Invalid).await;
        let mut bad = model.clone();
        bad.graph.nodes[3].facts.shape = vec![1 << 40];
        let reason = publisher.ask(P0, &Request::Upload(bad.upload(P0))).await.refused(Code::Invalid).await;
        assert!(reason.contains("product"), "{reason}");
        // A bound of the input that a client could exceed, and another scale than the client encodes with.
        for (range, expected) in
            [("range = 8.0", "publish the model again"), ("range = 2.0\nfrac_bits = 20", "fractional bits")]
        {
            let mut bad = model.clone();
            bad.manifest = bad.manifest.replace("range = 2.0", range);
            let reason = publisher.ask(P0, &Request::Upload(bad.upload(P0))).await.refused(Code::Invalid).await;
            assert!(reason.contains(expected), "{reason}");
        }
        let mut bad = model.upload(P0);
        bad.length = u64::MAX;
        let reason = publisher.ask(P0, &Request::Upload(bad)).await.refused(Code::Invalid).await;
        assert!(reason.contains("at most"), "{reason}");
        let mut bad = model.clone();
        bad.dealt[1] = TestModel::first_three_pixels(1).dealt[1].clone();
        let mut other = publisher.ask(P1, &Request::Upload(model.upload(P1))).await;
        assert_eq!(other.reply().await, Reply::Ready { have: 0 });
        other.send.write_all(&encode_dealt(&bad.dealt[1])).await.unwrap();
        assert!(other.failure().await.contains("not the one that was announced"));

        publisher.publish(&model).await;
        let named = |name: &str, publication| {
            let manifest = model.manifest.replace("\"pixels\"", name);
            TestModel { publication: [publication; 32], manifest, ..model.clone() }
        };
        let second = named("\"second\"", 2);
        for role in Role::ALL {
            assert_eq!(publisher.upload(role, &second).await, Reply::Stored);
        }
        for reply in publisher.change(activate(&second)).await {
            assert!(matches!(&reply, Reply::Refused(refusal) if refusal.code == Code::Full), "{reply:?}");
        }
        let reply = publisher.upload(P0, &named("\"third\"", 3)).await;
        assert!(matches!(&reply, Reply::Refused(refusal) if refusal.code == Code::Full), "{reply:?}");
    });
}

#[test]
fn an_upload_survives_a_crash_and_goes_on() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        for role in [P0, P1] {
            assert_eq!(publisher.upload(role, &model).await, Reply::Stored);
        }
        let mut half = publisher.ask(P2, &Request::Upload(model.upload(P2))).await;
        assert_eq!(half.reply().await, Reply::Ready { have: 0 });
        half.send.write_all(&encode_dealt(&model.dealt[2])[..20]).await.unwrap();
        for reply in publisher.change(activate(&model)).await {
            assert!(!matches!(reply, Reply::Changed { .. }), "P2 has no share yet: {reply:?}");
        }
        Role::ALL.into_iter().for_each(|role| parties.kill(role));
        Role::ALL.into_iter().for_each(|role| parties.restart(role));

        let publisher = parties.connect(&parties.publisher).await;
        let mut whole = publisher.ask(P0, &Request::Upload(model.upload(P0))).await;
        assert_eq!(whole.reply().await, Reply::Ready { have: model.upload(P0).length }, "nothing left to send");
        assert_eq!(whole.reply().await, Reply::Stored);
        assert_eq!(publisher.publish(&model).await, 1);
        let client = parties.connect(&parties.client).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
    });
}

#[test]
fn a_store_that_is_set_back_or_lost_is_noticed_and_publishing_again_repairs_it() {
    let mut parties = Parties::start("");
    let (first, second) = (TestModel::first_three_pixels(1), TestModel::first_three_pixels(2));
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        publisher.publish(&first).await;
        for victim in [P1, P0] {
            let backup = parties.folder(victim).join("backup");
            parties.store(victim, &["backup", "--to"], &backup);
            let (now, revision) = if victim == P1 { (&second, 2) } else { (&first, 3) };
            assert_eq!(parties.connect(&parties.publisher).await.publish(now).await, revision);

            parties.kill(victim);
            parties.store(victim, &["restore", "--from"], &backup);
            parties.restart(victim);
            // All three agree on what should be in service, and the one that was set back says what it lacks.
            let lacks = |problems: &[String]| problems.iter().any(|problem| problem.contains("pixels"));
            parties.until_operator(victim, |status| status.revision == revision && lacks(&status.problems)).await;
            let client = parties.connect(&parties.client).await;
            let mut lists = everywhere(&[now.publication]);
            lists[victim.index()].clear();
            assert_eq!(client.in_service().await, lists);
            let refused = client.classify(now, &SAMPLES).await;
            assert!(matches!(&refused, Err(Reply::Refused(_))), "{refused:?}");

            let publisher = parties.connect(&parties.publisher).await;
            assert_eq!(publisher.publish(now).await, revision, "repaired, not replaced");
            let client = parties.connect(&parties.client).await;
            assert_eq!(client.classify(now, &SAMPLES).await, Ok(LABELS.to_vec()));
        }
    });
}

#[test]
fn a_party_that_was_away_during_a_change_hears_of_it() {
    let mut parties = Parties::start("wait_s = 2");
    let (first, second) = (TestModel::first_three_pixels(1), TestModel::first_three_pixels(2));
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        publisher.publish(&first).await;
        for role in Role::ALL {
            assert_eq!(publisher.upload(role, &second).await, Reply::Stored);
        }
        parties.kill(P2);
        let request = Request::Change(Change { stamp: Stamp::fresh().unwrap(), action: activate(&second) });
        let reason = publisher.ask(P0, &request).await.refused(Code::Unavailable).await;
        assert!(reason.contains("P2"), "{reason}");
        parties.restart(P2);
        let publisher = parties.connect(&parties.publisher).await;
        agreed(&publisher, 1).await;
        assert_eq!(publisher.in_service().await, everywhere(&[first.publication]));
        assert_eq!(publisher.publish(&second).await, 2);
    });
}
