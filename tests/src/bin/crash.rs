//! `./dev crash`: kills under load, and what became of every promise. See `tests::crash`.

use std::process::ExitCode;

use clap::Parser;
use tests::crash;

/// The run could not be made, or not to its end.
const FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match crash::run(crash::Args::parse()).await {
        Ok(ending) => ExitCode::from(ending.code()),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(FAILED)
        }
    }
}
