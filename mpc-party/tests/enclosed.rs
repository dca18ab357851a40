//! Questions about a network that the client encloses.

#[cfg(test)]
mod common;

use common::{Conversation, Parties, TestModel, output, run, send_input};
use mpc_core::Role::{self, P0};
use mpc_core::model::Graph;
use mpc_core::network::stream::send_dealt;
use mpc_core::ring::{Arithmetic, fixed};
use mpc_core::session::{Id, Mode};
use mpc_core::wire::codec;
use mpc_core::wire::message::{Code, Evaluate, Question, Request, Subject};
use mpc_core::wire::share::WORD;

const SAMPLES: [[f64; 4]; 2] = [[1.5, 0.25, -1.0, 0.5], [-0.5, -0.25, -1.0, 2.0]];

/// The scores of the test model, whose weights are the first three columns of the unit matrix.
const SCORES: [f64; 6] = [1.5, 0.25, -1.0, -0.5, -0.25, -1.0];

fn enclosed(graph: &Graph) -> Evaluate {
    let subject = Subject::Enclosed(codec::encode(graph).expect("a small graph"));
    Evaluate { subject, question: Question::Output, ..TestModel::first_three_pixels(0).classify(SAMPLES.len()) }
}

async fn send_weights(conversations: &mut [Conversation; 3], model: &TestModel) {
    for (conversation, dealt) in conversations.iter_mut().zip(&model.dealt) {
        send_dealt(&mut conversation.send, dealt, WORD).await.expect("a party that listens");
    }
}

#[test]
fn the_output_of_an_enclosed_network_comes_back_and_nothing_stays() {
    let parties = Parties::start("");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let client = parties.connect(&parties.client).await;
        for security in [Mode::Passive, Mode::Active] {
            let request = Evaluate { security, ..enclosed(&model.graph) };
            let mut conversations = client.begin_with(request).await.expect("all accept");
            send_input(&mut conversations, &SAMPLES, &Role::ALL).await;
            send_weights(&mut conversations, &model).await;
            let scores = output::<Arithmetic>(conversations, &[SAMPLES.len(), 3]).await.expect("an output");
            for (word, expected) in scores.iter().zip(SCORES) {
                let score = fixed::decode(*word, 16);
                assert!((score - expected).abs() < 1e-4, "{score} instead of {expected}");
            }
        }
        assert_eq!(client.in_service().await, [const { Vec::<Id>::new() }; 3]);
    });
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let parties = Parties::start("[limits.client]\ninput_mib = 1");
    let model = TestModel::first_three_pixels(1);
    run(async {
        parties.connect(&parties.publisher).await.publish(&model).await;
        let client = parties.connect(&parties.client).await;
        let label = Evaluate { question: Question::Label, ..enclosed(&model.graph) };
        let enrol = Evaluate { question: Question::Enrol, ..enclosed(&model.graph) };
        let published = Evaluate { question: Question::Output, ..model.classify(1) };
        let garbage = Evaluate { subject: Subject::Enclosed(vec![7; 100]), ..enclosed(&model.graph) };
        let mut wrong = model.graph.clone();
        wrong.nodes[3].facts.shape = vec![4];
        let mut large = model.graph.clone();
        large.weights[0].shape = vec![4, 1 << 15];
        large.nodes[2].facts.shape = vec![4, 1 << 15];
        large.nodes[3].facts.shape = vec![1 << 15];
        large.nodes[4].facts.shape = vec![1 << 15];
        for (request, code, expected) in [
            (label, Code::Invalid, "its output"),
            (enrol, Code::NoRight, "may"),
            (published, Code::Invalid, "labels"),
            (garbage, Code::Invalid, "graph"),
            (enclosed(&wrong), Code::Invalid, "product"),
            (enclosed(&large), Code::TooLarge, "input_mib"),
        ] {
            let reason = client.ask(P0, &Request::Evaluate(request)).await.refused(code).await;
            assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
        }
    });
}

#[test]
fn weights_that_do_not_come_end_the_session() {
    let parties = Parties::start("wait_s = 1");
    let model = TestModel::first_three_pixels(1);
    run(async {
        let client = parties.connect(&parties.client).await;
        let mut conversations = client.begin_with(enclosed(&model.graph)).await.expect("all accept");
        send_input(&mut conversations, &SAMPLES, &Role::ALL).await;
        let reasons =
            [conversations[0].failure().await, conversations[1].failure().await, conversations[2].failure().await];
        assert!(reasons.iter().any(|reason| reason.contains("did not arrive")), "{reasons:?}");

        let mut other = model.graph.clone();
        other.nodes[0].name = "another name".into();
        let (one, two) = (enclosed(&model.graph), enclosed(&other));
        let two = Evaluate { stamp: one.stamp, ..two };
        let mut p0 = client.ask(P0, &Request::Evaluate(one.clone())).await;
        let _p1 = client.ask(Role::P1, &Request::Evaluate(one)).await;
        let mut p2 = client.ask(Role::P2, &Request::Evaluate(two)).await;
        p0.refused(Code::Disagreement).await;
        p2.refused(Code::Disagreement).await;
    });
}
