//! One party lies about what is in service, or about who is who: neither honest party believes it, and no client is
//! answered from the lie. A store whose list was replaced makes an honest program lie; a [`Liar`] tells lies that no
//! honest program would.

#[cfg(test)]
mod common;

use std::time::Duration;

use common::liar::Liar;
use common::{Client, Conversation, Parties, TestModel, identities, run_within};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::network::identity::Identity;
use mpc_core::session::Id;
use mpc_core::wire::message::{Action, Change, Code, Evaluate, Question, Reply, Request, Stamp};
use mpc_core::wire::peer::{Catalog, Enrolled, Entry, gallery_digest, session_id};

const ANN: [f64; 4] = [1.5, 0.25, -1.0, 0.0];
const GUEST: [f64; 4] = [-0.5, 0.25, 1.0, 2.0];
const GONE: [f64; 4] = [0.1, -1.5, 0.1, -1.0];

/// Three parties, a model that compares, "ann" and "guest" in its gallery, and "gone" who was in it; and their list.
async fn with_gallery(operator: &Identity, limits: &str) -> (Parties, TestModel, Catalog, Enrolled) {
    let clients = format!(
        "[[clients]]\nname = \"operator\"\nfingerprints = [\"{}\"]\nmay = [\"classify\", \"publish\", \"enrol\"]\n",
        operator.fingerprint()
    );
    let mut parties = Parties::with_clients(limits, &clients);
    let model = TestModel::comparing(1);
    let client = parties.connect(operator).await;
    client.publish(&model).await;
    let mut gone = Enrolled { person: "gone".into(), template: Id::default() };
    for (person, sample) in [("ann", ANN), ("guest", GUEST), ("gone", GONE)] {
        gone.template = client.keep(&model, &[sample]).await.expect("a template");
        let made = client.enrol(&model, person, gone.template).await;
        assert!(matches!(made[0], Reply::Changed { .. }), "{made:?}");
    }
    let made = client.change(Action::Remove { publication: model.publication, person: "gone".into() }).await;
    assert_eq!(made, [(); 3].map(|()| Reply::Changed { revision: 5 }));
    let list = parties.list(P0);
    assert_eq!((list.revision, list.entries[0].gallery.len()), (5, 2));
    (parties, model, list, gone)
}

/// Lists that an attacker could want, all with the next or the last possible revision.
fn lies(list: &Catalog, gone: &Enrolled) -> Vec<(&'static str, Catalog)> {
    let lie = |change: &dyn Fn(&mut Catalog)| {
        let mut lie = Catalog { revision: list.revision + 1, ..list.clone() };
        change(&mut lie);
        lie
    };
    vec![
        ("swap", lie(&swap)),
        ("rename", lie(&|lie| lie.entries[0].gallery[1].person = "ann b.".into())),
        ("remove a person", lie(&|lie| drop(lie.entries[0].gallery.remove(1)))),
        ("remove a model", lie(&|lie| lie.entries.clear())),
        ("resurrect", lie(&|lie| lie.entries[0].gallery.push(gone.clone()))),
        ("transfer", lie(&|lie| lie.entries[0].tenant = "elsewhere".into())),
        ("bring in", lie(&|lie| lie.entries.push(Entry { model: "other".into(), ..list.entries[0].clone() }))),
        ("jump", lie(&|lie| lie.revision = u64::MAX)),
        (
            "jump and swap",
            lie(&|lie| {
                swap(lie);
                lie.revision = u64::MAX;
            }),
        ),
    ]
}

/// The attack of the audit: "guest" is called "ann", and the other way round.
fn swap(list: &mut Catalog) {
    let [ann, guest] = &mut list.entries[0].gallery[..] else { panic!("two persons") };
    std::mem::swap(&mut ann.person, &mut guest.person);
}

fn remove(model: &TestModel, person: &str) -> Change {
    let action = Action::Remove { publication: model.publication, person: person.into() };
    Change { stamp: Stamp::fresh().expect("random numbers"), action }
}

/// What a change in which `person` leaves makes of a list.
fn without(list: &Catalog, person: &str) -> Catalog {
    let gallery = list.entries[0].gallery.iter().filter(|enrolled| enrolled.person != person).cloned();
    list.with_gallery(&list.entries[0].publication, gallery.collect()).expect("a next revision")
}

/// The names that a party tells.
async fn names(client: &Client, role: Role, model: &TestModel) -> Vec<String> {
    let request = Request::Gallery { publication: model.publication };
    match client.ask(role, &request).await.reply().await {
        Reply::Gallery { persons, .. } => persons,
        other => panic!("{role}: {other:?}"),
    }
}

