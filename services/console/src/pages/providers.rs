//! Providers: how fast they are, and how right we are.

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
use crate::show::{When, count, label, word};

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
    clocks: Vec<[String; 4]>,
    states: Vec<(String, String, When)>,
    disputed: String,
    withdrawn: String,
    false_claims: String,
    missing: Vec<Missing>,
    notices: Vec<NoticeRow>,
    next: Option<String>,
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
    let of_state = |state: &str| {
        let these = answer.by_state.iter().filter(|count| count.stage == state);
        count(these.map(|count| count.count).sum())
    };
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
        clocks: clocks(&answer.clocks),
        disputed: of_state("disputed"),
        withdrawn: of_state("withdrawn"),
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
