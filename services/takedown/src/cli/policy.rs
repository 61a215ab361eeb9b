//! `policy lint`: checks an escalation policy before it is used.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::output::Format;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Checks a policy and lists every mistake with its line. Exits 1 if there is one.
    Lint {
        #[command(flatten)]
        format: Format,
        /// A YAML file like those in deploy/policies.
        file: PathBuf,
    },
}

impl Command {
    pub(super) fn format(&self) -> Format {
        let Self::Lint { format, .. } = self;
        *format
    }
}

/// Returns whether the policy has no mistake.
pub(super) fn run(command: Command) -> Result<bool> {
    let Command::Lint { format, file } = command;
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let faults = dispatch::policy::lint(&text);
    let json: Vec<Value> = faults
        .iter()
        .map(|f| json!({ "line": f.line, "field": f.field, "detail": f.detail }))
        .collect();
    let value = json!({ "ok": faults.is_empty(), "faults": json });
    format.print(&value, || {
        if faults.is_empty() {
            return format!("{}: no mistakes", file.display());
        }
        faults
            .iter()
            .map(|fault| format!("{}: {fault}", file.display()))
            .collect::<Vec<_>>()
            .join("\n")
    });
    Ok(faults.is_empty())
}
