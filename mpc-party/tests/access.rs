//! Access: every right, tenants that do not see each other, limits, and each party's own decision.

#[cfg(test)]
mod common;

use common::{
    Client, Conversation, LABELS, Parties, SAMPLES, TestModel, entry, everywhere, identities, run, send_input,
};
use mpc_core::Role::{self, P0, P1, P2};
use mpc_core::wire::message::{Action, Change, Code, Evaluate, Maintenance, Refusal, Reply, Request, Stamp};

/// The refusal of one party.
async fn refusal(client: &Client, role: Role, request: Request) -> Refusal {
    client.ask(role, &request).await.refusal().await
}

/// Whether a party refused with that code.
fn refused(reply: &Reply, code: Code) -> bool {
    matches!(reply, Reply::Refused(refusal) if refusal.code == code)
}

#[test]
fn each_right_allows_its_requests_and_no_others() {
    let [both, asks, publishes, none] = identities();
    let rights = [
        (&both, "may = [\"classify\", \"publish\"]", [true, true]),
        (&asks, "", [true, false]),
        (&publishes, "may = [\"publish\"]", [false, true]),
        (&none, "may = []", [false, false]),
    ];
    let clients: String = rights.iter().map(|(identity, more, _)| entry(identity, more)).collect();
    let parties = Parties::with_clients("", &clients);
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&both).await.publish(&model).await;
        for (identity, more, [may_classify, may_publish]) in rights {
            let client = parties.connect(identity).await;
            let got = client.classify(&model, &SAMPLES).await;
            match may_classify {
                true => assert_eq!(got, Ok(LABELS.to_vec()), "{more}"),
                false => assert!(got.as_ref().is_err_and(|reply| refused(reply, Code::NoRight)), "{more}: {got:?}"),
            }
            let upload = client.upload(P1, &model).await;
            let change = Request::Change(Change {
                stamp: Stamp::fresh().unwrap(),
                action: Action::Retire { model: "nothing".into(), forget_gallery: false },
            });
            let change = refusal(&client, P1, change).await;
            assert_eq!(upload == Reply::Stored, may_publish, "{more}: {upload:?}");
            assert_eq!(change.code, if may_publish { Code::NotFound } else { Code::NoRight }, "{more}: {change}");
            assert_eq!(client.in_service().await, everywhere(&[model.publication]), "everybody sees what there is");
            for task in [Maintenance::Verify, Maintenance::Backup { to: "/tmp/none".into() }] {
                assert_eq!(refusal(&client, P0, Request::Operate(task)).await.code, Code::NoRight, "{more}");
            }
        }
    });
}

#[test]
fn tenants_do_not_see_each_other() {
    let [a, b, reader] = identities();
    let publisher = |tenant: &str| format!("tenant = \"{tenant}\"\nmay = [\"classify\", \"publish\"]");
    let clients = [entry(&a, &publisher("a")), entry(&b, &publisher("b")), entry(&reader, "tenant = \"b\"")].concat();
    let parties = Parties::with_clients("", &clients);
    let [of_a, of_b] = [1, 2].map(TestModel::first_three_pixels);
    run(async {
        let (a, b) = (parties.connect(&a).await, parties.connect(&b).await);
        a.publish(&of_a).await;
        b.publish(&of_b).await;
        let reader = parties.connect(&reader).await;
        assert_eq!(a.in_service().await, everywhere(&[of_a.publication]), "the same name, two models");
        assert_eq!(reader.in_service().await, everywhere(&[of_b.publication]));
        assert_eq!(reader.classify(&of_b, &SAMPLES).await, Ok(LABELS.to_vec()));
        let got = reader.classify(&of_a, &SAMPLES).await;
        let unknown = reader.classify(&TestModel::first_three_pixels(9), &SAMPLES).await;
        assert!(got.as_ref().is_err_and(|reply| refused(reply, Code::NotFound)), "{got:?}");
        assert_eq!(got, unknown, "as if it were not there");

        // The other tenant's publication can neither be uploaded again, nor put into service, nor taken out.
        let upload = b.upload(P0, &of_a).await;
        assert!(refused(&upload, Code::NoRight), "{upload:?}");
        for reply in b.change(Action::Activate { publication: of_a.publication, forget_gallery: false }).await {
            assert!(refused(&reply, Code::NotFound), "{reply:?}");
        }
        b.change(Action::Retire { model: "pixels".into(), forget_gallery: false }).await;
        assert_eq!(a.in_service().await, everywhere(&[of_a.publication]));
        assert_eq!(b.in_service().await, everywhere(&[]));
        let Reply::Status(status) = a.ask(P0, &Request::Status).await.reply().await else { panic!() };
        assert!(status.problems.is_empty(), "problems name models, and are for operators");
    });
}

