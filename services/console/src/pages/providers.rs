//! Providers: how fast and true to their word they are, and how fast and right we are towards them.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use domain::id::ProviderId;
use proto::v1;
use serde::Deserialize;
use time::OffsetDateTime;

use super::row::NoticeRow;
use super::stages::clocks;
use super::{Frame, Missing, page_of, render};
use crate::board::part;
use crate::edge::Edge;
use crate::posted::Asked;
use crate::refused::{Refused, query};
use crate::session::Signed;
use crate::show::{When, count, label, length, word};

#[derive(Template)]
#[template(path = "providers.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    id: String,
    role: String,
    country: String,
    channel: String,
    open: String,
    overdue: String,
    late: bool,
    total: String,
    health: u32,
}

impl Row {
    fn new(of: v1::ProviderSummary) -> Self {
        let provider = of.provider.unwrap_or_default();
        Self {
            role: label(word!(ProviderRole, provider.role)),
            channel: label(word!(DeliveryChannel, provider.channel)),
            country: provider.country,
            id: provider.provider_id,
            open: count(of.notices_open),
            overdue: count(of.notices_overdue),
            late: of.notices_overdue > 0,
            total: count(of.notices_total),
            health: of.contact_health.min(100),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Place {
    cursor: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    let mut client = edge.dispatch(&signed).await?;
    let request = v1::ListProvidersRequest {
        page: Some(page_of(place.cursor.as_ref())),
    };
    let answer = edge
        .ask(client.list_providers(request))
        .await
        .map_err(|problem| Refused::from(problem).back("/providers", "the providers"))?;
    render(&Page {
        rows: answer.providers.into_iter().map(Row::new).collect(),
        next: (!answer.next_cursor.is_empty())
            .then(|| format!("/providers?cursor={}", query(&answer.next_cursor))),
        frame: Frame::new("/providers", &signed),
    })
}

#[derive(Template)]
#[template(path = "provider.html")]
struct One {
    frame: Frame,
    row: Row,
    asn: String,
    domains: String,
    networks: String,
    upstream: String,
    registrar: String,
    origin: String,
    theirs: Vec<Clock>,
    ours: Vec<[String; 4]>,
    accuracy: Accuracy,
    states: Vec<(String, String, When)>,
    false_claims: String,
    missing: Vec<Missing>,
    notices: Vec<NoticeRow>,
    next: Option<String>,
}

/// A clock of theirs, beside what was allowed.
struct Clock {
    name: String,
    p50: String,
    p99: String,
    notices: String,
    /// What is allowed and how often it was kept; nothing where the clock has no limit.
    due: String,
    kept: String,
}

/// How right we were towards them.
struct Accuracy {
    retracted: String,
    retracted_disputed: String,
    open: String,
    refused: String,
    /// Of what they were sent, in hundredths.
    share: String,
}

pub(crate) async fn one(
    State(edge): State<Edge>,
    signed: Signed,
    Path(provider): Path<String>,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    let id: ProviderId = provider.parse()?;
    let back = |refused: Refused| refused.back("/providers", "the providers");
    let mut client = edge.dispatch(&signed).await?;
    let request = v1::GetProviderRequest {
        provider_id: id.to_string(),
    };
    let answer = edge
        .ask(client.get_provider(request))
        .await
        .map_err(|problem| back(problem.into()))?;
    let request = v1::SearchNoticesRequest {
        page: Some(page_of(place.cursor.as_ref())),
        provider_id: id.to_string(),
        ..Default::default()
    };
    let mut missing = Vec::new();
    let notices = match part(edge.ask(client.search_notices(request)).await)? {
        Ok(notices) => notices,
        Err(problem) => {
            missing.push(Missing::new("Dispatch: the notices", &problem));
            v1::SearchNoticesResponse::default()
        }
    };
    render(&view(
        &signed,
        answer,
        notices,
        missing,
        platform::clock::wall(),
    ))
}

fn view(
    signed: &Signed,
    answer: v1::GetProviderResponse,
    notices: v1::SearchNoticesResponse,
    missing: Vec<Missing>,
    now: OffsetDateTime,
) -> One {
    let summary = answer.summary.unwrap_or_default();
    let provider = summary.provider.clone().unwrap_or_default();
    let card = answer.scorecard.clone().unwrap_or_default();
    let or_none = |text: String| {
        if text.is_empty() {
            "–".to_owned()
        } else {
            text
        }
    };
    One {
        next: (!notices.next_cursor.is_empty()).then(|| {
            let cursor = query(&notices.next_cursor);
            format!("/providers/{}?cursor={cursor}", provider.provider_id)
        }),
        notices: notices
            .notices
            .into_iter()
            .map(|notice| NoticeRow::new(notice, now))
            .collect(),
        asn: if provider.asn == 0 {
            "–".to_owned()
        } else {
            format!("AS{}", provider.asn)
        },
        domains: or_none(provider.domains.join(", ")),
        networks: or_none(provider.cidrs.join(", ")),
        upstream: provider.upstream,
        registrar: provider.registrar,
        origin: provider.origin,
        theirs: theirs(&answer.clocks, &card),
        ours: clocks(&card.ours),
        accuracy: Accuracy {
            retracted: count(card.retracted),
            retracted_disputed: count(card.retracted_disputed),
            open: count(card.disputes_open),
            refused: count(card.disputes_refused),
            share: percent(card.retracted, summary.notices_total),
        },
        states: answer
            .by_state
            .iter()
            .filter(|stage| stage.count > 0)
            .map(|stage| {
                (
                    label(&stage.stage),
                    count(stage.count),
                    When::age(stage.oldest.as_ref(), now),
                )
            })
            .collect(),
        false_claims: count(answer.false_claims),
        missing,
        row: Row::new(summary),
        frame: Frame::new("/providers", signed),
    }
}

fn theirs(figures: &[v1::ClockFigure], card: &v1::Scorecard) -> Vec<Clock> {
    let line = |(figure, shown): (&v1::ClockFigure, [String; 4])| {
        let promise = match figure.clock.as_str() {
            "acknowledged" => card.answered.as_ref(),
            "confirmed_removed" => card.removed.as_ref(),
            _ => None,
        };
        let due = promise.filter(|kept| kept.in_time + kept.late > 0);
        let [name, p50, p99, notices] = shown;
        Clock {
            name,
            p50,
            p99,
            notices,
            due: due.map_or_else(String::new, |kept| length(kept.allowed_seconds)),
            kept: due.map_or_else(String::new, |kept| {
                let all = kept.in_time + kept.late;
                format!(
                    "{} of {} ({})",
                    count(kept.in_time),
                    count(all),
                    percent(kept.in_time, all)
                )
            }),
        }
    };
    figures.iter().zip(clocks(figures)).map(line).collect()
}

fn percent(part: u64, all: u64) -> String {
    let of_hundred = (part * 100).checked_div(all);
    of_hundred.map_or_else(|| "–".to_owned(), |share| format!("{share} %"))
}
