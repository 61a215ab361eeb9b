//! `notice`: notices by provider, state and case, and what is overdue.

use anyhow::Result;
use domain::word::NoticeState;
use proto::v1::{ListOverdueRequest, NoticeSummary, Page, SearchNoticesRequest};
use serde_json::{Value, json};

use super::{At, words};
use crate::client::Client;
use crate::output::{Format, at, at_json, print, table};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Notices, newest first.
    List(List),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    at: At,
    /// Only those sent to this provider.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Only those in this state; may be given several times.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<NoticeState>,
    /// Only those of this case.
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// Only those whose clock has run out, longest first.
    #[arg(long, conflicts_with_all = ["provider", "states", "case"])]
    overdue: bool,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        let Self::List(list) = self;
        list.at.format
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    let Command::List(list) = command;
    let client = list.at.client()?;
    if list.overdue {
        overdue(&list, &client).await
    } else {
        search(&list, &client).await
    }
}

async fn search(list: &List, client: &Client) -> Result<()> {
    let mut notices = Vec::new();
    let mut cursor = String::new();
    loop {
        let request = SearchNoticesRequest {
            page: Some(page(list.limit - notices.len(), cursor)),
            provider_id: list.provider.clone().unwrap_or_default(),
            case_id: list.case.clone().unwrap_or_default(),
            states: list.states.iter().map(|state| state.wire()).collect(),
            notice_id: String::new(),
        };
        let answer = client
            .dispatch()
            .search_notices(request)
            .await?
            .into_inner();
        let empty = answer.notices.is_empty();
        notices.extend(answer.notices);
        cursor = answer.next_cursor;
        if empty || cursor.is_empty() || notices.len() >= list.limit {
            break;
        }
    }
    notices.truncate(list.limit);
    list.at.format.print(
        &notices.iter().map(notice_json).collect::<Vec<_>>().into(),
        || notices_table(&notices),
    );
    Ok(())
}

async fn overdue(list: &List, client: &Client) -> Result<()> {
    let mut overdue = Vec::new();
    let mut cursor = String::new();
    let total = loop {
        let request = ListOverdueRequest {
            page: Some(page(list.limit - overdue.len(), cursor)),
        };
        let answer = client.dispatch().list_overdue(request).await?.into_inner();
        let empty = answer.overdue.is_empty();
        overdue.extend(answer.overdue);
        cursor = answer.next_cursor;
        if empty || cursor.is_empty() || overdue.len() >= list.limit {
            break answer.total;
        }
    };
    overdue.truncate(list.limit);
    if list.at.format.json {
        let rows: Vec<Value> = overdue
            .iter()
            .map(|row| {
                let mut value = notice_json(&row.notice.clone().unwrap_or_default());
                value["clock"] = row.clock.clone().into();
                value["overdue_since"] = at_json(row.overdue_since.as_ref());
                value["next_rung"] = words::rung(row.next_rung).into();
                value["next_rung_at"] = at_json(row.next_rung_at.as_ref());
                value
            })
            .collect();
        print(&format!("{:#}", json!({ "overdue": rows, "total": total })));
        return Ok(());
    }
    print(&table(
        ["provider", "clock", "overdue since", "next", "at", "notice"],
        overdue.iter().map(|row| {
            let notice = row.notice.clone().unwrap_or_default();
            [
                notice.provider_id,
                row.clock.clone(),
                at(row.overdue_since.as_ref()),
                words::rung(row.next_rung),
                at(row.next_rung_at.as_ref()),
                notice.notice_id,
            ]
        }),
    ));
    print(&format!("{total} overdue"));
    Ok(())
}

/// What one page may hold is the server's to say.
fn page(wanted: usize, cursor: String) -> Page {
    Page {
        size: u32::try_from(wanted).unwrap_or(u32::MAX),
        cursor,
    }
}

pub(super) fn notices_table(notices: &[NoticeSummary]) -> String {
    table(
        [
            "provider", "rung", "ep", "step", "state", "channel", "attempts", "sent", "due",
            "notice",
        ],
        notices.iter().map(|notice| {
            [
                notice.provider_id.clone(),
                words::rung(notice.rung),
                notice.episode.to_string(),
                notice.step.to_string(),
                words::notice(notice.state),
                words::delivery_channel(notice.channel),
                notice.attempts.to_string(),
                at(notice.dispatched_at.as_ref()),
                at(notice.due_at.as_ref()),
                notice.notice_id.clone(),
            ]
        }),
    )
}

pub(super) fn notice_json(notice: &NoticeSummary) -> Value {
    json!({
        "notice_id": notice.notice_id,
        "case_id": notice.case_id,
        "provider_id": notice.provider_id,
        "episode": notice.episode,
        "step": notice.step,
        "sequence": notice.sequence,
        "rung": words::rung(notice.rung),
        "state": words::notice(notice.state),
        "channel": words::delivery_channel(notice.channel),
        "category": words::category(notice.category),
        "attempts": notice.attempts,
        "dispatched_at": at_json(notice.dispatched_at.as_ref()),
        "delivered_at": at_json(notice.delivered_at.as_ref()),
        "acknowledged_at": at_json(notice.acknowledged_at.as_ref()),
        "removal_claimed_at": at_json(notice.removal_claimed_at.as_ref()),
        "confirmed_removed_at": at_json(notice.confirmed_removed_at.as_ref()),
        "due_at": at_json(notice.due_at.as_ref()),
        "last_failure": notice.last_failure,
        "text": notice.text,
    })
}
