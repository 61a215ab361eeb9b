//! The queue: cases that wait for staff, most urgent first.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::enums::AssessmentState;
use domain::id::CaseId;
use proto::v1;
use serde::Deserialize;

use super::rows::CaseRow;
use super::verdict_form::VerdictChoice;
use super::{ListPosition, StaffNames, next_address, render};
use crate::dashboard_queries::service_part;
use crate::edge::Edge;
use crate::form::{EmptyForm, QueryParams, RefusedForm, SubmittedForm};
use crate::format::{format_count, label};
use crate::frame::Frame;
use crate::page_error::PageError;
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    frame: Frame,
    recorded: Option<RecordedVerdict>,
    waiting: String,
    states: Vec<StateFilter>,
    rows: Vec<CaseRow>,
    next: Option<String>,
    may_claim: bool,
    workload: Option<OwnWorkload>,
}

struct StateFilter {
    name: &'static str,
    label: String,
    is_chosen: bool,
}

/// The reader's own figures of this shift.
pub(super) struct OwnWorkload {
    pub(super) claimed: u64,
    pub(super) verdicts: u64,
    pub(super) reveals: u64,
    pub(super) reveals_allowed: u32,
}

impl OwnWorkload {
    /// None where verification does not have them.
    pub(super) async fn read(edge: &Edge, signed_in: &SignedIn) -> Result<Option<Self>, PageError> {
        let mut client = edge.verification(signed_in).await?;
        let request = v1::GetWorkloadRequest {};
        let Ok(workload) = service_part(edge.call(client.get_workload(request)).await)? else {
            return Ok(None);
        };
        let reveals_allowed = workload.reveals_allowed;
        let mut people = workload.people.into_iter();
        let own = people.find(|person| person.subject == signed_in.staff.subject);
        Ok(own.map(|own| Self {
            claimed: own.claimed,
            verdicts: own.verdicts,
            reveals: own.reveals,
            reveals_allowed,
        }))
    }
}

/// A verdict recorded just now, which the next page shows with a way to withdraw it.
pub(super) struct RecordedVerdict {
    pub(super) verdict: &'static str,
    pub(super) case: String,
    /// A first verdict that waits for a second analyst.
    pub(super) awaits_second: bool,
    /// It is in force, and can be withdrawn.
    pub(super) may_undo: bool,
}

/// The part of an address that reports a verdict recorded just now.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RecordedQuery {
    recorded: Option<String>,
    case: Option<String>,
    awaits_second: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct QueueQuery {
    page_token: Option<String>,
    state: Option<String>,
    done: Option<String>,
    recorded: Option<String>,
    case: Option<String>,
    awaits_second: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    QueryParams(query): QueryParams<QueueQuery>,
) -> Result<Html<String>, PageError> {
    read_page(&edge, &signed_in, query, None).await
}

async fn read_page(
    edge: &Edge,
    signed_in: &SignedIn,
    query: QueueQuery,
    refused: Option<RefusedForm>,
) -> Result<Html<String>, PageError> {
    let state: Option<AssessmentState> = match query.state.as_deref().unwrap_or_default() {
        "" => None,
        text => Some(text.parse()?),
    };
    let position = ListPosition {
        page_token: query.page_token,
    };
    let request = v1::ListQueueRequest {
        page_size: 0,
        page_token: position.token(),
        states: state.iter().map(|state| state.wire()).collect(),
    };
    let mut client = edge.verification(signed_in).await?;
    let queue = edge
        .call(client.list_queue(request))
        .await
        .map_err(|problem| PageError::from(problem).with_link("/queue", "the queue"))?;
    let names = StaffNames::read(edge, signed_in).await?;
    let now = platform::clock::wall();
    let chosen = state.map_or("", AssessmentState::as_str);
    render(&QueuePage {
        recorded: RecordedVerdict::from_query(&RecordedQuery {
            recorded: query.recorded,
            case: query.case,
            awaits_second: query.awaits_second,
        }),
        waiting: format_count(queue.waiting),
        rows: queue
            .cases
            .into_iter()
            .map(|case| CaseRow::from_proto(case, &names, &signed_in.staff.subject, now))
            .collect(),
        next: next_address(&format!("/queue?state={chosen}"), &queue.next_page_token),
        states: AssessmentState::ALL
            .iter()
            .map(|state| StateFilter {
                name: state.as_str(),
                label: label(state.as_str()),
                is_chosen: state.as_str() == chosen,
            })
            .collect(),
        may_claim: signed_in.staff.may_claim(),
        workload: OwnWorkload::read(edge, signed_in).await?,
        frame: Frame::new("/queue", signed_in)
            .with_done(query.done.as_deref())
            .with_refused(refused, "/queue"),
    })
}

/// Claims the most urgent case.
pub(crate) async fn claim_next(
    State(edge): State<Edge>,
    form: SubmittedForm<EmptyForm>,
) -> Result<Response, PageError> {
    match claim_most_urgent(&edge, &form.signed_in).await {
        Ok(Some(case)) => Ok(Redirect::to(&format!("/queue/{case}")).into_response()),
        Ok(None) => Ok(Redirect::to("/queue?done=nothing-to-claim").into_response()),
        Err(error) => {
            let refused = RefusedForm::new("claim-next", form.raw, error)?;
            let query = QueueQuery::default();
            let page = read_page(&edge, &form.signed_in, query, Some(refused.clone())).await;
            refused.into_response(page)
        }
    }
}

/// The page of a form that was sent to its own address, loaded again.
pub(crate) async fn redirect(_: SignedIn) -> Redirect {
    Redirect::to("/queue")
}

/// Claims the most urgent case that the caller may claim, and returns its id.
pub(super) async fn claim_most_urgent(
    edge: &Edge,
    signed_in: &SignedIn,
) -> Result<Option<String>, PageError> {
    let mut client = edge.verification(signed_in).await?;
    let request = v1::ClaimCasesRequest {
        limit: 1,
        case_id: String::new(),
    };
    let response = edge.call(client.claim_cases(request)).await?;
    let claimed = response.claimed.into_iter().next();
    Ok(claimed
        .and_then(|claimed| claimed.assessment)
        .map(|case| case.case_id))
}

impl RecordedVerdict {
    /// The parameters come from an address: they are shown only where they are a choice and a case id of ours.
    pub(super) fn from_query(query: &RecordedQuery) -> Option<Self> {
        let choice = VerdictChoice::parse(query.recorded.as_deref()?)?;
        let case: CaseId = query.case.as_deref()?.parse().ok()?;
        let awaits_second = query.awaits_second.is_some();
        Some(Self {
            verdict: choice.recorded(),
            case: case.to_string(),
            awaits_second,
            may_undo: choice.is_verdict() && !awaits_second,
        })
    }
}
