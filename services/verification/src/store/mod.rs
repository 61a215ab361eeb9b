//! Every SQL statement of verification, as named functions; rows are parsed again on the way out. No decisions.

pub(crate) mod acts;
pub(crate) mod cases;
pub(crate) mod lists;
pub(crate) mod looks;
pub(crate) mod queue;
pub(crate) mod reports;
pub(crate) mod rules;
pub(crate) mod staff;
pub(crate) mod workload;

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use crate::case::Finding;
use crate::error::Error;

/// Reads a word from a row; a bad one is named by table, column and id.
pub(crate) fn parsed<T: FromStr>(
    text: &str,
    table: &'static str,
    column: &'static str,
    id: impl std::fmt::Display,
) -> Result<T, Error> {
    text.parse().map_err(|_| Error::bad_row(table, column, id))
}

fn finding(category: Option<&str>, reason: Option<&str>) -> Option<Finding> {
    match (category, reason) {
        (Some(category), None) => category.parse().ok().map(Finding::Actionable),
        (None, Some(reason)) => reason.parse().ok().map(Finding::NotActionable),
        _ => None,
    }
}

/// A list in Postgres' own spelling: `unnest` would flatten an array of arrays. For words that need no escape: ids, and
/// the bases of decisions.
fn array_text<T: Display>(items: &[T]) -> String {
    let mut text = String::from("{");
    for (place, item) in items.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}\"{item}\"");
    }
    text.push('}');
    text
}
