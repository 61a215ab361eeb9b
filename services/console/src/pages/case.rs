//! The page of one case: its assessment, its notices, its reports, and its timeline.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use domain::id::CaseId;
use platform::error::{Kind, Problem};
use proto::v1;
use proto::v1::find_reports_request::By;
use serde::Deserialize;

use super::cases::ReportRow;
use super::rows::{CaseRow, NoticeRow};
use super::{MissingPart, StaffNames, default_police_hold_end, render};
use crate::dashboard::ServicePart;
use crate::dashboard_queries::service_part;
use crate::edge::Edge;
use crate::form::{QueryParams, RefusedForm};
use crate::format::{StateBadge, TimeText, event_label, label, short_id, wire_name};
use crate::frame::Frame;
use crate::page_error::PageError;
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "case.html")]
struct CasePage {
    frame: Frame,
    id: String,
    short: String,
    missing: Vec<MissingPart>,
    assessment: Option<CaseRow>,
    dispatch: Option<DispatchSection>,
    reports: Option<Vec<ReportRow>>,
    timeline: Option<Vec<TimelineRow>>,
    is_truncated: bool,
    may_supervise: bool,
    may_answer: bool,
    may_claim: bool,
    /// The reader has followed a link to the form that withdraws the verdict.
    opens_withdrawal: bool,
    /// The default end of a police hold, as the value of a `datetime-local` field.
    police_hold_until: String,
    police_hold_action: String,
}

struct DispatchSection {
    badge: StateBadge,
    episode: u32,
    rung: String,
    sent: TimeText,
    confirmed: TimeText,
    notices: Vec<NoticeRow>,
}

struct TimelineRow {
    name: String,
    producer: String,
    summary: String,
    at: TimeText,
    leaf: u64,
}

#[derive(Default, Deserialize)]
pub(crate) struct CaseQuery {
    done: Option<String>,
    /// The form that the reader came for.
    open: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    Path(case): Path<String>,
    QueryParams(query): QueryParams<CaseQuery>,
) -> Result<Html<String>, PageError> {
    let case: CaseId = case.parse()?;
    read_page(&edge, &signed_in, case, &query, None).await
}

/// The page of a form that was sent to its own address, loaded again.
pub(crate) async fn redirect(_: SignedIn, Path(case): Path<String>) -> Result<Redirect, PageError> {
    let case: CaseId = case.parse()?;
    Ok(Redirect::to(&format!("/cases/{case}")))
}

pub(crate) async fn redirect_from_notice(
    signed_in: SignedIn,
    Path((case, _notice)): Path<(String, String)>,
) -> Result<Redirect, PageError> {
    redirect(signed_in, Path(case)).await
}

/// The page with a form that was refused.
pub(super) async fn refused_page(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
    refused: RefusedForm,
) -> Result<Html<String>, PageError> {
    read_page(edge, signed_in, case, &CaseQuery::default(), Some(refused)).await
}

