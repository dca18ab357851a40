//! The command line of the client.

mod cli;
mod cluster;
mod commands;
mod hint;
mod output;

use std::process::ExitCode;

use clap::Parser;
use mpc_client::preprocess::Options;
use mpc_client::{Answer, Error, Question, Result};
use mpc_core::kernel::WipingAllocator;

use cli::{Cli, Command, ModelCommand};
use commands::classify::Request;
use commands::{check, classify, face, filter, gateway, init, model, plan, preprocess};

/// Some inputs were bad: the answer was printed, with an error for each of them.
const BAD_INPUT: u8 = 2;

/// `check` has found a problem.
const CLUSTER: u8 = 3;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::LocalParty { config } = &cli.command {
        return mpc_client_local::party(config);
    }
    let (name, json) = (cli.command.name(), cli.global.json);
    match start(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if name == "check" => ExitCode::from(CLUSTER),
        Ok(false) => ExitCode::from(BAD_INPUT),
        Err(error) => {
            output::print_failure(name, json, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs the command in a runtime of its own; returns whether every input could be used.
fn start(cli: Cli) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::System(format!("asynchronous runtime: {e}")))?;
    let result = runtime.block_on(run(cli));
    // After Ctrl-C, do not wait for a file that is still being prepared.
    runtime.shutdown_background();
    result
}

async fn run(Cli { global, command }: Cli) -> Result<bool> {
    let name = command.name();
    match command {
        Command::Emotion { files, model, trust } | Command::IdentifySpeaker { files, model, trust } => {
            let (security, options) = (trust.security.into(), Options::default());
            let request = Request { command: name, model: &model, security, options, question: Question::Label };
            print(&global, &classify::run(&global, request, files).await?)
        }
        Command::Classify { input, model, crop, trust } => {
            let (security, options) = (trust.security.into(), Options { crop });
            let request = Request { command: name, model: &model, security, options, question: Question::Label };
            print(&global, &classify::run(&global, request, input).await?)
        }
        Command::VerifySpeaker { first, second, model, trust } => {
            let (security, options) = (trust.security.into(), Options::default());
            let request = Request { command: name, model: &model, security, options, question: Question::Same };
            print(&global, &classify::run(&global, request, vec![first, second]).await?)
        }
        Command::Face(command) => match face::run(&global, command).await? {
            face::Done::Answer(answer) => print(&global, &answer),
            face::Done::Printed => Ok(true),
        },
        Command::Filter(args) => filter::run(&global, &args).await.map(|()| true),
        Command::Gateway(args) => gateway::run(global, args).await.map(|()| true),
        Command::Init { renew } => init::run(&global, renew).map(|()| true),
        Command::Check => check::run(&global).await,
        Command::Models => model::list(&global).await.map(|()| true),
        Command::Plan(args) => plan::run(&global, args).await.map(|()| true),
        Command::Model(command) => match command {
            ModelCommand::Publish { folder, anew, forget_gallery } => {
                model::publish(&global, folder, anew, forget_gallery).await
            }
            ModelCommand::List => model::list(&global).await,
            ModelCommand::Show { name } => model::show(&global, &name).await,
            ModelCommand::Retire { name, forget_gallery } => model::retire(&global, &name, forget_gallery).await,
        }
        .map(|()| true),
        Command::Preprocess(args) => preprocess::run(&global, &args),
        Command::LocalParty { .. } => unreachable!("has its own way in"),
    }
}

/// Prints an answer; returns whether every input has one.
fn print(global: &cli::Global, answer: &Answer) -> Result<bool> {
    match (global.json, global.csv) {
        (true, _) => output::print_json(answer)?,
        (_, true) => output::print_csv(answer)?,
        _ => output::print_answer(answer)?,
    }
    Ok(answer.complete())
}