/// Asks some of the parties for the same change.
async fn ask(client: &Client, roles: [Role; 2], change: &Change) -> [Conversation; 2] {
    let request = Request::Change(change.clone());
    [client.ask(roles[0], &request).await, client.ask(roles[1], &request).await]
}

/// Neither has made the change that they were asked for.
async fn neither(conversations: &mut [Conversation; 2]) {
    for conversation in conversations {
        let reply = conversation.reply().await;
        assert!(matches!(reply, Reply::Failed { .. } | Reply::Refused { .. }), "{reply:?}");
    }
}

#[test]
fn whoever_swaps_two_names_in_its_list_is_not_believed_and_nobody_is_answered() {
    run_within(Duration::from_secs(900), async {
        let [operator] = identities();
        let (mut parties, model, list, _) = with_gallery(&operator, "wait_s = 3").await;
        let mut lie = Catalog { revision: list.revision + 1, ..list.clone() };
        swap(&mut lie);
        lie.entries[0].revision += 1;
        let digests = [&list, &lie].map(|list| gallery_digest(&model.publication, &list.entries[0].gallery));
        for liar in Role::ALL {
            parties.terminate(liar);
            parties.set_list(liar, &lie);
            parties.restart(liar);
            let client = parties.connect(&operator).await;
            // Whoever is told by an honest P0, or by a lying one, notices.
            let witness = if liar == P0 { P1 } else { P0 };
            let noticed = |problems: &[String]| problems.iter().any(|problem| problem.contains("was set back"));
            parties.until_operator(witness, |status| noticed(&status.problems)).await;
            for role in Role::ALL {
                let expected = if role == liar { ["guest", "ann"] } else { ["ann", "guest"] };
                assert_eq!(names(&client, role, &model).await, expected, "{liar} lies, {role} says");
            }
            for digest in digests {
                let answer = client.find(&model, digest, &[GUEST]).await;
                assert!(answer.is_err(), "{liar} lies, and the client is told {answer:?}");
            }
            // A question that names no gallery relies on the list too.
            let same = Evaluate { question: Question::Same, ..model.classify(2) };
            assert!(client.begin_with(same).await.is_err(), "{liar} lies about when the model came into service");
            // Nor can a change be built upon the lie.
            let replies = client.change(remove(&model, "ann").action).await;
            assert!(!replies.iter().any(|reply| matches!(reply, Reply::Changed { .. })), "{liar} lies: {replies:?}");

            parties.terminate(liar);
            parties.set_list(liar, &list);
            parties.restart(liar);
            parties.until_operator(witness, |status| status.problems.is_empty()).await;
        }
        let client = parties.connect(&operator).await;
        assert_eq!(client.find(&model, digests[0], &[GUEST, ANN]).await, Ok(vec![1, 0]));
    });
}

#[test]
fn p0_cannot_have_a_follower_take_over_what_no_client_has_asked_for() {
    run_within(Duration::from_secs(900), async {
        let [operator] = identities();
        let (mut parties, model, list, gone) = with_gallery(&operator, "wait_s = 3").await;
        let p0 = Liar::in_place_of(&mut parties, P0).await;
        let client = parties.call(&operator).await;
        for (what, lie) in lies(&list, &gone) {
            for follower in [P1, P2] {
                assert_eq!(p0.tell(follower, &lie).await.unwrap(), list, "{what}");
            }
            // To both at once, so that each might take the other for a witness.
            let (p1, p2) = tokio::join!(p0.tell(P1, &lie), p0.tell(P2, &lie));
            assert_eq!([p1.unwrap(), p2.unwrap()], [list.clone(), list.clone()], "{what}");
        }

        // A client asks for one change: P0 cannot have another one made in its place.
        for (what, lie) in lies(&list, &gone) {
            let change = remove(&model, "ann");
            let mut asked = ask(&client, [P1, P2], &change).await;
            let session = p0.admit(&change, &operator).await;
            let ended = p0.meet(session, [(P1, [&list, &lie]), (P2, [&list, &lie])], 2).await;
            assert!(ended.is_err(), "{what}");
            neither(&mut asked).await;
            for follower in [P1, P2] {
                assert_eq!(p0.tell(follower, &lie).await.unwrap(), list, "{what}");
                // Nor that one, which has not been prepared.
                assert_eq!(p0.tell(follower, &without(&list, "ann")).await.unwrap(), list, "{what}");
            }
        }
        for follower in [P1, P2] {
            assert_eq!(names(&client, follower, &model).await, ["ann", "guest"]);
        }
    });
}

