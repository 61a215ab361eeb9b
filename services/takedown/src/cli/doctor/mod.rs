//! `doctor`: checks everything that the roles need, and names a remedy for each problem. It changes nothing.

mod database;
mod folder;
mod kafka;
mod logs;
mod roles;

use std::path::PathBuf;

use anyhow::Result;
use platform::bus::BusConfig;
use serde_json::{Value, json};

use super::CommonArgs;
use crate::output::table;

/// Checks everything that the roles need, and names a remedy for each problem.
///
/// Checks the data folder's system, running or not. Exits 1 if there is a problem.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    pub(super) common: CommonArgs,
    /// The configuration of `takedown migrate`, for its table `bus`. [default: the bus in client.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The result of one check.
pub(super) struct CheckResult {
    check: String,
    state: CheckState,
}

enum CheckState {
    Ok(String),
    /// The problem, and the remedy.
    Problem(String, String),
    /// Why the check was not made; another result has the remedy.
    NotChecked(String),
}

impl CheckResult {
    pub(super) fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state: CheckState::Ok(detail.into()),
        }
    }

    pub(super) fn problem(
        check: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            state: CheckState::Problem(detail.into(), remedy.into()),
        }
    }

    pub(super) fn not_checked(check: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state: CheckState::NotChecked(reason.into()),
        }
    }

    fn row(&self) -> [String; 4] {
        let (state, detail, remedy) = match &self.state {
            CheckState::Ok(detail) => ("ok", detail.as_str(), ""),
            CheckState::Problem(detail, remedy) => ("problem", detail.as_str(), remedy.as_str()),
            CheckState::NotChecked(reason) => ("not checked", reason.as_str(), ""),
        };
        [state, &self.check, detail, remedy].map(str::to_owned)
    }

    fn json(&self) -> Value {
        let [state, check, detail, remedy] = self.row();
        json!({ "check": check, "state": state, "detail": detail, "remedy": remedy })
    }
}

/// The result of a check whose query failed.
fn query_failed(check: impl Into<String>) -> CheckResult {
    CheckResult::problem(
        check,
        "the query failed",
        "set DATABASE_URL with the user that `takedown up` uses",
    )
}

/// Returns whether no check found a problem.
pub(super) async fn run(args: DoctorArgs) -> Result<bool> {
    let data_dir = args.common.data.path()?;
    let (mut results, folder) = folder::check(&data_dir);
    let bus = match (&args.config, &folder.profile) {
        (Some(file), _) => super::migrate::read_bus_config(file)?,
        (None, Some(profile)) => profile.bus.clone(),
        (None, None) => BusConfig::default(),
    };
    match args.common.database_url() {
        Ok(url) => results.extend(database::check(&url, &bus, folder.keyring.as_ref()).await),
        Err(_) => results.push(CheckResult::problem(
            "database",
            "the database address is not known",
            "start `takedown up` on this folder, or set DATABASE_URL",
        )),
    }
    match &folder.profile {
        Some(profile) => results.extend(roles::check(profile).await),
        None => results.push(CheckResult::not_checked("roles", "client.toml is missing")),
    }
    let is_ok = !results
        .iter()
        .any(|result| matches!(result.state, CheckState::Problem(..)));
    let value = json!({
        "ok": is_ok,
        "checks": results.iter().map(CheckResult::json).collect::<Vec<_>>(),
    });
    args.common.format.print(&value, || {
        table(
            ["", "check", "result", "remedy"],
            results.iter().map(CheckResult::row),
        )
    });
    Ok(is_ok)
}
