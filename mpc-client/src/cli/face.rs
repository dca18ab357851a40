//! `face`: persons enrolled with a model that compares.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mpc_client::preprocess::Rect;

use super::{Trust, rectangle};

#[derive(Debug, Subcommand)]
pub(crate) enum FaceCommand {
    /// Enrol a person with one or several pictures
    ///
    /// The three servers compute a template from the pictures and keep it in shares that none of them can read. They
    /// see the name: choose one that says nothing where that matters. Several pictures make a better template than one.
    /// The template is always computed with at least active security, even with `--security passive`.
    #[command(after_help = "Example: mpc-client face enrol --id alice alice1.png alice2.png")]
    Enrol {
        /// The person's name in the gallery
        #[arg(long, value_name = "NAME")]
        id: String,
        /// Pictures of that person
        #[arg(required = true, value_name = "PICTURE")]
        pictures: Vec<PathBuf>,
        #[command(flatten)]
        about: About,
    },

    /// Tell whose face each picture shows: one of the persons enrolled, or nobody
    ///
    /// Only you learn who it is. Each picture is compared with everybody at once, and the servers see neither the
    /// cosines nor the winner.
    #[command(after_help = "Example: mpc-client face match who.png")]
    Match {
        /// Pictures
        #[arg(required = true, value_name = "PICTURE")]
        pictures: Vec<PathBuf>,
        #[command(flatten)]
        about: About,
    },

    /// Tell whether each picture shows that person
    ///
    /// The servers see which person is meant, but not the answer.
    #[command(after_help = "Example: mpc-client face verify --id alice who.png")]
    Verify {
        /// The person's name in the gallery
        #[arg(long, value_name = "NAME")]
        id: String,
        /// Pictures
        #[arg(required = true, value_name = "PICTURE")]
        pictures: Vec<PathBuf>,
        #[command(flatten)]
        about: About,
    },

    /// List the persons enrolled
    List {
        /// Which of the cluster's models
        #[arg(long, value_name = "NAME", default_value = DEFAULT_MODEL)]
        model: String,
    },

    /// Remove a person; the servers delete the template
    ///
    /// A server whose store was damaged, or restored from an older backup, lacks templates, and meanwhile nobody can be
    /// found. `face list` names the persons, and `--lost` removes all of them, so that they can be enrolled again.
    #[command(after_help = "Example: mpc-client face remove --id alice")]
    Remove {
        /// The person's name in the gallery
        #[arg(long, value_name = "NAME", required_unless_present = "lost")]
        id: Option<String>,
        /// Everybody whose template a server has lost
        #[arg(long, conflicts_with = "id")]
        lost: bool,
        /// Which of the cluster's models
        #[arg(long, value_name = "NAME", default_value = DEFAULT_MODEL)]
        model: String,
    },
}

const DEFAULT_MODEL: &str = "face-match";

/// The options for pictures.
#[derive(Debug, Args)]
pub(crate) struct About {
    /// Which of the cluster's models; each has a gallery of its own
    #[arg(long, value_name = "NAME", default_value = DEFAULT_MODEL)]
    pub(crate) model: String,
    /// Use only this part of the pictures, in pixels
    #[arg(long = "box", value_name = "LEFT,TOP,WIDTH,HEIGHT", value_parser = rectangle)]
    pub(crate) crop: Option<Rect>,
    #[command(flatten)]
    pub(crate) trust: Trust,
}

impl FaceCommand {
    /// The command's name for the person who asks.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Enrol { .. } => "face enrol",
            Self::Match { .. } => "face match",
            Self::Verify { .. } => "face verify",
            Self::List { .. } => "face list",
            Self::Remove { .. } => "face remove",
        }
    }
}
