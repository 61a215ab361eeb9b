//! Providers: the directory, and the scorecard of each: how fast it answers and removes, and how fast and accurate we are
//! towards it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use domain::id::ProviderId;
use domain::wire::seconds;
use proto::v1;
use time::OffsetDateTime;

use super::rows::NoticeRow;
use super::stage_tables::clock_rows;
use super::{ListPosition, MissingPart, next_address, render};
use crate::dashboard_queries::service_part;
use crate::edge::Edge;
use crate::form::QueryParams;
use crate::format::{
    AlarmFigure, NOT_AVAILABLE, TimeText, format_count, format_percent, format_seconds, label,
    or_dash, wire_name,
};
use crate::frame::Frame;
use crate::page_error::PageError;
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "providers.html")]
struct ProvidersPage {
    frame: Frame,
    rows: Vec<ProviderRow>,
    next: Option<String>,
}

struct ProviderRow {
    id: String,
    role: String,
    country: String,
    channel: String,
    open: String,
    overdue: AlarmFigure,
    total: String,
    /// In percent.
    health: u32,
}

impl ProviderRow {
    fn from_proto(summary: v1::ProviderSummary) -> Self {
        let provider = summary.provider.unwrap_or_default();
        Self {
            role: label(wire_name!(ProviderRole, provider.role)),
            channel: label(wire_name!(DeliveryChannel, provider.channel)),
            country: provider.country,
            id: provider.provider_id,
            open: format_count(summary.notices_open),
            overdue: AlarmFigure::new(
                format_count(summary.notices_overdue),
                summary.notices_overdue > 0,
            ),
            total: format_count(summary.notices_total),
            health: summary.contact_health.min(100),
        }
    }
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    QueryParams(position): QueryParams<ListPosition>,
) -> Result<Html<String>, PageError> {
    let mut client = edge.dispatch(&signed_in).await?;
    let request = v1::ListProvidersRequest {
        page_size: 0,
        page_token: position.token(),
    };
    let list = edge
        .call(client.list_providers(request))
        .await
        .map_err(|problem| PageError::from(problem).with_link("/providers", "the providers"))?;
    render(&ProvidersPage {
        rows: list
            .providers
            .into_iter()
            .map(ProviderRow::from_proto)
            .collect(),
        next: next_address("/providers", &list.next_page_token),
        frame: Frame::new("/providers", &signed_in),
    })
}

#[derive(Template)]
#[template(path = "provider.html")]
struct ProviderPage {
    frame: Frame,
    row: ProviderRow,
    asn: String,
    domains: String,
    networks: String,
    upstream: String,
    registrar: String,
    origin: String,
    their_clocks: Vec<ProviderClock>,
    our_clocks: Vec<[String; 4]>,
    accuracy: Accuracy,
    states: Vec<(String, String, TimeText)>,
    false_claims: String,
    missing: Vec<MissingPart>,
    notices: Vec<NoticeRow>,
    next: Option<String>,
}

/// How long a provider takes for one step, and how often that was within the time allowed.
struct ProviderClock {
    name: String,
    p50: String,
    p99: String,
    notices: String,
    /// Empty where the step has no deadline.
    allowed: String,
    in_time: String,
}

/// How accurate our notices to a provider are.
struct Accuracy {
    retracted: String,
    /// Of all notices sent to the provider, in percent.
    retracted_share: String,
    retracted_disputed: String,
    disputes_open: String,
    disputes_refused: String,
}

pub(crate) async fn provider_page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    Path(provider): Path<String>,
    QueryParams(position): QueryParams<ListPosition>,
) -> Result<Html<String>, PageError> {
    let id: ProviderId = provider.parse()?;
    let mut client = edge.dispatch(&signed_in).await?;
    let request = v1::GetProviderRequest {
        provider_id: id.to_string(),
    };
    let provider = edge
        .call(client.get_provider(request))
        .await
        .map_err(|problem| PageError::from(problem).with_link("/providers", "the providers"))?;
    let request = v1::SearchNoticesRequest {
        page_token: position.token(),
        provider_id: id.to_string(),
        ..Default::default()
    };
    let mut missing = Vec::new();
    let notices = match service_part(edge.call(client.search_notices(request)).await)? {
        Ok(notices) => notices,
        Err(problem) => {
            missing.push(MissingPart::new("Dispatch: the notices", &problem));
            v1::SearchNoticesResponse::default()
        }
    };
    let frame = Frame::new("/providers", &signed_in);
    let now = platform::clock::wall();
    render(&ProviderPage::new(frame, provider, notices, missing, now))
}

impl ProviderPage {
    fn new(
        frame: Frame,
        response: v1::GetProviderResponse,
        notices: v1::SearchNoticesResponse,
        missing: Vec<MissingPart>,
        now: OffsetDateTime,
    ) -> Self {
        let summary = response.summary.unwrap_or_default();
        let provider = summary.provider.clone().unwrap_or_default();
        let card = response.scorecard.clone().unwrap_or_default();
        let path = format!("/providers/{}", provider.provider_id);
        let state_row = |stage: &v1::StageCount| {
            (
                label(&stage.stage),
                format_count(stage.count),
                TimeText::relative(stage.oldest.as_ref(), now),
            )
        };
        Self {
            next: next_address(&path, &notices.next_page_token),
            notices: notices
                .notices
                .into_iter()
                .map(|notice| NoticeRow::from_proto(notice, now))
                .collect(),
            asn: match provider.asn {
                0 => NOT_AVAILABLE.to_owned(),
                asn => format!("AS{asn}"),
            },
            domains: or_dash(provider.domains.join(", ")),
            networks: or_dash(provider.cidrs.join(", ")),
            upstream: provider.upstream,
            registrar: provider.registrar,
            origin: provider.origin,
            their_clocks: their_clocks(&response.clocks, &card),
            our_clocks: clock_rows(&card.our_clocks),
            accuracy: Accuracy {
                retracted: format_count(card.retracted),
                retracted_share: format_percent(card.retracted, summary.notices_total),
                retracted_disputed: format_count(card.retracted_disputed),
                disputes_open: format_count(card.disputes_open),
                disputes_refused: format_count(card.disputes_refused),
            },
            states: response
                .by_state
                .iter()
                .filter(|stage| stage.count > 0)
                .map(state_row)
                .collect(),
            false_claims: format_count(response.false_claims),
            missing,
            row: ProviderRow::from_proto(summary),
            frame,
        }
    }
}

fn their_clocks(figures: &[v1::ClockFigure], card: &v1::Scorecard) -> Vec<ProviderClock> {
    let row = |(figure, formatted): (&v1::ClockFigure, [String; 4])| {
        let punctuality = match figure.clock.as_str() {
            "acknowledged" => card.answered.as_ref(),
            "confirmed_removed" => card.removed.as_ref(),
            _ => None,
        };
        let punctuality = punctuality.filter(|counts| counts.in_time + counts.late > 0);
        let [name, p50, p99, notices] = formatted;
        ProviderClock {
            name,
            p50,
            p99,
            notices,
            allowed: punctuality.map_or_else(String::new, |counts| {
                format_seconds(seconds(counts.allowed.as_ref()))
            }),
            in_time: punctuality.map_or_else(String::new, |counts| {
                let all = counts.in_time + counts.late;
                format!(
                    "{} of {} ({})",
                    format_count(counts.in_time),
                    format_count(all),
                    format_percent(counts.in_time, all)
                )
            }),
        }
    };
    figures.iter().zip(clock_rows(figures)).map(row).collect()
}
