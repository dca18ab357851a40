//! Three real parties: what works, and what the others are told when something fails.

#[cfg(test)]
mod common;

use common::{LABELS, Parties, SAMPLES, TestModel, program, run, send_input};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::error::Step;
use mpc_core::network::identity::Identity;
use mpc_core::network::stream;
use mpc_core::session::Mode;
use mpc_core::wire::message::{Action, Code, Evaluate, PROTOCOL_VERSION, Refusal, Reply, Request, Versioned};

const STRICT: &str = "[security]\nminimum = \"active\"";

#[test]
fn a_killed_party_is_named_and_everything_works_after_its_restart() {
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        publisher.publish(&model).await;
        let client = parties.connect(&parties.client).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));

        let mut session = client.ask_all(&Request::Evaluate(model.classify(3))).await;
        for conversation in &mut session {
            assert!(matches!(conversation.reply().await, Reply::Accepted { .. }));
        }
        send_input(&mut session, &SAMPLES, &[P0, P1]).await;
        parties.kill(P2);
        for role in [P0, P1] {
            let reason = session[role.index()].failure().await;
            assert!(reason.contains("lost P2"), "{role}: {reason}");
        }
        // Without P2 nothing is admitted, and both say so at once.
        for role in [P0, P1] {
            let request = Request::Evaluate(model.classify(1));
            let mut both = [client.ask(P0, &request).await, client.ask(P1, &request).await];
            let reason = both[role.index()].refused(Code::Unavailable).await;
            assert!(reason.contains("P2"), "{role}: {reason}");
        }

        parties.restart(P2);
        let client = parties.connect(&parties.client).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()), "shares survived, peers reconnected");
        for role in Role::ALL {
            assert!(parties.terminate(role), "{role} stops in order");
        }
    });
}

#[test]
fn whoever_is_not_entitled_is_told_why() {
    let parties = Parties::start("wait_s = 1");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let client = parties.connect(&parties.client).await;

        let stranger = Identity::generate("stranger").unwrap();
        let reason = parties.call(&stranger).await.connections[0].closed().await.to_string();
        assert!(reason.contains(&stranger.fingerprint().to_string()), "{reason}");

        let reason = client.ask(P1, &Request::Upload(model.upload(P1))).await.refused(Code::NoRight).await;
        assert!(reason.contains("\"publish\""), "{reason}");

        client.ask(P1, &Request::Evaluate(model.classify(1))).await.refused(Code::NotFound).await;

        let mut conversation = client.open(P2).await;
        let future = Versioned { version: PROTOCOL_VERSION + 1, body: Request::Status };
        stream::send(&mut conversation.send, &future).await.unwrap();
        let reason = conversation.refused(Code::OtherVersion).await;
        let versions = [PROTOCOL_VERSION, PROTOCOL_VERSION + 1].map(|version| format!("version {version}"));
        assert!(versions.iter().all(|version| reason.contains(version)), "{reason}");

        let mut conversation = client.open(P0).await;
        conversation.send.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
        let reason = conversation.refused(Code::Invalid).await;
        assert!(reason.contains("4294967295"), "{reason}");

        let mut conversation = client.open(P0).await;
        conversation.send.write_all(&[8, 0, 0, 0, PROTOCOL_VERSION as u8, 0, 77, 77, 77, 77, 77, 77]).await.unwrap();
        conversation.refused(Code::Invalid).await;
    });
}

#[test]
fn a_question_too_large_for_the_memory_is_refused_before_it_is_computed() {
    let parties = Parties::start("session_mib = 16");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&parties.client).await;
        let Err(Reply::Refused(Refusal { code: Code::TooLarge, reason })) = client.classify(&model, &SAMPLES).await
        else {
            panic!("active security alone needs more")
        };
        assert!(reason.contains("MiB") && reason.contains("session_mib"), "{reason}");

        let request = Evaluate { security: Mode::Passive, ..model.classify(1) };
        let mut conversation = client.ask(P0, &Request::Evaluate(request)).await;
        let reason = conversation.refused(Code::Unavailable).await;
        assert!(reason.contains("P1"), "it fits, and waits for the others in vain: {reason}");
    });
}

#[test]
fn a_request_must_reach_all_three_and_be_the_same() {
    let parties = Parties::start("wait_s = 1");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&parties.client).await;

        let request = Request::Evaluate(model.classify(1));
        let (mut p0, mut p1) = (client.ask(P0, &request).await, client.ask(P1, &request).await);
        let refusal = p0.refusal().await;
        assert!(refusal.code == Code::Unavailable && refusal.reason.contains("P2"), "{refusal:?}");
        assert_eq!(p1.refusal().await, refusal, "P0 tells the others");

        let request = Request::Evaluate(model.classify(1));
        let (mut p1, mut p2) = (client.ask(P1, &request).await, client.ask(P2, &request).await);
        for late in [&mut p1, &mut p2] {
            let reason = late.refused(Code::Unavailable).await;
            assert!(reason.contains("P0"), "{reason}");
        }

        let one = model.classify(1);
        let two = Evaluate { windows: vec![1, 1], ..one.clone() };
        let mut p0 = client.ask(P0, &Request::Evaluate(one.clone())).await;
        let _p1 = client.ask(P1, &Request::Evaluate(one)).await;
        let mut p2 = client.ask(P2, &Request::Evaluate(two)).await;
        p0.refused(Code::Disagreement).await;
        p2.refused(Code::Disagreement).await;

        for windows in [vec![], vec![0], vec![2], vec![1; 257], vec![u32::MAX; 3]] {
            let request = Evaluate { windows, ..model.classify(1) };
            client.ask(P0, &Request::Evaluate(request)).await.refusal().await;
        }
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()), "nothing is left behind");
    });
}

