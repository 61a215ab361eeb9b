//! The pages: each reads from the services and shows the responses. No decision about a case is made here.

pub(crate) mod case;
pub(crate) mod case_actions;
pub(crate) mod cases;
pub(crate) mod decide;
pub(crate) mod lists;
pub(crate) mod overdue;
pub(crate) mod parked;
pub(crate) mod pipeline;
pub(crate) mod providers;
pub(crate) mod queue;
mod rows;
mod service_health;
pub(crate) mod shift;
pub(crate) mod sign_in;
mod stage_tables;
mod verdict_form;

use std::collections::HashMap;

use askama::Template;
use axum::response::Html;
use platform::error::Problem;
use proto::v1;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::dashboard_queries::service_part;
use crate::edge::Edge;
use crate::error_response::encode_query;
use crate::error_text;
use crate::format::{AlarmFigure, NOT_AVAILABLE, TimeText, format_count, short_id};
use crate::page_error::PageError;
use crate::session::SignedIn;

/// The value of a `datetime-local` field.
const DATE_TIME_FIELD: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]");

/// A part of a page whose service does not respond.
pub(crate) struct MissingPart {
    pub(crate) part: &'static str,
    pub(crate) sentence: String,
}

impl MissingPart {
    pub(crate) fn new(part: &'static str, problem: &Problem) -> Self {
        Self {
            part,
            sentence: error_text::sentence(problem),
        }
    }
}

/// One figure; a dash where its service does not respond.
struct Tile {
    name: &'static str,
    figure: AlarmFigure,
    note: String,
    oldest: TimeText,
    /// The page of what is counted; empty where there is none.
    href: &'static str,
}

impl Tile {
    fn new(name: &'static str, count: Option<u64>, note: &str, now: OffsetDateTime) -> Self {
        Self {
            name,
            figure: AlarmFigure::new(figure(count), false),
            note: note.to_owned(),
            oldest: TimeText::none(now),
            href: "",
        }
    }
}

fn figure(count: Option<u64>) -> String {
    count.map_or_else(|| NOT_AVAILABLE.to_owned(), format_count)
}

/// Three days from now, as the value of a `datetime-local` field.
fn default_police_hold_end(now: OffsetDateTime) -> String {
    let until = now + time::Duration::days(3);
    until.format(DATE_TIME_FIELD).unwrap_or_default()
}

fn render(page: &impl Template) -> Result<Html<String>, PageError> {
    Ok(Html(page.render()?))
}

/// Which page of a list is shown, from `?page_token=`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ListPosition {
    page_token: Option<String>,
}

impl ListPosition {
    fn is_first(&self) -> bool {
        self.page_token.is_none()
    }

    /// The token for the service; empty for the first page.
    fn token(&self) -> String {
        self.page_token.clone().unwrap_or_default()
    }
}

/// The address of the next page of a list; none at its end. `path` may have a query already.
fn next_address(path: &str, next_page_token: &str) -> Option<String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let token = encode_query(next_page_token);
    (!next_page_token.is_empty()).then(|| format!("{path}{separator}page_token={token}"))
}

/// Names of staff by subject. Where they cannot be read, pages show the end of a subject instead.
struct StaffNames(HashMap<String, String>);

impl StaffNames {
    async fn read(edge: &Edge, signed_in: &SignedIn) -> Result<Self, PageError> {
        let mut client = edge.verification(signed_in).await?;
        let request = v1::ListStaffRequest {};
        let response = service_part(edge.call(client.list_staff(request)).await)?;
        let staff = response.map(|list| list.staff).unwrap_or_default();
        Ok(Self(
            staff
                .into_iter()
                .map(|member| (member.subject, member.name))
                .collect(),
        ))
    }

    /// The names of several people, with commas; empty for none.
    fn join(&self, subjects: &[String]) -> String {
        let names: Vec<String> = subjects.iter().map(|subject| self.get(subject)).collect();
        names.join(", ")
    }

    fn get(&self, subject: &str) -> String {
        match self.0.get(subject) {
            Some(name) => name.clone(),
            None => short_id(subject).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_continues_at_its_page_token() {
        assert_eq!(next_address("/overdue", ""), None);
        assert_eq!(
            next_address("/overdue", "a b&c").as_deref(),
            Some("/overdue?page_token=a%20b%26c")
        );
        assert_eq!(
            next_address("/queue?state=queued", "x").as_deref(),
            Some("/queue?state=queued&page_token=x")
        );
    }
}
