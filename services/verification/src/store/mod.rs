//! All SQL statements of verification, as named functions. Rows are parsed into domain types when they are
//! read. No decisions.

pub(crate) mod case_acts;
pub(crate) mod cases;
pub(crate) mod hash_lists;
pub(crate) mod matching_version;
pub(crate) mod queue;
pub(crate) mod reports;
pub(crate) mod reveals;
pub(crate) mod reviews;
pub(crate) mod rules;
pub(crate) mod second_opinions;
pub(crate) mod staff;
pub(crate) mod workload;

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use crate::case::CaseVerdict;
use crate::error::Error;

/// Parses a column value. The error names table, column and row.
pub(crate) fn parse_column<T: FromStr>(
    text: &str,
    table: &'static str,
    column: &'static str,
    id: impl std::fmt::Display,
) -> Result<T, Error> {
    text.parse().map_err(|_| Error::bad_row(table, column, id))
}

fn case_verdict(category: Option<&str>, reason: Option<&str>) -> Option<CaseVerdict> {
    match (category, reason) {
        (Some(category), None) => category.parse().ok().map(CaseVerdict::Actionable),
        (None, Some(reason)) => reason.parse().ok().map(CaseVerdict::NotActionable),
        _ => None,
    }
}

/// An array as a Postgres literal, because `unnest` would flatten an array of arrays. Only for values that
/// need no escaping: ids and the bases of decisions.
fn array_text<T: Display>(items: &[T]) -> String {
    let mut text = String::from("{");
    for (index, item) in items.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}\"{item}\"");
    }
    text.push('}');
    text
}
