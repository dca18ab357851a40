//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mpc_client::Mode;
use mpc_client::preprocess::Rect;

pub(crate) use face::FaceCommand;
pub(crate) use filter::FilterArgs;
pub(crate) use gateway::GatewayArgs;
pub(crate) use plan::PlanArgs;

mod face;
mod filter;
mod gateway;
mod plan;

/// Asks three servers for an answer about a recording or a picture that none of them sees.
///
/// The client turns each file into numbers, splits them into three random-looking shares, sends one pair to each of
/// three servers, and puts their three pieces of the answer together. No server learns the input, the model's weights
/// or the answer as long as no two of them work together. A server that cheats is caught, unless you choose passive
/// security.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES, after_help = SHORT_EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const SHORT_EXAMPLES: &str = "\
Try it on this machine, with three real servers started for you:
  mpc-client --local emotion speech.wav
  mpc-client --local classify --input face.png

`mpc-client --help` says more, `mpc-client COMMAND --help` explains one command.";

const EXAMPLES: &str = "\
Examples:
  Try it on this machine: starts three servers on loopback, asks them, stops them
    mpc-client --local emotion speech.wav
    mpc-client --local classify --input face.png
    mpc-client --local verify-speaker a.wav b.wav
    mpc-client --local --state faces face enrol --id alice alice.png
    mpc-client --local --state faces face match who.png
    mpc-client --local filter --kernel sharpen --input in.png --output out.png

  Ask a cluster that three organisations run
    mpc-client init                                    once; send the printed fingerprint to the operators
    mpc-client --cluster cluster.toml check            whether everything is in order, and what to do where not
    mpc-client --cluster cluster.toml models           what it serves
    mpc-client --cluster cluster.toml emotion a.wav b.mp3
    mpc-client --json classify --input face.png --input other.jpg
    mpc-client plan --model face                       what a question costs, and how long it takes
    mpc-client gateway                                 the same questions over HTTP, for devices at home

  Put a model of your own into service
    mpc-client model publish models/emotion

Without --cluster the client uses $MPC_CLUSTER, then ./cluster.toml, then the cluster.toml in your configuration folder.

Exit codes:
  0 answer   1 internal error   2 usage or bad input   3 cluster unreachable or not trusted
  4 refused, mismatched or aborted   5 a server cheated: there is no answer";

/// Options that every command understands, before or after its name.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The file that names the three servers and their keys
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub(crate) cluster: Option<PathBuf>,

    /// Start three servers on this machine for this one question, with throw-away keys
    #[arg(long, global = true, help_heading = "Cluster")]
    pub(crate) local: bool,

    /// With --local: keep the three servers' keys and stores in this folder, so that enrolled persons remain for next
    /// time
    #[arg(long, global = true, value_name = "DIR", requires = "local", help_heading = "Cluster")]
    pub(crate) state: Option<PathBuf>,

    /// Where --local finds the models [default: ./models, or beside the program]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "MPC_MODELS",
        hide_env_values = true,
        help_heading = "Cluster"
    )]
    pub(crate) models: Option<PathBuf>,

    /// Folder with this client's key and certificate [default: `client` beside the cluster file, then your
    /// configuration folder]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "MPC_IDENTITY",
        hide_env_values = true,
        help_heading = "Cluster"
    )]
    pub(crate) identity: Option<PathBuf>,

    /// Give up after this many seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Print one JSON object and nothing else on standard output
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    /// Print answers as CSV, a line for each input: input, with, label, cosine, error
    #[arg(long, global = true, conflicts_with = "json", help_heading = "Output")]
    pub(crate) csv: bool,

    /// Compute the expected answer on this machine, in the clear, without asking any server. Needs the model's folder,
    /// see --models
    #[arg(long, global = true, conflicts_with_all = ["local", "cluster"], help_heading = "Cluster")]
    pub(crate) clear: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|d| !d.is_zero() && seconds <= 86_400.0)
        .ok_or_else(|| "more than 0 and at most 86400 seconds".to_owned())
}

