//! `intake`, `verification`, `dispatch`, `ledger`, `gateway`, `console`: runs one role in this process until
//! a signal.

use std::path::PathBuf;

use anyhow::Result;
use roles::role::{self, Role};

#[derive(Debug, clap::Args)]
pub(super) struct RoleArgs {
    /// The role's configuration (TOML). Environment variables such as TAKEDOWN_INTAKE__LISTEN override it; a
    /// double underscore separates levels. [default: each field's default]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn run(role: Role, args: RoleArgs) -> Result<()> {
    role::run(role, args.config.as_deref()).await
}
