//! One case, whole: its assessment, its notices, its reports, and everything that happened to it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use domain::id::CaseId;
use platform::error::{Kind, Problem};
use proto::v1;
use proto::v1::find_reports_request::By;
use serde::Deserialize;

use super::acts;
use super::cases::ReportRow;
use super::row::{CaseRow, NoticeRow};
use super::{Frame, Missing, Names, render};
use crate::board::{Part, part};
use crate::edge::Edge;
use crate::posted::Asked;
use crate::refused::Refused;
use crate::session::Signed;
use crate::show::{When, event_label, label, short, word};

#[derive(Template)]
#[template(path = "case.html")]
struct Page {
    frame: Frame,
    id: String,
    short: String,
    missing: Vec<Missing>,
    assessment: Option<CaseRow>,
    dispatch: Option<Dispatched>,
    reports: Option<Vec<ReportRow>>,
    timeline: Option<Vec<Entry>>,
    truncated: bool,
    may_supervise: bool,
    may_answer: bool,
    may_claim: bool,
    /// The act that the reader came for, whose form is open.
    act: &'static str,
    /// When a hold ends if nothing else is said, as a field for date and time has it.
    hold_until: String,
}

struct Dispatched {
    live: &'static str,
    live_label: String,
    episode: u32,
    rung: String,
    sent: When,
    confirmed: When,
    notices: Vec<NoticeRow>,
}

struct Entry {
    name: String,
    producer: String,
    summary: String,
    at: When,
    leaf: u64,
}

#[derive(Deserialize)]
pub(crate) struct Place {
    done: Option<String>,
    act: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Path(case): Path<String>,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    let case: CaseId = case.parse()?;
    let (assessment, dispatch, reports, timeline, names) = futures::join!(
        assessment(&edge, &signed, case),
        dispatched(&edge, &signed, case),
        reports(&edge, &signed, case),
        timeline(&edge, &signed, case),
        Names::read(&edge, &signed),
    );
    let (assessment, dispatch, reports, timeline) = (
        part(assessment)?,
        part(dispatch)?,
        part(reports)?,
        part(timeline)?,
    );
    let unknown =
        matches!(assessment, Ok(None)) && matches!(&reports, Ok(reports) if reports.is_empty());
    if unknown {
        let problem = Problem::new(
            Kind::NotFound,
            "case_unknown",
            "There is no such case; check the id, or search by a report's reference.",
        );
        return Err(Refused::from(problem).back("/cases", "the search"));
    }
    let mut missing = Vec::new();
    let now = platform::clock::wall();
    let names = names?;
    let assessment = lacking(&mut missing, "Verification: the assessment", assessment).flatten();
    let dispatch = lacking(
        &mut missing,
        "Dispatch: notices and what is online",
        dispatch,
    )
    .flatten();
    let reports = lacking(&mut missing, "Intake: the reports", reports);
    let timeline = lacking(&mut missing, "Ledger: the timeline", timeline);
    render(&Page {
        id: case.to_string(),
        short: short(&case.to_string()).to_owned(),
        missing,
        assessment: assessment.map(|of| CaseRow::new(of, &names, &signed.who.subject, now)),
        dispatch: dispatch.map(|of| Dispatched {
            live: word!(LiveState, of.live),
            live_label: label(word!(LiveState, of.live)),
            episode: of.episode,
            rung: label(word!(Rung, of.last_rung)),
            sent: When::at(of.dispatched_at.as_ref(), now),
            confirmed: When::at(of.confirmed_removed_at.as_ref(), now),
            notices: of
                .notices
                .into_iter()
                .map(|notice| NoticeRow::new(notice, now))
                .collect(),
        }),
        reports: reports.map(|of| {
            of.into_iter()
                .map(|report| ReportRow::new(report, now))
                .collect()
        }),
        truncated: timeline.as_ref().is_some_and(|of| of.truncated),
        timeline: timeline.map(|of| {
            let entry = |entry: v1::TimelineEntry| Entry {
                name: event_label(&entry.r#type),
                at: When::at(entry.occurred_at.as_ref(), now),
                producer: entry.producer,
                summary: entry.summary,
                leaf: entry.leaf_index,
            };
            of.entries.into_iter().map(entry).collect()
        }),
        act: match place.act.as_deref() {
            Some("withdraw") => "withdraw",
            Some("hold") => "hold",
            _ => "",
        },
        hold_until: acts::hold_until(now),
        may_supervise: signed.who.supervisor,
        may_claim: signed.who.analyst || signed.who.supervisor,
        may_answer: signed.who.analyst || signed.who.supervisor || signed.who.operator,
        frame: Frame::new("/cases", &signed).done(place.done.as_deref()),
    })
}

async fn assessment(
    edge: &Edge,
    signed: &Signed,
    case: CaseId,
) -> Result<Option<v1::Assessment>, Problem> {
    let mut client = edge.verification(signed).await?;
    let request = v1::GetAssessmentRequest {
        case_id: case.to_string(),
    };
    let answer = edge.ask(client.get_assessment(request)).await;
    known(answer).map(|answer| answer.and_then(|answer| answer.assessment))
}

async fn dispatched(
    edge: &Edge,
    signed: &Signed,
    case: CaseId,
) -> Result<Option<v1::GetCaseDispatchResponse>, Problem> {
    let mut client = edge.dispatch(signed).await?;
    let request = v1::GetCaseDispatchRequest {
        case_id: case.to_string(),
    };
    known(edge.ask(client.get_case_dispatch(request)).await)
}

async fn reports(
    edge: &Edge,
    signed: &Signed,
    case: CaseId,
) -> Result<Vec<v1::ReportSummary>, Problem> {
    let mut client = edge.intake(signed).await?;
    let request = v1::FindReportsRequest {
        by: Some(By::CaseId(case.to_string())),
    };
    let answer = known(edge.ask(client.find_reports(request)).await);
    answer.map(|answer| answer.map(|answer| answer.reports).unwrap_or_default())
}

async fn timeline(
    edge: &Edge,
    signed: &Signed,
    case: CaseId,
) -> Result<v1::GetTimelineResponse, Problem> {
    let mut client = edge.ledger(signed).await?;
    let request = v1::GetTimelineRequest {
        case_id: case.to_string(),
    };
    let answer = known(edge.ask(client.get_timeline(request)).await);
    answer.map(Option::unwrap_or_default)
}

/// Not to know a case is an answer: it has not come so far.
fn known<T>(answer: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match answer {
        Err(problem) if problem.kind == Kind::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

/// Notes a part that its owner did not give.
fn lacking<T>(missing: &mut Vec<Missing>, what: &'static str, part: Part<T>) -> Option<T> {
    part.map_err(|problem| missing.push(Missing::new(what, &problem)))
        .ok()
}