#[test]
fn no_party_can_admit_anybody_alone() {
    let [stranger, moved] = identities();
    let mut parties =
        Parties::with_clients("wait_s = 2", &entry(&moved, "tenant = \"a\"\nmay = [\"classify\", \"publish\"]"));
    let model = TestModel::first_three_pixels(1);
    // P0 alone lists the stranger, and another tenant for a client.
    let config = std::fs::read_to_string(parties.config(P0)).unwrap().replace("tenant = \"a\"", "tenant = \"b\"");
    let config = config.replace("[limits]", &format!("{}[limits]", entry(&stranger, "")));
    std::fs::write(parties.config(P0), config).unwrap();
    parties.kill(P0);
    parties.restart(P0);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.call(&stranger).await;
        for role in [P1, P2] {
            let reason = client.connections[role.index()].closed().await.to_string();
            assert!(reason.contains("does not know the key"), "{reason}");
        }
        let Refusal { code, reason } = refusal(&client, P0, Request::Evaluate(model.classify(1))).await;
        assert!(code == Code::Unavailable && (reason.contains("P1") || reason.contains("P2")), "{reason}");

        let client = parties.connect(&moved).await;
        for role in Role::ALL {
            assert_eq!(client.upload(role, &TestModel::first_three_pixels(3)).await, Reply::Stored);
        }
        let replies = client.change(Action::Activate { publication: [3; 32], forget_gallery: false }).await;
        assert!(replies.iter().any(|reply| refused(reply, Code::Disagreement)), "{replies:?}");
    });
}

#[test]
fn a_request_is_served_once() {
    let parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&parties.client).await;
        let request = model.classify(3);
        let mut session = client.ask_all(&Request::Evaluate(request.clone())).await;
        for conversation in &mut session {
            assert!(matches!(conversation.reply().await, Reply::Accepted { .. }));
        }
        send_input(&mut session, &SAMPLES, &Role::ALL).await;
        for conversation in &mut session {
            assert!(matches!(conversation.reply().await, Reply::Output { .. }));
        }
        for role in Role::ALL {
            assert_eq!(refusal(&client, role, Request::Evaluate(request.clone())).await.code, Code::Replayed);
            for (seconds, side) in [(-1000, "behind"), (1000, "ahead")] {
                let issued_s = request.stamp.issued_s.saturating_add_signed(seconds);
                let old = Evaluate { stamp: Stamp { issued_s, ..Stamp::fresh().unwrap() }, ..request.clone() };
                let Refusal { code, reason } = refusal(&client, role, Request::Evaluate(old)).await;
                assert!(code == Code::Clock && reason.contains(side), "{reason}");
            }
        }
    });
}

#[test]
fn each_client_has_limits_of_its_own() {
    let [slow, single, small] = identities();
    let clients =
        [entry(&slow, "requests_per_minute = 50"), entry(&single, "concurrent = 1"), entry(&small, "input_mib = 1")];
    let parties = Parties::with_clients("batch = 65536", &clients.concat());
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let other = parties.connect(&parties.client).await;

        let client = parties.call(&slow).await;
        let Refusal { code, reason } = loop {
            if let Reply::Refused(refusal) = client.ask(P1, &Request::Status).await.reply().await {
                break refusal;
            }
        };
        assert!(code == Code::Busy && reason.contains("50 requests a minute"), "{reason}");

        let client = parties.connect(&single).await;
        let mut first = client.ask_all(&Request::Evaluate(model.classify(1))).await;
        for conversation in &mut first {
            assert!(matches!(conversation.reply().await, Reply::Accepted { .. }));
        }
        let Refusal { code, reason } = refusal(&client, P2, Request::Evaluate(model.classify(1))).await;
        assert!(code == Code::Busy && reason.contains("concurrent"), "{reason}");

        let client = parties.connect(&small).await;
        let large = Evaluate { windows: vec![1; 40_000], ..model.classify(1) };
        let Refusal { code, reason } = refusal(&client, P0, Request::Evaluate(large)).await;
        assert!(code == Code::TooLarge && reason.contains("input_mib"), "{reason}");

        assert_eq!(other.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()), "the others do not feel it");
        finish(first).await;
    });
}

/// Sends a session the input that it waits for.
async fn finish(mut session: [Conversation; 3]) {
    send_input(&mut session, &SAMPLES[..1], &Role::ALL).await;
    for conversation in &mut session {
        assert!(matches!(conversation.reply().await, Reply::Output { .. }));
    }
}

#[test]
fn an_open_party_lets_strangers_classify_and_nothing_else() {
    let [stranger] = identities();
    let mut parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    for role in Role::ALL {
        let config = std::fs::read_to_string(parties.config(role)).unwrap();
        std::fs::write(parties.config(role), format!("open_to_any_client = true\n{config}")).unwrap();
        parties.kill(role);
        parties.restart(role);
    }
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&stranger).await;
        assert_eq!(client.classify(&model, &SAMPLES).await, Ok(LABELS.to_vec()));
        let upload = client.upload(P0, &model).await;
        assert!(refused(&upload, Code::NoRight), "{upload:?}");
    });
}
