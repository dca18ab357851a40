//! Persons are enrolled at all three parties or at none, found again after a restart, and seen by their tenant alone; a
//! store that lacks a template reports that instead of finding somebody else.

#[cfg(test)]
mod common;

use common::{Client, Parties, TestModel, entry, identities, run};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::session::Mode;
use mpc_core::wire::message::{Action, Code, Evaluate, Question, Reply, Request};

/// Of three persons: the same directions at other lengths.
const ANN: [f64; 4] = [1.5, 0.25, -1.0, 0.0];
const BOB: [f64; 4] = [-0.5, 0.25, 1.0, 2.0];
const EVE: [f64; 4] = [0.1, -1.5, 0.1, -1.0];

fn twice(sample: [f64; 4]) -> [f64; 4] {
    // The fourth pixel is not part of the embedding.
    [sample[0] / 2.0, sample[1] / 2.0, sample[2] / 2.0, 1.0]
}

/// Enrols a person; returns the number of the change.
async fn enrol(client: &Client, model: &TestModel, person: &str, samples: &[[f64; 4]]) -> u64 {
    let template = client.keep(model, samples).await.expect("a template");
    let replies = client.enrol(model, person, template).await;
    let Reply::Changed { revision } = replies[0] else { panic!("{replies:?}") };
    assert_eq!(replies, [(); 3].map(|()| Reply::Changed { revision }));
    revision
}

async fn find(client: &Client, model: &TestModel, samples: &[[f64; 4]]) -> Result<Vec<u64>, Reply> {
    let gallery = client.gallery(model).await?;
    client.find(model, gallery.digest, samples).await
}

fn refused<T: std::fmt::Debug>(result: Result<T, Reply>, code: Code) {
    let refused = matches!(&result, Err(Reply::Refused(refusal)) if refusal.code == code);
    assert!(refused, "{code:?} is not why: {result:?}");
}

#[test]
fn enrolled_persons_are_found_after_a_restart_and_removed_ones_are_not() {
    let [operator] = identities();
    let rights = "may = [\"classify\", \"publish\", \"enrol\"]";
    let mut parties = Parties::with_clients("templates = 2", &entry(&operator, rights));
    let model = TestModel::comparing(1);
    run(async {
        let client = parties.connect(&operator).await;
        assert_eq!(client.publish(&model).await, 1);
        refused(find(&client, &model, &[ANN]).await, Code::Invalid);

        assert_eq!(enrol(&client, &model, "ann", &[ANN, twice(ANN)]).await, 2);
        assert_eq!(enrol(&client, &model, "bob", &[BOB]).await, 3);
        let seen = client.gallery(&model).await.unwrap();
        assert_eq!(seen.persons, ["ann", "bob"]);
        assert_eq!(find(&client, &model, &[twice(BOB), EVE, twice(ANN)]).await, Ok(vec![1, 2, 0]));

        let template = client.keep(&model, &[EVE]).await.unwrap();
        for (person, code) in [("ann", Code::Taken), ("eve", Code::Full), (" eve", Code::Invalid)] {
            for reply in client.enrol(&model, person, template).await {
                refused(Err::<(), _>(reply), code);
            }
        }

        Role::ALL.into_iter().for_each(|role| parties.kill(role));
        Role::ALL.into_iter().for_each(|role| parties.restart(role));
        let client = parties.connect(&operator).await;
        assert_eq!(find(&client, &model, &[twice(BOB), EVE, twice(ANN)]).await, Ok(vec![1, 2, 0]));

        let remove = |person: &str| Action::Remove { publication: model.publication, person: person.into() };
        assert_eq!(client.change(remove("ann")).await, [(); 3].map(|()| Reply::Changed { revision: 4 }));
        for reply in client.change(remove("ann")).await {
            refused(Err::<(), _>(reply), Code::NotFound);
        }
        refused(client.find(&model, seen.digest, &[ANN]).await, Code::GalleryChanged);
        assert_eq!(find(&client, &model, &[BOB, ANN]).await, Ok(vec![0, 1]));
        // The template that was kept before the restart still waits.
        assert!(matches!(client.enrol(&model, "eve", template).await[0], Reply::Changed { revision: 5 }));
        assert_eq!(find(&client, &model, &[EVE, BOB, ANN]).await, Ok(vec![1, 0, 2]));
    });
}

