//! Output of the commands: tables for people, JSON for programs, progress bars, and errors as
//! `error[code]: sentence`.
//!
//! Results go to stdout, everything else to stderr. Commands pass no URL to these functions, except `provider watch`, whose user
//! is the provider that the notice asks to remove it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use platform::config::ConfigError;
use platform::error::Problem;
use platform::folder_lock::FolderLockError;
use platform::sealed::KeyringError;
use platform::shutdown::TaskFailed;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

/// Output format of results.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Format {
    /// Prints JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints a result: the JSON value, or the text of `table`.
    pub fn print(self, value: &Value, table: impl FnOnce() -> String) {
        if self.json {
            print(&format!("{value:#}"));
        } else {
            print(&table());
        }
    }

    /// Prints an error on stderr.
    pub fn fail(self, error: &anyhow::Error) {
        let failure = Failure::from_error(error);
        let text = if self.json {
            let field = failure.field.as_deref();
            let error = json!({ "code": failure.code, "detail": failure.sentence, "field": field });
            json!({ "error": error }).to_string()
        } else {
            format!("error[{}]: {}", failure.code, failure.sentence)
        };
        // Nothing can be reported if stderr is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Prints one or more lines on stdout. A closed pipe (`| head`) is not an error.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
}

/// Prints a line on stderr.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A table with column headings.
pub fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    table.trim_fmt()
}

/// Names and values, one pair per line; empty values are left out.
pub fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    for (name, value) in facts {
        if !value.is_empty() {
            table.add_row([name.to_owned(), printable(&value)]);
        }
    }
    table.trim_fmt()
}

/// Replaces control characters, which could move a terminal's cursor or change its colours.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A protobuf timestamp as RFC 3339, to the second; empty if absent.
pub fn format_timestamp(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|at| domain::wire::time("at", at).ok())
        .and_then(|at| at.replace_nanosecond(0).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// A time as RFC 3339, to the second.
pub fn format_time(time: time::OffsetDateTime) -> String {
    format_timestamp(Some(&domain::wire::timestamp(time)))
}

/// A protobuf timestamp as JSON: RFC 3339, to the second, or null.
pub fn timestamp_json(time: Option<&prost_types::Timestamp>) -> Value {
    let text = format_timestamp(time);
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

/// A progress bar, on a terminal only. With a `total` of 0 it counts without an end.
pub fn progress(total: u64, label: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = if total == 0 {
        (ProgressBar::new_spinner(), "{spinner} {msg} {human_pos}")
    } else {
        (
            ProgressBar::new(total),
            "{msg} {bar:30} {human_pos}/{human_len} {eta}",
        )
    };
    // One of the two templates above.
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(style).with_message(label)
}

/// An error as it is printed.
struct Failure {
    code: String,
    sentence: String,
    field: Option<String>,
}

impl Failure {
    fn from_error(error: &anyhow::Error) -> Self {
        if let Some(problem) = error.chain().find_map(problem) {
            return Self {
                code: problem.code.into_owned(),
                sentence: problem.detail,
                field: problem.field,
            };
        }
        let code = error.chain().find_map(code).unwrap_or("failed");
        let detail = error.chain().map(sentence).collect::<Vec<_>>().join(": ");
        Self {
            code: code.to_owned(),
            sentence: detail,
            field: None,
        }
    }
}

fn problem(error: &(dyn std::error::Error + 'static)) -> Option<Problem> {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return Some(problem.clone());
    }
    if let Some(invalid) = error.downcast_ref::<domain::Invalid>() {
        let kind = platform::error::Kind::Invalid;
        let problem = Problem::new(kind, invalid.code, invalid.detail.clone());
        return Some(problem.field(invalid.field.clone()));
    }
    let mut problem = Problem::from(error.downcast_ref::<tonic::Status>()?);
    if problem.code == "unavailable" {
        "The system does not respond; check that `takedown up` is running on this data folder."
            .clone_into(&mut problem.detail);
    }
    Some(problem)
}

fn code(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(FolderLockError::Busy(_)) = error.downcast_ref() {
        return Some("folder_busy");
    }
    #[cfg(feature = "demo")]
    if error.is::<platform::embedded::EmbeddedError>() {
        return Some("database_start");
    }
    if error.is::<KeyringError>() {
        return Some("keyring");
    }
    if error.is::<ConfigError>() {
        return Some("configuration");
    }
    if error.is::<TaskFailed>() {
        return Some("role_failed");
    }
    if error.is::<sqlx::Error>() || error.is::<sqlx::migrate::MigrateError>() {
        return Some("database");
    }
    error.is::<io::Error>().then_some("io")
}

/// An error's message. Messages of Postgres are replaced by their SQLSTATE, because they quote values.
fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => format!(
            "the database reported SQLSTATE {}",
            database.code().as_deref().unwrap_or("unknown")
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::error::Kind;

    #[test]
    fn a_wrapped_problem_keeps_its_code() {
        let problem = Problem::new(Kind::Invalid, "url_missing", "Send a URL.").field("reports[0]");
        let wrapped = anyhow::Error::from(tonic::Status::from(problem)).context("submitting");
        let failure = Failure::from_error(&wrapped);
        assert_eq!(failure.code, "url_missing");
        assert_eq!(failure.sentence, "Send a URL.");
        assert_eq!(failure.field.as_deref(), Some("reports[0]"));
    }

    #[test]
    fn control_characters_are_not_printed() {
        let shown = table(["id"], [["a\u{1b}[2Jb\n".to_owned()]]);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
