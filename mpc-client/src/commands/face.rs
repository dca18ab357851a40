//! `face enrol`, `match`, `verify`, `list` and `remove`.

use std::time::Instant;

use mpc_client::answer::{Enrolled, Persons, Removed};
use mpc_client::preprocess::Options;
use mpc_client::{Answer, Lost, Question, Result, input};
use serde::Serialize;

use super::classify::{self, Request};
use super::{Needed, ask, inputs};
use crate::cli::{FaceCommand, Global};
use crate::output::{print_json, print_line, print_warning};

/// The result of a command about faces.
pub(crate) enum Done {
    /// An answer, to be printed.
    Answer(Answer),
    /// Nothing: the command has printed its result.
    Printed,
}

/// Runs one of the commands.
pub(crate) async fn run(global: &Global, command: FaceCommand) -> Result<Done> {
    let name = command.name();
    match command {
        FaceCommand::Match { pictures, about } => {
            let (security, options) = (about.trust.security.into(), Options { crop: about.crop });
            let request = Request { command: name, model: &about.model, security, options, question: Question::Who };
            classify::run(global, request, pictures).await.map(Done::Answer)
        }
        FaceCommand::Verify { id, pictures, about } => {
            let (security, options) = (about.trust.security.into(), Options { crop: about.crop });
            let request =
                Request { command: name, model: &about.model, security, options, question: Question::Is(&id) };
            classify::run(global, request, pictures).await.map(Done::Answer)
        }
        FaceCommand::Enrol { id, pictures, about } => {
            let start = Instant::now();
            let enrolled = ask(global, Needed::One(&about.model), async |client, progress| {
                let model = client.model(&about.model).await?;
                let (options, security) = (Options { crop: about.crop }, about.trust.security.into());
                let pictures = inputs::expand(pictures.clone(), &model.manifest).await?;
                progress.say(format!("enrolling {id}"));
                let inputs = input::all(inputs::prepare(&model, pictures, options).await?)?;
                let evaluation = client.enrol(&model, &id, &inputs, security, global.timeout).await?;
                Ok(Enrolled::new(&model, &id, inputs.len(), &evaluation, start.elapsed()))
            })
            .await?;
            if global.json {
                print_json(&enrolled)?;
            } else {
                let (count, s) = (enrolled.pictures, if enrolled.pictures == 1 { "" } else { "s" });
                print_line(&format!("{id} is enrolled with {count} picture{s}"))?;
            }
            Ok(Done::Printed)
        }
        FaceCommand::List { model } => {
            let list = ask(global, Needed::One(&model), async |client, _| {
                let model = client.model(&model).await?;
                Ok(Persons::new(&model, client.gallery(&model).await?))
            })
            .await?;
            if global.json {
                print_json(&list)?;
            } else if list.persons.is_empty() {
                print_line("nobody is enrolled yet: `mpc-client face enrol --id NAME PICTURE`")?;
            } else {
                list.persons.iter().try_for_each(|person| print_line(person))?;
                list.lost.iter().for_each(|Lost { person, servers }| {
                    print_warning(&format!("{} has lost the template of {person}", servers.join(" and ")));
                });
                if !list.lost.is_empty() {
                    print_warning(
                        "nobody can be found until they are removed: `mpc-client face remove --lost`; then enrol them again",
                    );
                }
            }
            Ok(Done::Printed)
        }
        FaceCommand::Remove { id: Some(id), model, .. } => {
            let removed = ask(global, Needed::One(&model), async |client, _| {
                let model = client.model(&model).await?;
                client.remove(&model, &id).await?;
                Ok(Removed::new(&model, &id))
            })
            .await?;
            if global.json {
                print_json(&removed)?;
            } else {
                print_line(&format!("{id} is removed, and the servers have deleted the template"))?;
            }
            Ok(Done::Printed)
        }
        FaceCommand::Remove { id: None, model, .. } => {
            let persons = ask(global, Needed::One(&model), async |client, _| {
                client.remove_lost(&client.model(&model).await?).await
            })
            .await?;
            if global.json {
                print_json(&RemovedLost { command: "face remove", model, persons })?;
            } else if persons.is_empty() {
                print_line("no server has lost a template: nobody was removed")?;
            } else {
                print_line(&format!("removed {}; enrol them again to find them", persons.join(", ")))?;
            }
            Ok(Done::Printed)
        }
    }
}

/// The output of `face remove --lost` with `--json`.
#[derive(Serialize)]
struct RemovedLost {
    command: &'static str,
    model: String,
    persons: Vec<String>,
}