#[test]
fn a_client_that_leaves_ends_its_session_everywhere() {
    let parties = Parties::start("sessions = 1");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let observer = parties.connect(&parties.client).await;
        for to in [&[][..], &[P0], &[P1, P2]] {
            let client = parties.call(&parties.client).await;
            let mut session = client.ask_all(&Request::Evaluate(model.classify(3))).await;
            for conversation in &mut session {
                assert!(matches!(conversation.reply().await, Reply::Accepted { .. }));
            }
            observer.until(|status| status.sessions == 1).await;
            send_input(&mut session, &SAMPLES, to).await;
            drop(session);
            observer.until(|status| status.sessions == 0).await;
        }
        assert_eq!(observer.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
    });
}

#[test]
fn what_is_not_the_same_at_all_parties_never_enters_service() {
    let parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    let (mut described, mut dealt) = (model.clone(), model.clone());
    described.manifest = described.manifest.replace("The largest pixel", "Something else");
    dealt.dealt = TestModel::first_three_pixels(1).dealt;
    run(async {
        let publisher = parties.connect(&parties.publisher).await;
        for (number, other) in [(2, described), (3, dealt)] {
            let [model, other] = [&model, &other].map(|m| TestModel { publication: [number; 32], ..m.clone() });
            for role in Role::ALL {
                assert_eq!(publisher.upload(role, if role == P2 { &other } else { &model }).await, Reply::Stored);
            }
            let replies =
                publisher.change(Action::Activate { publication: model.publication, forget_gallery: false }).await;
            assert_eq!(replies, [(); 3].map(|()| Reply::Cheating { step: Step::Model }));
            assert_eq!(publisher.in_service().await, [const { Vec::<[u8; 32]>::new() }; 3]);
        }
    });
}

#[test]
fn what_is_weaker_than_a_minimum_is_refused() {
    let model = TestModel::first_three_pixels(1);
    let mut strict = TestModel::first_three_pixels(2);
    strict.manifest = strict.manifest.replace("security = \"passive\"", "security = \"active\"");
    let passive = |model: &TestModel| Request::Evaluate(Evaluate { security: Mode::Passive, ..model.classify(1) });
    for (configuration, model, who) in [("", strict, "manifest"), (STRICT, model, "security.minimum")] {
        let parties = Parties::start(configuration);
        run(async {
            parties.connect(&parties.publisher).await.publish(&model).await;
            let client = parties.connect(&parties.client).await;
            let reason = client.ask(P1, &passive(&model)).await.refused(Code::WeakSecurity).await;
            assert!(reason.contains(who) && reason.contains("active security"), "{reason}");
            assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
            let Reply::Models { minimum, .. } = client.ask(P1, &Request::Models).await.reply().await else { panic!() };
            assert_eq!(minimum, if who == "manifest" { Mode::Passive } else { Mode::Active });
        });
    }
}

#[test]
fn many_sessions_wait_their_turn() {
    let parties = Parties::start("sessions = 4");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = std::sync::Arc::new(parties.connect(&parties.client).await);
        let sessions: Vec<_> = (0..60)
            .map(|_| {
                let (client, model) = (client.clone(), model.clone());
                tokio::spawn(async move { client.classify(&model, &SAMPLES).await })
            })
            .collect();
        for session in sessions {
            assert_eq!(session.await.unwrap(), Ok(LABELS.to_vec()));
        }
    });
}

#[test]
fn health_says_whether_the_party_serves() {
    let mut parties = Parties::start("");
    let health = |parties: &Parties, role: Role| {
        let mut command = std::process::Command::new(program());
        let output = command.args(["health", "--json", "--config"]).arg(parties.config(role)).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    run(async { parties.connect(&parties.client).await });
    let (code, line) = health(&parties, P1);
    assert_eq!(code, Some(0), "{line}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["role"], 1);
    assert!(parties.terminate(P0), "told to stop, it says so to its peers");
    while health(&parties, P1).0 == Some(0) {}
    assert_eq!(health(&parties, P1).0, Some(1), "one peer is missing");
    assert_eq!(health(&parties, P0).0, Some(1), "nobody answers");
    std::fs::write(parties.config(P0), "role = 7").unwrap();
    assert_eq!(health(&parties, P0).0, Some(2), "bad configuration");
}
