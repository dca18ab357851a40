//! `face enrol`, `match`, `verify`, `list` and `remove`.

use std::time::Instant;

use mpc_client::Result;
use mpc_client::preprocess::Options;
use serde::Serialize;

use super::classify::{self, Job, Question};
use super::{Needed, ask, inputs};
use crate::cli::{FaceCommand, Global};
use crate::output::{Answer, Cost, print_json, print_line};

/// What a command about faces ends with.
pub(crate) enum Done {
    /// An answer, to be printed.
    Answer(Answer),
    /// It was printed.
    Printed,
}

/// Runs one of the commands.
pub(crate) async fn run(global: &Global, command: FaceCommand) -> Result<Done> {
    let name = command.name();
    match command {
        FaceCommand::Match { pictures, about } => {
            let (security, options) = (about.trust.security.into(), Options { crop: about.crop });
            let job = Job { command: name, model: &about.model, security, options, question: Question::Who };
            classify::run(global, job, pictures).await.map(Done::Answer)
        }
        FaceCommand::Verify { id, pictures, about } => {
            let (security, options) = (about.trust.security.into(), Options { crop: about.crop });
            let job = Job { command: name, model: &about.model, security, options, question: Question::Is(&id) };
            classify::run(global, job, pictures).await.map(Done::Answer)
        }
        FaceCommand::Enrol { id, pictures, about } => {
            let start = Instant::now();
            let (cost, count) = ask(global, Needed::One(&about.model), async |client, progress| {
                let model = client.model(&about.model).await?;
                let (options, security) = (Options { crop: about.crop }, about.trust.security.into());
                let pictures = inputs::expand(pictures.clone(), &model.manifest).await?;
                let inputs = inputs::prepare_all(&model, &pictures, options).await?;
                progress.say(format!("enrolling {id}"));
                let evaluation = client.enrol(&model, &id, &inputs, security, global.timeout).await?;
                Ok((Cost::of(&evaluation, start.elapsed()), inputs.len()))
            })
            .await?;
            #[derive(Serialize)]
            struct Enrolled<'a> {
                command: &'static str,
                model: &'a str,
                id: &'a str,
                pictures: usize,
                #[serde(flatten)]
                cost: Cost,
            }
            if global.json {
                let (model, id) = (&*about.model, &*id);
                print_json(&Enrolled { command: name, model, id, pictures: count, cost })?;
            } else {
                print_line(&format!("{id} is enrolled with {count} picture{}", if count == 1 { "" } else { "s" }))?;
            }
            Ok(Done::Printed)
        }
        FaceCommand::List { model } => {
            let gallery =
                ask(global, Needed::One(&model), async |client, _| client.gallery(&client.model(&model).await?).await)
                    .await?;
            #[derive(Serialize)]
            struct List<'a> {
                command: &'static str,
                model: &'a str,
                persons: &'a [String],
            }
            if global.json {
                print_json(&List { command: name, model: &model, persons: &gallery.persons })?;
            } else if gallery.persons.is_empty() {
                print_line("nobody is enrolled yet: `mpc-client face enrol --id NAME PICTURE`")?;
            }
            if !global.json {
                gallery.persons.iter().try_for_each(|person| print_line(person))?;
            }
            Ok(Done::Printed)
        }
        FaceCommand::Remove { id, model } => {
            ask(global, Needed::One(&model), async |client, _| client.remove(&client.model(&model).await?, &id).await)
                .await?;
            #[derive(Serialize)]
            struct Removed<'a> {
                command: &'static str,
                model: &'a str,
                id: &'a str,
            }
            if global.json {
                print_json(&Removed { command: name, model: &model, id: &id })?;
            } else {
                print_line(&format!("{id} is removed, and the servers have forgotten the template"))?;
            }
            Ok(Done::Printed)
        }
    }
}