pub(crate) fn rectangle(text: &str) -> Result<Rect, String> {
    let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[left, top, width, height]) if width > 0 && height > 0 => Ok(Rect { left, top, width, height }),
        _ => Err("four whole numbers, LEFT,TOP,WIDTH,HEIGHT, the last two above 0".into()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell the emotion in one or several recordings
    ///
    /// Takes WAV, FLAC, MP3 and OGG of any rate and number of channels. All recordings travel as one batch. A file that
    /// cannot be used gets an error of its own (and the exit code is 2), the others are answered. A folder stands for
    /// the recordings in it, a pattern like '*.wav' for those that match, and - for standard input.
    #[command(
        after_help = "Examples: mpc-client --local emotion speech.wav interview.mp3\n          mpc-client --local --csv emotion recordings/ > emotions.csv"
    )]
    Emotion {
        /// Recordings
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which of the cluster's models to ask; `mpc-client models` lists them
        #[arg(long, value_name = "NAME", default_value = "emotion")]
        model: String,
        #[command(flatten)]
        trust: Trust,
    },

    /// Tell which of a model's labels one or several pictures or recordings have
    ///
    /// The model decides what it takes: `face` pictures (PNG, JPEG), `emotion` recordings. All inputs travel as one
    /// batch. A file that cannot be used gets an error of its own (and the exit code is 2), the others are answered.
    #[command(after_help = "Example: mpc-client --local classify --input alice.png --input bob.jpg")]
    Classify {
        /// A picture or recording; repeat for several
        #[arg(long, short, required = true, value_name = "FILE")]
        input: Vec<PathBuf>,
        /// Which of the cluster's models to ask; `mpc-client models` lists them
        #[arg(long, value_name = "NAME", default_value = "face")]
        model: String,
        /// Use only this part of the pictures, in pixels
        #[arg(long = "box", value_name = "LEFT,TOP,WIDTH,HEIGHT", value_parser = rectangle)]
        crop: Option<Rect>,
        #[command(flatten)]
        trust: Trust,
    },

    /// Tell which of the speakers that a model knows is speaking, or that none of them is
    ///
    /// Takes recordings as `emotion` does. The servers vote over the windows of a recording and compare with the
    /// model's threshold without seeing either: only the winner, or "unknown", leaves them.
    #[command(after_help = "Example: mpc-client --local identify-speaker speech.wav")]
    IdentifySpeaker {
        /// Recordings
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which of the cluster's models to ask; `mpc-client models` lists them
        #[arg(long, value_name = "NAME", default_value = "speaker")]
        model: String,
        #[command(flatten)]
        trust: Trust,
    },

    /// Tell whether two recordings are of the same speaker
    ///
    /// Prints `same` or `different`, and the cosine of the two voices where the model's manifest allows it. Takes WAV,
    /// FLAC, MP3 and OGG.
    #[command(after_help = "Example: mpc-client --local verify-speaker a.wav b.wav")]
    VerifySpeaker {
        /// One recording
        #[arg(value_name = "A")]
        first: PathBuf,
        /// The other recording
        #[arg(value_name = "B")]
        second: PathBuf,
        /// Which of the cluster's models to ask; `mpc-client models` lists them
        #[arg(long, value_name = "NAME", default_value = "speaker-verify")]
        model: String,
        #[command(flatten)]
        trust: Trust,
    },

    /// Enrol faces, and tell whose face a picture shows
    #[command(subcommand)]
    Face(FaceCommand),

    /// Sharpen, blur or otherwise filter a picture that no server sees, with a kernel that none of them sees either
    ///
    /// Every pixel becomes a weighted sum of its neighbours; the kernel holds the weights. The servers learn the size
    /// of the picture and of the kernel. Transparency stays as it is, and the values at the edge repeat beyond it. What
    /// falls below 0 or above 255 is clipped. A large picture travels in tiles, and --timeout counts for each.
    #[command(
        after_help = "Examples: mpc-client --local filter --kernel sharpen --input in.png --output out.png\n          mpc-client --local filter --kernel '0 -0.5 0  -0.5 3 -0.5  0 -0.5 0' --input in.png --output out.png"
    )]
    Filter(FilterArgs),

    /// Answer over HTTP, for the other devices of a home that you trust
    ///
    /// The gateway sees the files it receives, as this program does; the three servers see nothing. Open its address in
    /// a browser for a page to try it; /openapi.json describes the routes. With --local the three servers live as long
    /// as the gateway.
    #[command(after_help = "Example: mpc-client --local gateway")]
    Gateway(GatewayArgs),

    /// Make this client's key and certificate, and print the fingerprint that the operators need
    #[command(
        after_help = "The key never leaves the folder. Run it again to see the fingerprint; an existing key is kept, and its \
                      certificate is made anew within 30 days of its end."
    )]
    Init {
        /// Make a new certificate even if the old one is still valid
        #[arg(long)]
        renew: bool,
    },

    /// Check everything a question needs: this client's files, the three servers, and the lines to them
    #[command(after_help = "Exit code 0 if there is no problem, 3 if there is one.")]
    Check,

    /// List the models that the cluster serves
    Models,

    /// Predict the cost of a question: rounds, traffic, memory and time, layer by layer
    ///
    /// Rehearses the question on this machine and adds the three servers' measurements of their lines and processors,
    /// or the lines that you describe.
    #[command(after_help = "Example: mpc-client --local plan --model face --rtt 40ms --rate 100Mbit")]
    Plan(PlanArgs),

    /// Work with models of your own
    #[command(subcommand)]
    Model(ModelCommand),

    /// Turn files into a model's input features, as a NumPy file
    ///
    /// The same code prepares the inputs of `emotion` and `classify`, so that training and serving use one definition.
    /// Writes float32 `[windows, ...]`; a file of several windows has as many rows, in the order of the files.
    #[command(after_help = "Example: mpc-client preprocess --model models/emotion --list train.txt --output train.npy")]
    Preprocess(PreprocessArgs),

    /// One of the three servers of --local
    #[command(hide = true)]
    LocalParty {
        /// The server's configuration
        config: PathBuf,
    },
}

