//! `./dev crash`: kills processes under load and checks every promise. See `tests::crash`.

use std::process::ExitCode;

use clap::Parser;
use tests::crash;

/// Exit code of a run that could not start or finish.
const FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match crash::run(crash::CrashArgs::parse()).await {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(FAILED)
        }
    }
}