#[test]
fn p0_cannot_lead_the_followers_apart() {
    run_within(Duration::from_secs(900), async {
        let [operator] = identities();
        let (mut parties, model, list, _) = with_gallery(&operator, "wait_s = 3").await;
        let p0 = Liar::in_place_of(&mut parties, P0).await;
        let client = parties.call(&operator).await;
        let (no_ann, no_guest) = (without(&list, "ann"), without(&list, "guest"));

        // A client, who may be with P0, asks each follower for another change; P0 plays the absent one's part as well
        // as it can.
        let changes = [remove(&model, "ann"), remove(&model, "guest")];
        let mut asked = [
            client.ask(P1, &Request::Change(changes[0].clone())).await,
            client.ask(P2, &Request::Change(changes[1].clone())).await,
        ];
        let mut sessions = Vec::new();
        for (follower, change) in [P1, P2].into_iter().zip(&changes) {
            let proposed = p0.propose(follower, change, &operator, [1; 32]).await;
            let nonces = p0.commit(&mut [(follower, proposed)], [[1; 32]; 3]).await;
            sessions.push(session_id(&change.digest().unwrap(), &operator.fingerprint().0, &nonces));
        }
        let apart = tokio::join!(
            p0.meet(sessions[0], [(P1, [&list, &no_ann]), (P2, [&list, &no_ann])], 2),
            p0.meet(sessions[1], [(P1, [&list, &no_guest]), (P2, [&list, &no_guest])], 2),
        );
        assert!(apart.0.is_err() && apart.1.is_err());
        neither(&mut asked).await;
        assert_eq!(p0.tell(P1, &no_ann).await.unwrap(), list);
        assert_eq!(p0.tell(P2, &no_guest).await.unwrap(), list);

        // A change that all mean, whose last round P0 does not finish: both have prepared it, and P0 tells one of them
        // only.
        let change = remove(&model, "ann");
        let [mut p1, _p2] = ask(&client, [P1, P2], &change).await;
        let session = p0.admit(&change, &operator).await;
        p0.meet(session, [(P1, [&list, &no_ann]), (P2, [&list, &no_ann])], 2).await.unwrap();
        assert_eq!(p0.tell(P1, &no_ann).await.unwrap(), no_ann);
        assert_eq!(p1.reply().await, Reply::Changed { revision: 6 });

        // The next change: P2 is where it was, and says so to P1.
        let change = remove(&model, "guest");
        let mut asked = ask(&client, [P1, P2], &change).await;
        let session = p0.admit(&change, &operator).await;
        let neither_of_us = without(&no_ann, "guest");
        let ended = p0.meet(session, [(P1, [&no_ann, &neither_of_us]), (P2, [&list, &no_guest])], 2).await;
        assert!(ended.is_err());
        neither(&mut asked).await;
        assert_eq!(p0.tell(P2, &no_guest).await.unwrap(), list, "another list of that revision");
        assert_eq!(p0.tell(P1, &neither_of_us).await.unwrap(), no_ann);
        assert_eq!(names(&client, P1, &model).await, ["guest"]);
        assert_eq!(names(&client, P2, &model).await, ["ann", "guest"]);
        // It catches up on what the other one has.
        assert_eq!(p0.tell(P2, &no_ann).await.unwrap(), no_ann);
    });
}

#[test]
fn what_is_prepared_survives_a_crash_of_all_until_the_next_change() {
    run_within(Duration::from_secs(900), async {
        let [operator] = identities();
        let (mut parties, model, list, _) = with_gallery(&operator, "wait_s = 3").await;
        let mut p0 = Liar::in_place_of(&mut parties, P0).await;
        let (no_ann, no_guest) = (without(&list, "ann"), without(&list, "guest"));
        for (person, next) in [("guest", &no_guest), ("ann", &no_ann)] {
            let client = parties.call(&operator).await;
            let change = remove(&model, person);
            let _asked = ask(&client, [P1, P2], &change).await;
            let session = p0.admit(&change, &operator).await;
            p0.meet(session, [(P1, [&list, next]), (P2, [&list, next])], 2).await.unwrap();
            for follower in [P1, P2] {
                parties.kill(follower);
                parties.restart(follower);
            }
            p0.leave().await;
            p0 = Liar::start(&parties, P0);
            p0.connected().await;
        }
        for follower in [P1, P2] {
            assert_eq!(p0.tell(follower, &no_guest).await.unwrap(), list, "overtaken by another change");
        }
        let (p1, p2) = tokio::join!(p0.tell(P1, &no_ann), p0.tell(P2, &no_ann));
        assert_eq!([p1.unwrap(), p2.unwrap()], [no_ann.clone(), no_ann]);
    });
}

