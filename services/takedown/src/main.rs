//! `takedown`, the only binary. Parses the command line and runs the command; everything else is in the
//! library.

use std::process::ExitCode;

use clap::Parser as _;
use takedown::cli::Cli;

#[tokio::main]
async fn main() -> ExitCode {
    // Activates the fail points that FAILPOINTS names. A release build ignores the variable, however it is built.
    #[cfg(all(feature = "failpoints", debug_assertions))]
    let _fail_points = fail::FailScenario::setup();
    takedown::cli::run(Cli::parse()).await
}