#[test]
fn only_who_may_enrols_and_tenants_do_not_see_each_other() {
    let [operator, asks, stranger] = identities();
    let clients = [
        entry(&operator, "may = [\"classify\", \"publish\", \"enrol\"]"),
        entry(&asks, ""),
        entry(&stranger, "tenant = \"elsewhere\"\nmay = [\"classify\", \"enrol\"]"),
    ];
    let parties = Parties::with_clients("", &clients.concat());
    let model = TestModel::comparing(1);
    run(async {
        let client = parties.connect(&operator).await;
        client.publish(&model).await;
        enrol(&client, &model, "ann", &[ANN]).await;
        let gallery = client.gallery(&model).await.unwrap();

        let asks = parties.connect(&asks).await;
        assert_eq!(asks.find(&model, gallery.digest, &[ANN]).await, Ok(vec![0]));
        refused(asks.keep(&model, &[BOB]).await, Code::NoRight);
        let template = client.keep(&model, &[BOB]).await.unwrap();
        for reply in asks.enrol(&model, "bob", template).await {
            refused(Err::<(), _>(reply), Code::NoRight);
        }

        let stranger = parties.connect(&stranger).await;
        refused(stranger.gallery(&model).await, Code::NotFound);
        refused(stranger.find(&model, gallery.digest, &[ANN]).await, Code::NotFound);
        refused(stranger.keep(&model, &[ANN]).await, Code::NotFound);
        for reply in stranger.enrol(&model, "bob", template).await {
            refused(Err::<(), _>(reply), Code::NotFound);
        }
        for reply in stranger.change(Action::Remove { publication: model.publication, person: "ann".into() }).await {
            refused(Err::<(), _>(reply), Code::NotFound);
        }
        // What nobody has checked is not kept.
        let request = Evaluate { question: Question::Enrol, security: Mode::Passive, ..model.classify(1) };
        for mut party in client.ask_all(&Request::Evaluate(request)).await {
            let reason = party.refused(Code::WeakSecurity).await;
            assert!(reason.contains("a template that the parties keep demands active security"), "{reason}");
        }
        // What no session has computed cannot be enrolled.
        for reply in client.enrol(&model, "bob", [9; 32]).await {
            refused(Err::<(), _>(reply), Code::NotFound);
        }
        assert_eq!(client.gallery(&model).await.unwrap(), gallery);
    });
}

#[test]
fn who_is_enrolled_is_forgotten_only_where_the_publisher_says_so() {
    let [operator] = identities();
    let parties = Parties::with_clients("", &entry(&operator, "may = [\"classify\", \"publish\", \"enrol\"]"));
    let (model, other) = (TestModel::comparing(1), TestModel::comparing(2));
    run(async {
        let client = parties.connect(&operator).await;
        client.publish(&model).await;
        enrol(&client, &model, "ann", &[ANN]).await;
        // The same publication once more changes nothing.
        assert_eq!(client.publish(&model).await, 2);
        assert_eq!(client.gallery(&model).await.unwrap().persons, ["ann"]);

        for role in Role::ALL {
            assert_eq!(client.upload(role, &other).await, Reply::Stored);
        }
        let replace = |forget_gallery| Action::Activate { publication: other.publication, forget_gallery };
        let retire = |forget_gallery| Action::Retire { model: "pixels".into(), forget_gallery };
        for action in [replace(false), retire(false)] {
            for reply in client.change(action).await {
                refused(Err::<(), _>(reply), Code::WouldForget);
            }
        }
        assert_eq!(find(&client, &model, &[ANN, EVE]).await, Ok(vec![0, 1]));
        assert_eq!(client.change(replace(true)).await, [(); 3].map(|()| Reply::Changed { revision: 3 }));
        assert!(client.gallery(&other).await.unwrap().persons.is_empty());
        // Where nobody is enrolled, nobody is asked.
        assert_eq!(client.change(retire(false)).await, [(); 3].map(|()| Reply::Changed { revision: 4 }));
    });
}

#[test]
fn a_store_that_lacks_a_template_says_so_and_finds_nobody() {
    let [operator] = identities();
    let mut parties = Parties::with_clients("", &entry(&operator, "may = [\"classify\", \"publish\", \"enrol\"]"));
    let model = TestModel::comparing(1);
    run(async {
        let client = parties.connect(&operator).await;
        client.publish(&model).await;
        enrol(&client, &model, "ann", &[ANN]).await;
        let backups = [P1, P0].map(|victim| {
            let backup = parties.folder(victim).join("backup");
            parties.store(victim, &["backup", "--to"], &backup);
            (victim, backup)
        });
        let mut revision = enrol(&client, &model, "bob", &[BOB]).await;
        for (victim, backup) in backups {
            parties.kill(victim);
            parties.store(victim, &["restore", "--from"], &backup);
            parties.restart(victim);
            // It knows that bob is enrolled, and that it has no template of him.
            let lacks = |problems: &[String]| problems.iter().any(|problem| problem.contains("gallery"));
            parties.until_operator(victim, |status| status.revision == revision && lacks(&status.problems)).await;
            let client = parties.connect(&operator).await;
            refused(find(&client, &model, &[BOB]).await, Code::Incomplete);
            // All parties still tell who is enrolled, and the victim whom it lacks: removing and enrolling again
            // repairs it.
            let seen = client.gallery(&model).await.unwrap();
            assert_eq!(seen.persons, ["ann", "bob"]);
            assert_eq!(seen.lacking, Role::ALL.map(|role| if role == victim { vec![1] } else { Vec::new() }));
            client.change(Action::Remove { publication: model.publication, person: "bob".into() }).await;
            assert_eq!(find(&client, &model, &[BOB, ANN]).await, Ok(vec![1, 0]));
            revision = enrol(&client, &model, "bob", &[BOB]).await;
            assert_eq!(find(&client, &model, &[BOB, ANN]).await, Ok(vec![1, 0]));
        }
        assert_eq!(parties.connect(&operator).await.gallery(&model).await.unwrap().persons, ["ann", "bob"]);
        // A party that is away when the change is decided takes it over.
        parties.kill(P2);
        parties.restart(P2);
        let client = parties.connect(&operator).await;
        assert_eq!(find(&client, &model, &[BOB, EVE]).await, Ok(vec![1, 2]));
    });
}
