//! What the commands print: tables for people, JSON for programs, progress on long work, and failures as
//! `error[code]: sentence`.
//!
//! Results go to stdout, everything else to stderr. Nothing here prints a URL: commands do not hand one over.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use platform::config::ConfigError;
use platform::embedded::EmbeddedError;
use platform::error::Problem;
use platform::sealed::KeyringError;
use platform::shutdown::TaskFailed;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

/// How results are wanted.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Format {
    /// JSON for programs, instead of tables for people.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints a result: the value as it is, or what `people` makes of it.
    pub fn print(self, value: &Value, people: impl FnOnce() -> String) {
        if self.json {
            print(&format!("{value:#}"));
        } else {
            print(&people());
        }
    }

    /// Prints a failure on stderr.
    pub fn fail(self, error: &anyhow::Error) {
        let failure = Failure::of(error);
        let text = if self.json {
            let field = failure.field.as_deref();
            let error = json!({ "code": failure.code, "detail": failure.sentence, "field": field });
            json!({ "error": error }).to_string()
        } else {
            format!("error[{}]: {}", failure.code, failure.sentence)
        };
        // There is nobody left to tell when stderr is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// One line or several on stdout. A reader that has seen enough (`| head`) is no failure.
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
}

/// A line on stderr, beside whatever goes to stdout.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A table with a line of headings.
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
        table.add_row(row.map(|cell| plain(&cell)));
    }
    table.trim_fmt()
}

/// Names and values, a line each.
pub fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    for (name, value) in facts {
        if !value.is_empty() {
            table.add_row([name.to_owned(), plain(&value)]);
        }
    }
    table.trim_fmt()
}

/// Text from outside without the characters that move a terminal's cursor or change its colours.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A time of the wire, to the second; empty where there is none.
pub fn at(time: Option<&prost_types::Timestamp>) -> String {
    time.and_then(|at| domain::wire::time("at", at).ok())
        .and_then(|at| at.replace_nanosecond(0).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// A time of our own, to the second.
pub fn at_time(time: time::OffsetDateTime) -> String {
    at(Some(&domain::wire::timestamp(time)))
}

/// The same for JSON.
pub fn at_json(time: Option<&prost_types::Timestamp>) -> Value {
    let text = at(time);
    if text.is_empty() {
        Value::Null
    } else {
        text.into()
    }
}

/// A bar with a count, on a terminal only; `total` of 0 counts upwards without an end.
pub fn progress(total: u64, doing: &'static str) -> ProgressBar {
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
    // The templates are the two above.
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(style).with_message(doing)
}

/// A failure as people and programs see it.
struct Failure {
    code: String,
    sentence: String,
    field: Option<String>,
}

impl Failure {
    fn of(error: &anyhow::Error) -> Self {
        if let Some(problem) = error.chain().find_map(problem) {
            return Self {
                code: problem.code.into_owned(),
                sentence: problem.detail,
                field: problem.field,
            };
        }
        let code = error.chain().find_map(code).unwrap_or("failed");
        let sentence = error.chain().map(words).collect::<Vec<_>>().join(": ");
        Self {
            code: code.to_owned(),
            sentence,
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
        "The system does not answer; see whether `takedown up` is running on this data folder."
            .clone_into(&mut problem.detail);
    }
    Some(problem)
}

fn code(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<EmbeddedError>() {
        return Some(match error {
            EmbeddedError::Busy(_) => "folder_busy",
            _ => "database_start",
        });
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

/// What Postgres says of a failed row quotes its values: its number is enough.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(refused)) => format!(
            "the database refused (SQLSTATE {})",
            refused.code().as_deref().unwrap_or("unknown")
        ),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::error::Kind;

    #[test]
    fn a_problem_keeps_its_code_whatever_lies_around_it() {
        let problem = Problem::new(Kind::Invalid, "url_missing", "Send a URL.").field("items[0]");
        let wrapped = anyhow::Error::from(tonic::Status::from(problem)).context("submitting");
        let failure = Failure::of(&wrapped);
        assert_eq!(failure.code, "url_missing");
        assert_eq!(failure.sentence, "Send a URL.");
        assert_eq!(failure.field.as_deref(), Some("items[0]"));
    }

    #[test]
    fn what_comes_from_outside_cannot_steer_a_terminal() {
        let shown = table(["id"], [["a\u{1b}[2Jb\n".to_owned()]]);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
