//! `./dev load`: measures this machine, with a baseline from the same run. See `tests::load`.

use anyhow::Result;
use clap::Parser;
use tests::load;

#[tokio::main]
async fn main() -> Result<()> {
    match load::LoadArgs::parse() {
        load::LoadArgs {
            system: Some(config),
            ..
        } => load::system::serve(&config).await,
        args => load::run(args).await,
    }
}