/// The option that every command with a question takes.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// How far the three servers are trusted
    ///
    /// The model's owner and each of the three operators may demand more than this; the strictest counts, and is shown
    /// with the answer.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Security::Active)]
    pub(crate) security: Security,
}

/// [`Mode`] with the help texts of the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Security {
    /// All three follow the protocol; one may analyse what it holds. The fastest
    Passive,
    /// One may deviate in any way: it learns nothing, and the answer is right or there is none (except with probability
    /// 2^-41)
    Active,
    /// As active, with probability 2^-57; slower
    Strict,
}

impl From<Security> for Mode {
    fn from(security: Security) -> Self {
        match security {
            Security::Passive => Mode::Passive,
            Security::Active => Mode::Active,
            Security::Strict => Mode::Strict,
        }
    }
}

impl Command {
    /// The command's name for the person who asks.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Emotion { .. } => "emotion",
            Command::Classify { .. } => "classify",
            Command::IdentifySpeaker { .. } => "identify-speaker",
            Command::VerifySpeaker { .. } => "verify-speaker",
            Command::Face(command) => command.name(),
            Command::Filter(_) => "filter",
            Command::Gateway(_) => "gateway",
            Command::Init { .. } => "init",
            Command::Check => "check",
            Command::Models => "models",
            Command::Plan(_) => "plan",
            Command::Model(ModelCommand::Publish { .. }) => "model publish",
            Command::Model(ModelCommand::List) => "models",
            Command::Model(ModelCommand::Show { .. }) => "model show",
            Command::Model(ModelCommand::Retire { .. }) => "model retire",
            Command::Preprocess(_) => "preprocess",
            Command::LocalParty { .. } => mpc_client_local::SUBCOMMAND,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Share a model's weights to the three servers; none of them ever holds a weight
    ///
    /// FOLDER holds `manifest.toml` (name, preprocessing, input range, labels, what is revealed) and `model.onnx`. The
    /// architecture and the rounded bounds of its layers become public to the servers, the weights do not. A model of
    /// the same name is replaced once all three servers have stored the new one and compared their shares; running
    /// questions to the old one still get their answers. After an interruption, run it again to resume. It also repairs
    /// a server that has lost its share.
    #[command(after_help = "Example: mpc-client model publish models/emotion")]
    Publish {
        /// Folder with manifest.toml and model.onnx
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Deal new shares, even if the same model was published before
        #[arg(long)]
        anew: bool,
        /// Replace a model even if persons are enrolled with it, and delete them
        #[arg(long)]
        forget_gallery: bool,
    },

    /// List the models that the cluster serves, as `mpc-client models` does
    List,

    /// Show the public facts about a model: version, labels, what is revealed, size, publication
    Show {
        /// Name of the model
        #[arg(value_name = "NAME")]
        name: String,
    },

    /// Take a model out of service; the servers delete its shares
    ///
    /// Running questions still get their answers. You keep the model itself: publish it again to bring it back.
    Retire {
        /// Name of the model
        #[arg(value_name = "NAME")]
        name: String,
        /// Retire it even if persons are enrolled with it, and delete them
        #[arg(long)]
        forget_gallery: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PreprocessArgs {
    /// Folder with the model's manifest.toml
    #[arg(long, value_name = "FOLDER")]
    pub(crate) model: PathBuf,
    /// Recordings or pictures
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub(crate) files: Vec<PathBuf>,
    /// A text file with one path a line, taken before the files given here
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Where to write the features
    #[arg(long, short, value_name = "FILE.npy")]
    pub(crate) output: PathBuf,
}
