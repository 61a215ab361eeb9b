//! Finding a case: by a report's reference, the case's or a notice's id, a submitter's own id, or a URL.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::id::{CaseId, NoticeId, Reference};
use domain::invalid::text;
use platform::error::{Kind, Problem};
use proto::v1;
use proto::v1::find_reports_request::By;
use serde::Deserialize;
use std::collections::BTreeSet;
use time::OffsetDateTime;

use super::{Frame, render};
use crate::edge::Edge;
use crate::posted::{Asked, Posted};
use crate::refused::Refused;
use crate::session::Signed;
use crate::show::{When, label, short, word};

#[derive(Template)]
#[template(path = "cases.html")]
struct Page {
    frame: Frame,
    asked: String,
    searched: bool,
    reports: Vec<ReportRow>,
}

/// A report as intake has it.
pub(super) struct ReportRow {
    pub(super) case_id: String,
    pub(super) case_short: String,
    pub(super) short: String,
    pub(super) channel: String,
    pub(super) partner: String,
    pub(super) external_id: String,
    pub(super) media: String,
    pub(super) outcome: String,
    pub(super) received: When,
}

impl ReportRow {
    pub(super) fn new(of: v1::ReportSummary, now: OffsetDateTime) -> Self {
        Self {
            case_short: short(&of.case_id).to_owned(),
            short: short(&of.report_id).to_owned(),
            channel: label(word!(ReportChannel, of.channel)),
            media: label(word!(Media, of.media)),
            outcome: label(word!(Outcome, of.outcome)),
            received: When::at(of.received_at.as_ref(), now),
            case_id: of.case_id,
            partner: of.partner,
            external_id: of.external_id,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Search {
    #[serde(default, rename = "ref")]
    reference: String,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Asked(search): Asked<Search>,
) -> Result<Response, Refused> {
    let asked = search.reference.trim();
    if asked.is_empty() {
        return answer(&signed, "", false, Vec::new());
    }
    let back = |refused: Refused| refused.back("/cases", "the search");
    let asked = text("ref", asked, 128).map_err(|invalid| back(invalid.into()))?;
    if asked.contains("://") {
        return Err(back(
            Problem::new(
                Kind::Invalid,
                "search_has_url",
                "A URL does not belong into this field, which shows in the address bar; use the field for URLs below it.",
            )
            .into(),
        ));
    }
    let mut ways = Vec::with_capacity(3);
    if asked.parse::<CaseId>().is_ok() {
        ways.push(By::CaseId(asked.clone()));
    }
    if asked.parse::<Reference>().is_ok() {
        ways.push(By::Reference(asked.clone()));
    }
    ways.push(By::ExternalId(asked.clone()));
    for by in ways {
        let found = find(&edge, &signed, by).await.map_err(back)?;
        if !found.is_empty() {
            return answer(&signed, &asked, true, found);
        }
    }
    if let Ok(notice) = asked.parse::<NoticeId>()
        && let Some(case) = case_of(&edge, &signed, notice).await.map_err(back)?
    {
        return Ok(Redirect::to(&format!("/cases/{case}")).into_response());
    }
    answer(&signed, &asked, true, Vec::new())
}

#[derive(Deserialize)]
pub(crate) struct Address {
    #[serde(default)]
    url: String,
}

/// By URL, which never stands in an address of ours.
pub(crate) async fn by_url(
    State(edge): State<Edge>,
    Posted(signed, form): Posted<Address>,
) -> Result<Response, Refused> {
    let found = find(&edge, &signed, By::Url(form.url.trim().to_owned()))
        .await
        .map_err(|refused| refused.back("/cases", "the search"))?;
    answer(&signed, "", true, found)
}

/// One case is shown at once; several are listed.
fn answer(
    signed: &Signed,
    asked: &str,
    searched: bool,
    found: Vec<v1::ReportSummary>,
) -> Result<Response, Refused> {
    let cases: BTreeSet<&str> = found.iter().map(|report| report.case_id.as_str()).collect();
    if let (1, Some(case)) = (cases.len(), cases.first()) {
        let case: CaseId = case.parse()?;
        return Ok(Redirect::to(&format!("/cases/{case}")).into_response());
    }
    let now = platform::clock::wall();
    let page: Html<String> = render(&Page {
        frame: Frame::new("/cases", signed),
        asked: asked.to_owned(),
        searched,
        reports: found
            .into_iter()
            .map(|report| ReportRow::new(report, now))
            .collect(),
    })?;
    Ok(page.into_response())
}

/// The case that a notice is about.
async fn case_of(
    edge: &Edge,
    signed: &Signed,
    notice: NoticeId,
) -> Result<Option<CaseId>, Refused> {
    let mut client = edge.dispatch(signed).await?;
    let request = v1::SearchNoticesRequest {
        notice_id: notice.to_string(),
        ..Default::default()
    };
    let found = edge.ask(client.search_notices(request)).await?;
    let case = found.notices.first().map(|notice| notice.case_id.parse());
    Ok(case.transpose()?)
}

/// Reports that fit. An owner that knows none may say so or give none.
pub(super) async fn find(
    edge: &Edge,
    signed: &Signed,
    by: By,
) -> Result<Vec<v1::ReportSummary>, Refused> {
    let mut client = edge.intake(signed).await?;
    let request = v1::FindReportsRequest { by: Some(by) };
    match edge.ask(client.find_reports(request)).await {
        Ok(answer) => Ok(answer.reports),
        Err(problem) if problem.kind == Kind::NotFound => Ok(Vec::new()),
        Err(problem) => Err(problem.into()),
    }
}
