//! Many questions at once, to both models, against three servers; one of them dies in between and comes back.

mod project;

use std::path::Path;
use std::time::Duration;

use mpc_client::{Client, Dealing, Encoded, Error, Mode, Model, preprocess};
use mpc_client_local::LocalCluster;
use mpc_core::Role;
use project::{models, samples};
use tokio::task::JoinSet;

/// Generous, because a busy machine is not a failure.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A question and its right answer.
#[derive(Clone)]
struct Question {
    model: Model,
    input: Encoded,
    answer: String,
}

impl Question {
    /// Asks, and fails the test on a wrong label; no label at all is the caller's to judge.
    async fn ask(&self, client: &Client) -> Result<(), Error> {
        let evaluation = client.classify(&self.model, std::slice::from_ref(&self.input), Mode::Active, TIMEOUT).await?;
        assert_eq!(self.model.manifest.labels[evaluation.predictions[0].label], self.answer, "a wrong label");
        Ok(())
    }
}

/// Publishes both models of the project; their samples are the questions.
async fn questions(client: &Client) -> Vec<Question> {
    let mut questions = Vec::new();
    for name in ["emotion", "face"] {
        let dealing = Dealing::fresh().expect("random numbers");
        client.publish(&load(&models().join(name)), &dealing, false).await.expect("published");
        let model = client.model(name).await.expect("in service");
        for sample in samples(name) {
            let prepared = preprocess::prepare(&model.manifest, &sample.file, Default::default());
            let input = model.encode(&prepared.expect("a good file").features).expect("within the range");
            questions.push(Question { input, model: model.clone(), answer: sample.label });
        }
    }
    questions
}

fn load(folder: &Path) -> mpc_core::model::Model {
    mpc_core::model::Model::load(folder).expect("a model")
}

/// `count` questions at the same time.
fn ask_many(client: &std::sync::Arc<Client>, questions: &[Question], count: usize) -> JoinSet<Result<(), Error>> {
    let questions = questions.iter().cycle().take(count).cloned();
    questions.map(|question| (question, client.clone())).fold(JoinSet::new(), |mut asked, (question, client)| {
        asked.spawn(async move { question.ask(&client).await });
        asked
    })
}

#[tokio::test]
async fn two_hundred_at_once_a_death_and_a_restart() {
    let mut parties = LocalCluster::start(Path::new(env!("CARGO_BIN_EXE_mpc-client"))).unwrap();
    let client = std::sync::Arc::new(parties.connect().await.unwrap());
    let questions = questions(&client).await;
    for answer in ask_many(&client, &questions, 200).join_all().await {
        answer.unwrap();
    }

    // Kill one as soon as the first answer is there: later ones may come, be right, or be a clear error.
    let mut asked = ask_many(&client, &questions, 200);
    asked.join_next().await.unwrap().unwrap().unwrap();
    parties.kill(Role::P1);
    let mut failed = 0;
    while let Some(answer) = asked.join_next().await {
        if let Err(error) = answer.expect("no wrong label") {
            assert!([3, 4].contains(&error.exit_code()) && error.to_string().contains("P1"), "{error}");
            failed += 1;
        }
    }
    assert!(failed > 0, "all were answered before the party died");

    parties.restart(Role::P1).unwrap();
    let client = std::sync::Arc::new(parties.connect().await.unwrap());
    for answer in ask_many(&client, &questions, 20).join_all().await {
        answer.unwrap();
    }
}
