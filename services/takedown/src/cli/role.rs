//! `intake`, `verification`, `dispatch`, `ledger`, `gateway`, `console`: one role in this process, until a signal.

use std::path::PathBuf;

use anyhow::Result;

use crate::role::{self, Role};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The role's configuration (TOML). Variables such as TAKEDOWN_INTAKE__LISTEN go over it, a double underscore for
    /// each level. [default: every field's own default]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(role: Role, args: Args) -> Result<()> {
    role::run(role, args.config.as_deref()).await
}
