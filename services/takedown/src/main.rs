//! `takedown`, the only binary. Parses the command line and runs the command; everything else is in the
//! library.

use std::process::ExitCode;

use clap::Parser as _;
use takedown::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    takedown::cli::run(Cli::parse()).await
}
