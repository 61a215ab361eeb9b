//! Finds a case by a report's reference, the id of a case or notice, the reporter's own id of a report, or a URL.

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

use super::render;
use crate::edge::Edge;
use crate::form::{QueryParams, RefusedForm, SubmittedForm};
use crate::format::{TimeText, label, short_id, wire_name};
use crate::frame::Frame;
use crate::page_error::{PageError, RawForm};
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "cases.html")]
struct SearchPage {
    frame: Frame,
    searched: Searched,
    reports: Vec<ReportRow>,
}

/// What was searched for.
enum Searched {
    Nothing,
    Reference(String),
    Url,
}

/// A report as intake returns it.
pub(super) struct ReportRow {
    pub(super) case_id: String,
    pub(super) case_short: String,
    pub(super) short: String,
    pub(super) channel: String,
    pub(super) partner: String,
    pub(super) external_id: String,
    pub(super) media: String,
    pub(super) outcome: String,
    pub(super) received: TimeText,
}

impl ReportRow {
    pub(super) fn from_proto(report: v1::ReportSummary, now: OffsetDateTime) -> Self {
        Self {
            case_short: short_id(&report.case_id).to_owned(),
            short: short_id(&report.report_id).to_owned(),
            channel: label(wire_name!(ReportChannel, report.channel)),
            media: label(wire_name!(Media, report.media)),
            outcome: label(wire_name!(Outcome, report.outcome)),
            received: TimeText::absolute(report.received_at.as_ref(), now),
            case_id: report.case_id,
            partner: report.partner,
            external_id: report.external_id,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct ReferenceQuery {
    #[serde(default, rename = "ref")]
    reference: String,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    QueryParams(query): QueryParams<ReferenceQuery>,
) -> Result<Response, PageError> {
    let typed = query.reference.trim();
    if typed.is_empty() {
        return show(&signed_in, Searched::Nothing, Vec::new());
    }
    match find_by_reference(&edge, &signed_in, typed).await {
        Ok(found) => found,
        Err((form, error)) => {
            // A URL is moved to the field for URLs, so that the next search keeps it out of the address bar.
            let field = if form == "url" { "url" } else { "ref" };
            let raw = RawForm {
                action: "/cases".to_owned(),
                fields: vec![(field.to_owned(), typed.to_owned())],
            };
            refuse(&signed_in, form, raw, error)
        }
    }
}

/// Tries each kind of reference that the text can be. An error names the form that it is shown at.
async fn find_by_reference(
    edge: &Edge,
    signed_in: &SignedIn,
    typed: &str,
) -> Result<Result<Response, PageError>, (&'static str, PageError)> {
    let at_reference = |error: PageError| ("reference", error);
    if typed.contains("://") {
        let problem = Problem::new(Kind::Invalid, "search_has_url", "").field("url");
        return Err(("url", problem.into()));
    }
    let typed = text("ref", typed, 128).map_err(|invalid| at_reference(invalid.into()))?;
    let mut searches = Vec::with_capacity(3);
    if typed.parse::<CaseId>().is_ok() {
        searches.push(By::CaseId(typed.clone()));
    }
    if typed.parse::<Reference>().is_ok() {
        searches.push(By::Reference(typed.clone()));
    }
    searches.push(By::ExternalId(typed.clone()));
    for by in searches {
        let found = find(edge, signed_in, by).await.map_err(at_reference)?;
        if !found.is_empty() {
            return Ok(show(signed_in, Searched::Reference(typed), found));
        }
    }
    if let Ok(notice) = typed.parse::<NoticeId>()
        && let Some(case) = case_of_notice(edge, signed_in, notice)
            .await
            .map_err(at_reference)?
    {
        return Ok(Ok(Redirect::to(&format!("/cases/{case}")).into_response()));
    }
    Ok(show(signed_in, Searched::Reference(typed), Vec::new()))
}

#[derive(Deserialize)]
pub(crate) struct UrlForm {
    #[serde(default)]
    url: String,
}

/// By URL, which is sent in the body because addresses are stored in histories and logs.
pub(crate) async fn find_by_url(
    State(edge): State<Edge>,
    form: SubmittedForm<UrlForm>,
) -> Result<Response, PageError> {
    let url = form.fields.url.trim().to_owned();
    match find(&edge, &form.signed_in, By::Url(url)).await {
        Ok(found) => show(&form.signed_in, Searched::Url, found),
        Err(error) => refuse(&form.signed_in, "url", form.raw, error),
    }
}

/// The search page with a search that was refused.
fn refuse(
    signed_in: &SignedIn,
    name: &'static str,
    raw: RawForm,
    error: PageError,
) -> Result<Response, PageError> {
    let refused = RefusedForm::new(name, raw, error)?;
    let page = render(&SearchPage {
        frame: Frame::new("/cases", signed_in).with_refused(Some(refused.clone()), "/cases"),
        searched: Searched::Nothing,
        reports: Vec::new(),
    });
    refused.into_response(page)
}

/// A single case is opened at once; several are listed.
fn show(
    signed_in: &SignedIn,
    searched: Searched,
    found: Vec<v1::ReportSummary>,
) -> Result<Response, PageError> {
    let cases: BTreeSet<&str> = found.iter().map(|report| report.case_id.as_str()).collect();
    if let (1, Some(case)) = (cases.len(), cases.first()) {
        let case: CaseId = case.parse()?;
        return Ok(Redirect::to(&format!("/cases/{case}")).into_response());
    }
    let now = platform::clock::wall();
    let page: Html<String> = render(&SearchPage {
        frame: Frame::new("/cases", signed_in),
        searched,
        reports: found
            .into_iter()
            .map(|report| ReportRow::from_proto(report, now))
            .collect(),
    })?;
    Ok(page.into_response())
}

/// The case that a notice is about.
async fn case_of_notice(
    edge: &Edge,
    signed_in: &SignedIn,
    notice: NoticeId,
) -> Result<Option<CaseId>, PageError> {
    let mut client = edge.dispatch(signed_in).await?;
    let request = v1::SearchNoticesRequest {
        notice_id: notice.to_string(),
        ..Default::default()
    };
    let found = edge.call(client.search_notices(request)).await?;
    let case = found.notices.first().map(|notice| notice.case_id.parse());
    Ok(case.transpose()?)
}

/// Reports that match; none where intake does not know any.
async fn find(
    edge: &Edge,
    signed_in: &SignedIn,
    by: By,
) -> Result<Vec<v1::ReportSummary>, PageError> {
    let mut client = edge.intake(signed_in).await?;
    let request = v1::FindReportsRequest { by: Some(by) };
    match edge.call(client.find_reports(request)).await {
        Ok(found) => Ok(found.reports),
        Err(problem) if problem.kind == Kind::NotFound => Ok(Vec::new()),
        Err(problem) => Err(problem.into()),
    }
}
