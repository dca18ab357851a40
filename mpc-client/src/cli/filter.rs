//! The options of `filter`.

use std::path::PathBuf;

use clap::Args;

use super::Trust;

/// The options of a filter.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// sharpen, blur, mean, edges, emboss, sobel-x, sobel-y (3x3), blur5, sharpen5 (5x5); or 9 or 25 numbers, or a text
    /// file with them
    #[arg(long, value_name = "NAME|NUMBERS|FILE", allow_hyphen_values = true)]
    pub(crate) kernel: String,
    /// The picture: PNG or JPEG, grey or in colour; - for standard input
    #[arg(long, short, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where to write the filtered picture
    #[arg(long, short, value_name = "FILE.png")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) trust: Trust,
}
