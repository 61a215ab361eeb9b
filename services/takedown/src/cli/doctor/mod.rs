//! `doctor`: everything that the roles need, checked one by one, each with what to do where it is not right.
//!
//! It reads and asks; it changes nothing.

mod database;
mod folder;
mod kafka;
mod logs;
mod roles;

use std::path::PathBuf;

use anyhow::Result;
use platform::bus::BusConfig;
use serde_json::{Value, json};

use super::At;
use crate::output::table;

/// Checks everything that the roles need, and says what to do.
///
/// Works on the system of the data folder, running or not. Exits 1 when something is not right.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) at: At,
    /// The configuration of `takedown migrate`, for its table `bus`; else the bus is the one of the system started here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// One thing that was looked at.
pub(super) struct Finding {
    check: String,
    state: State,
}

enum State {
    Right(String),
    /// What is wrong, and what to do.
    Wrong(String, String),
    /// Why it could not be looked at; something else says what to do.
    Unseen(String),
}

impl Finding {
    pub(super) fn right(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state: State::Right(detail.into()),
        }
    }

    pub(super) fn wrong(
        check: impl Into<String>,
        detail: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            state: State::Wrong(detail.into(), todo.into()),
        }
    }

    pub(super) fn unseen(check: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            state: State::Unseen(why.into()),
        }
    }

    fn row(&self) -> [String; 4] {
        let (word, detail, todo) = match &self.state {
            State::Right(detail) => ("ok", detail.as_str(), ""),
            State::Wrong(detail, todo) => ("problem", detail.as_str(), todo.as_str()),
            State::Unseen(why) => ("not checked", why.as_str(), ""),
        };
        [word, &self.check, detail, todo].map(str::to_owned)
    }

    fn json(&self) -> Value {
        let [state, check, detail, todo] = self.row();
        json!({ "check": check, "state": state, "detail": detail, "todo": todo })
    }
}

/// True when nothing is wrong.
pub(super) async fn run(args: Args) -> Result<bool> {
    let data_dir = args.at.data.path()?;
    let (mut findings, seen) = folder::look(&data_dir);
    let bus = match (&args.config, &seen.profile) {
        (Some(file), _) => super::migrate::bus(file)?,
        (None, Some(profile)) => profile.bus.clone(),
        (None, None) => BusConfig::default(),
    };
    match args.at.database_url() {
        Ok(url) => findings.extend(database::look(&url, &bus, seen.keyring.as_ref()).await),
        Err(_) => findings.push(Finding::wrong(
            "database",
            "no address of a database is known",
            "start `takedown up` on this folder, or set DATABASE_URL",
        )),
    }
    match &seen.profile {
        Some(profile) => findings.extend(roles::look(profile).await),
        None => findings.push(Finding::unseen("roles", "no system was started here")),
    }
    let right = !findings
        .iter()
        .any(|finding| matches!(finding.state, State::Wrong(..)));
    let value = json!({
        "ok": right,
        "checks": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    });
    args.at.format.print(&value, || {
        table(
            ["", "check", "found", "what to do"],
            findings.iter().map(Finding::row),
        )
    });
    Ok(right)
}
