//! `./dev load`: figures of this machine, each beside a baseline of the same run. See `tests::load`.

use anyhow::Result;
use clap::Parser;
use tests::load;

#[tokio::main]
async fn main() -> Result<()> {
    match load::Args::parse() {
        load::Args {
            system: Some(setup),
            ..
        } => load::system::serve(&setup).await,
        args => load::run(args).await,
    }
}
