//! `notice list`: notices by provider, state and case, or overdue ones.

use anyhow::Result;
use domain::enums::NoticeState;
use proto::v1::{ListOverdueRequest, NoticeSummary, SearchNoticesRequest};
use roles::client::Client;
use serde_json::{Value, json};

use super::{CommonArgs, labels};
use crate::output::{Format, format_timestamp, print, table, timestamp_json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists notices, newest first.
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Only notices to this provider.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// Only notices in this state; may be repeated.
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<NoticeState>,
    /// Only notices of this case.
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// Only overdue notices, longest overdue first.
    #[arg(long, conflicts_with_all = ["provider", "states", "case"])]
    overdue: bool,
    /// Maximum number of notices.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
}

impl Command {
    pub(super) fn format(&self) -> Format {
        let Self::List(list) = self;
        list.common.format
    }
}

pub(super) async fn run(command: Command) -> Result<()> {
    let Command::List(list) = command;
    let client = list.common.client()?;
    if list.overdue {
        overdue(&list, &client).await
    } else {
        search(&list, &client).await
    }
}

async fn search(list: &ListArgs, client: &Client) -> Result<()> {
    let mut notices = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = SearchNoticesRequest {
            page_size: page_size(list.limit - notices.len()),
            page_token,
            provider_id: list.provider.clone().unwrap_or_default(),
            case_id: list.case.clone().unwrap_or_default(),
            states: list.states.iter().map(|state| state.wire()).collect(),
            notice_id: String::new(),
        };
        let response = client
            .dispatch()
            .search_notices(request)
            .await?
            .into_inner();
        let empty = response.notices.is_empty();
        notices.extend(response.notices);
        page_token = response.next_page_token;
        if empty || page_token.is_empty() || notices.len() >= list.limit {
            break;
        }
    }
    notices.truncate(list.limit);
    list.common.format.print(
        &notices.iter().map(notice_json).collect::<Vec<_>>().into(),
        || notices_table(&notices),
    );
    Ok(())
}

async fn overdue(list: &ListArgs, client: &Client) -> Result<()> {
    let mut overdue = Vec::new();
    let mut page_token = String::new();
    let total = loop {
        let request = ListOverdueRequest {
            page_size: page_size(list.limit - overdue.len()),
            page_token,
        };
        let response = client.dispatch().list_overdue(request).await?.into_inner();
        let empty = response.overdue.is_empty();
        overdue.extend(response.overdue);
        page_token = response.next_page_token;
        if empty || page_token.is_empty() || overdue.len() >= list.limit {
            break response.total;
        }
    };
    overdue.truncate(list.limit);
    if list.common.format.json {
        let rows: Vec<Value> = overdue
            .iter()
            .map(|row| {
                let mut value = notice_json(&row.notice.clone().unwrap_or_default());
                value["deadline"] = labels::deadline(row.deadline).into();
                value["overdue_since"] = timestamp_json(row.overdue_since.as_ref());
                value["next_rung"] = labels::rung(row.next_rung).into();
                value["next_rung_at"] = timestamp_json(row.next_rung_at.as_ref());
                value
            })
            .collect();
        print(&format!("{:#}", json!({ "overdue": rows, "total": total })));
        return Ok(());
    }
    print(&table(
        [
            "provider",
            "deadline",
            "overdue since",
            "next",
            "at",
            "notice",
        ],
        overdue.iter().map(|row| {
            let notice = row.notice.clone().unwrap_or_default();
            [
                notice.provider_id,
                labels::deadline(row.deadline),
                format_timestamp(row.overdue_since.as_ref()),
                labels::rung(row.next_rung),
                format_timestamp(row.next_rung_at.as_ref()),
                notice.notice_id,
            ]
        }),
    ));
    print(&format!("{total} overdue"));
    Ok(())
}

/// The server limits the page size.
fn page_size(wanted: usize) -> i32 {
    i32::try_from(wanted).unwrap_or(i32::MAX)
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
                labels::rung(notice.rung),
                notice.episode.to_string(),
                notice.step.to_string(),
                labels::notice(notice.state),
                labels::delivery_channel(notice.channel),
                notice.attempts.to_string(),
                format_timestamp(notice.dispatched_at.as_ref()),
                format_timestamp(notice.due_at.as_ref()),
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
        "rung": labels::rung(notice.rung),
        "state": labels::notice(notice.state),
        "channel": labels::delivery_channel(notice.channel),
        "category": labels::category(notice.category),
        "attempts": notice.attempts,
        "dispatched_at": timestamp_json(notice.dispatched_at.as_ref()),
        "delivered_at": timestamp_json(notice.delivered_at.as_ref()),
        "acknowledged_at": timestamp_json(notice.acknowledged_at.as_ref()),
        "removal_claimed_at": timestamp_json(notice.removal_claimed_at.as_ref()),
        "confirmed_removed_at": timestamp_json(notice.confirmed_removed_at.as_ref()),
        "due_at": timestamp_json(notice.due_at.as_ref()),
        "last_failure": notice.last_failure,
        "text": notice.text,
    })
}