#[test]
fn a_follower_cannot_change_anything_either() {
    run_within(Duration::from_secs(900), async {
        let [operator] = identities();
        let (mut parties, model, list, gone) = with_gallery(&operator, "wait_s = 3").await;
        for role in [P1, P2] {
            let mut liar = Liar::in_place_of(&mut parties, role).await;
            let other = if role == P1 { P2 } else { P1 };
            let honest = [P0, other];
            let client = parties.call(&operator).await;
            for (what, lie) in lies(&list, &gone) {
                assert!(liar.tell(other, &lie).await.is_err(), "{what}: {role} may not say that");
            }
            // P0 asks again and again, and is told a lie each time.
            let told = lies(&list, &gone);
            let (swapped, jumped) = (&told[0].1, &told[8].1);
            for lie in [swapped, jumped] {
                // When the third question comes, P0 has drawn its conclusions from the first two answers.
                liar.answer_times(lie, 3).await;
                for party in honest {
                    assert_eq!(names(&client, party, &model).await, ["ann", "guest"], "{role} lies, {party} says");
                }
            }
            // In a change, it means another one.
            for (next, rounds) in [(swapped, 2), (&without(&list, "ann"), 1)] {
                let change = remove(&model, "ann");
                let mut asked = ask(&client, honest, &change).await;
                let session = liar.accept(&list).await;
                let ended = liar.meet(session, honest.map(|peer| (peer, [&list, next])), rounds).await;
                assert_eq!(ended.is_ok(), rounds == 1, "it leaves before it has prepared the change");
                neither(&mut asked).await;
                for party in honest {
                    assert_eq!(names(&client, party, &model).await, ["ann", "guest"], "{role} lies, {party} says");
                }
            }
            liar.leave().await;
            parties.restart(role);
            drop(parties.connect(&operator).await);
        }
        let client = parties.connect(&operator).await;
        let made = client.change(remove(&model, "ann").action).await;
        assert_eq!(made, [(); 3].map(|()| Reply::Changed { revision: 6 }), "all is well again");
    });
}

#[test]
fn a_party_that_was_away_believes_only_what_both_others_say() {
    run_within(Duration::from_secs(900), async {
        let [operator] = identities();
        let (mut parties, model, list, gone) = with_gallery(&operator, "wait_s = 3").await;
        // P2's store is set back, and P1 denies that anything has happened since.
        let client = parties.connect(&operator).await;
        let backup = parties.folder(P2).join("backup");
        parties.store(P2, &["backup", "--to"], &backup);
        let made = client.change(remove(&model, "ann").action).await;
        assert!(matches!(made[2], Reply::Changed { revision: 6 }), "{made:?}");
        parties.terminate(P2);
        parties.store(P2, &["restore", "--from"], &backup);
        parties.terminate(P1);
        let mut p1 = Liar::start(&parties, P1);
        parties.restart(P2);
        let lie = &lies(&list, &gone)[0].1;
        let refused = |problems: &[String]| problems.iter().any(|problem| problem.contains("not taken over"));
        tokio::select! {
            () = async { loop { p1.answer_times(lie, 1).await } } => unreachable!(),
            () = parties.until_operator(P2, |status| status.revision == 5 && refused(&status.problems)) => {}
        }
        p1.leave().await;
        parties.restart(P1);
        parties.until_operator(P2, |status| status.revision == 6 && status.problems.is_empty()).await;
    });
}

#[test]
fn p0_shows_the_random_number_that_it_has_committed_to() {
    run_within(Duration::from_secs(900), async {
        let [operator] = identities();
        let (mut parties, model, list, _) = with_gallery(&operator, "wait_s = 3").await;
        let p0 = Liar::in_place_of(&mut parties, P0).await;
        let client = parties.call(&operator).await;
        let change = remove(&model, "ann");
        let mut asked = ask(&client, [P1, P2], &change).await;
        let mut proposed = Vec::new();
        for follower in [P1, P2] {
            proposed.push((follower, p0.propose(follower, &change, &operator, [1; 32]).await));
        }
        p0.commit(&mut proposed, [[2; 32]; 3]).await;
        for conversation in &mut asked {
            assert!(conversation.refused(Code::Disagreement).await.contains("committed to"));
        }
        assert_eq!(p0.tell(P1, &without(&list, "ann")).await.unwrap(), list);
    });
}