async fn read_page(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
    query: &CaseQuery,
    refused: Option<RefusedForm>,
) -> Result<Html<String>, PageError> {
    let (assessment, dispatch, reports, timeline, names) = futures::join!(
        // Boxed because the futures of four calls are large.
        Box::pin(read_assessment(edge, signed_in, case)),
        Box::pin(read_dispatch(edge, signed_in, case)),
        Box::pin(read_reports(edge, signed_in, case)),
        Box::pin(read_timeline(edge, signed_in, case)),
        StaffNames::read(edge, signed_in),
    );
    let (assessment, dispatch, reports, timeline) = (
        service_part(assessment)?,
        service_part(dispatch)?,
        service_part(reports)?,
        service_part(timeline)?,
    );
    let is_unknown =
        matches!(assessment, Ok(None)) && matches!(&reports, Ok(reports) if reports.is_empty());
    if is_unknown {
        let error = PageError::new(Kind::NotFound, "case_unknown");
        return Err(error.with_link("/cases", "the search"));
    }
    let mut missing = Vec::new();
    let now = platform::clock::wall();
    let names = names?;
    let assessment = take_part(&mut missing, "Verification: the assessment", assessment);
    let dispatch = take_part(
        &mut missing,
        "Dispatch: the notices and the content status",
        dispatch,
    );
    let reports = take_part(&mut missing, "Intake: the reports", reports);
    let timeline = take_part(&mut missing, "Ledger: the timeline", timeline);
    let frame = Frame::new("/cases", signed_in)
        .with_done(query.done.as_deref())
        .with_refused(refused, format!("/cases/{case}"));
    let reader = &signed_in.staff;
    render(&CasePage {
        id: case.to_string(),
        short: short_id(&case.to_string()).to_owned(),
        missing,
        assessment: assessment
            .flatten()
            .map(|assessment| CaseRow::from_proto(assessment, &names, &reader.subject, now)),
        dispatch: dispatch.flatten().map(|case| DispatchSection {
            badge: StateBadge::new(wire_name!(ContentStatus, case.content_status)),
            episode: case.episode,
            rung: label(wire_name!(Rung, case.last_rung)),
            sent: TimeText::absolute(case.dispatched_at.as_ref(), now),
            confirmed: TimeText::absolute(case.confirmed_removed_at.as_ref(), now),
            notices: case
                .notices
                .into_iter()
                .map(|notice| NoticeRow::from_proto(notice, now))
                .collect(),
        }),
        reports: reports.map(|reports| {
            reports
                .into_iter()
                .map(|report| ReportRow::from_proto(report, now))
                .collect()
        }),
        is_truncated: timeline.as_ref().is_some_and(|timeline| timeline.truncated),
        timeline: timeline.map(|timeline| {
            let row = |entry: v1::TimelineEntry| TimelineRow {
                name: event_label(&entry.r#type),
                at: TimeText::absolute(entry.occurred_at.as_ref(), now),
                producer: entry.producer,
                summary: entry.summary,
                leaf: entry.leaf_index,
            };
            timeline.entries.into_iter().map(row).collect()
        }),
        opens_withdrawal: query.open.as_deref() == Some("withdraw"),
        police_hold_until: match frame.typed("police-hold", "until") {
            "" => default_police_hold_end(now),
            typed => typed.to_owned(),
        },
        police_hold_action: format!("/cases/{case}/police-hold"),
        may_supervise: reader.is_supervisor,
        may_claim: reader.may_claim(),
        may_answer: reader.is_analyst || reader.is_supervisor || reader.is_operator,
        frame,
    })
}

async fn read_assessment(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
) -> Result<Option<v1::Assessment>, Problem> {
    let mut client = edge.verification(signed_in).await?;
    let request = v1::GetAssessmentRequest {
        case_id: case.to_string(),
    };
    let response = if_known(edge.call(client.get_assessment(request)).await)?;
    Ok(response.and_then(|response| response.assessment))
}

async fn read_dispatch(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
) -> Result<Option<v1::GetCaseDispatchResponse>, Problem> {
    let mut client = edge.dispatch(signed_in).await?;
    let request = v1::GetCaseDispatchRequest {
        case_id: case.to_string(),
    };
    if_known(edge.call(client.get_case_dispatch(request)).await)
}

async fn read_reports(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
) -> Result<Vec<v1::ReportSummary>, Problem> {
    let mut client = edge.intake(signed_in).await?;
    let request = v1::FindReportsRequest {
        by: Some(By::CaseId(case.to_string())),
    };
    let response = if_known(edge.call(client.find_reports(request)).await)?;
    Ok(response.map(|found| found.reports).unwrap_or_default())
}

async fn read_timeline(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
) -> Result<v1::GetTimelineResponse, Problem> {
    let mut client = edge.ledger(signed_in).await?;
    let request = v1::GetTimelineRequest {
        case_id: case.to_string(),
    };
    let response = if_known(edge.call(client.get_timeline(request)).await)?;
    Ok(response.unwrap_or_default())
}

/// A service that does not know the case is no failure: the case has not reached it yet.
fn if_known<T>(response: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match response {
        Err(problem) if problem.kind == Kind::NotFound => Ok(None),
        response => response.map(Some),
    }
}

/// The part, or an entry in the list of missing parts.
fn take_part<T>(
    missing: &mut Vec<MissingPart>,
    name: &'static str,
    part: ServicePart<T>,
) -> Option<T> {
    part.map_err(|problem| missing.push(MissingPart::new(name, &problem)))
        .ok()
}
