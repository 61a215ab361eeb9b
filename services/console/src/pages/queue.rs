//! What waits for a person, most urgent first.

use askama::Template;
use axum::extract::State;
use axum::response::{Html, Redirect};
use domain::word::AssessmentState;
use proto::v1;
use serde::Deserialize;

use super::row::CaseRow;
use super::sign_in::Nothing;
use super::{Frame, Names, page_of, render};
use crate::board::part;
use crate::edge::Edge;
use crate::posted::{Asked, Posted};
use crate::refused::{Refused, query};
use crate::session::Signed;
use crate::show::{count, label};

#[derive(Template)]
#[template(path = "queue.html")]
struct Page {
    frame: Frame,
    recorded: Option<Recorded>,
    waiting: String,
    /// By name, in words, and whether it is the one that is shown.
    states: Vec<(&'static str, String, bool)>,
    rows: Vec<CaseRow>,
    next: Option<String>,
    may_claim: bool,
    own: Option<Own>,
}

/// The reader's own part of this shift.
pub(super) struct Own {
    pub(super) in_hand: u64,
    pub(super) verdicts: u64,
    pub(super) reveals: u64,
    pub(super) allowed: u32,
}

impl Own {
    /// Nothing where verification does not tell.
    pub(super) async fn read(edge: &Edge, signed: &Signed) -> Result<Option<Self>, Refused> {
        let mut client = edge.verification(signed).await?;
        let answer = part(
            edge.ask(client.get_workload(v1::GetWorkloadRequest {}))
                .await,
        )?;
        let Ok(load) = answer else {
            return Ok(None);
        };
        let allowed = load.reveals_allowed;
        let mut people = load.people.into_iter();
        let mine = people.find(|one| one.subject == signed.who.subject);
        Ok(mine.map(|mine| Self {
            in_hand: mine.in_hand,
            verdicts: mine.verdicts,
            reveals: mine.reveals,
            allowed,
        }))
    }
}

/// A verdict just given, so that a slip can be put right at once.
pub(super) struct Recorded {
    pub(super) verdict: &'static str,
    pub(super) case: String,
    /// A first verdict that waits for a second analyst.
    pub(super) first_of_two: bool,
    /// It stands, and can be taken back.
    pub(super) may_undo: bool,
}

#[derive(Deserialize)]
pub(crate) struct Place {
    pub(super) cursor: Option<String>,
    state: Option<String>,
    pub(super) done: Option<String>,
    pub(super) recorded: Option<String>,
    pub(super) of: Option<String>,
    first_of_two: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    let state: Option<AssessmentState> = match place.state.as_deref().unwrap_or_default() {
        "" => None,
        text => Some(text.parse()?),
    };
    let request = v1::ListQueueRequest {
        page: Some(page_of(place.cursor.as_ref())),
        states: state.iter().map(|state| state.wire()).collect(),
    };
    let mut client = edge.verification(&signed).await?;
    let answer = edge
        .ask(client.list_queue(request))
        .await
        .map_err(|problem| Refused::from(problem).back("/queue", "the queue"))?;
    let names = Names::read(&edge, &signed).await?;
    let now = platform::clock::wall();
    let chosen = state.map_or("", AssessmentState::as_str);
    render(&Page {
        recorded: Recorded::of(&place),
        waiting: count(answer.waiting),
        rows: answer
            .cases
            .into_iter()
            .map(|case| CaseRow::new(case, &names, &signed.who.subject, now))
            .collect(),
        next: (!answer.next_cursor.is_empty()).then(|| {
            format!(
                "/queue?state={chosen}&cursor={}",
                query(&answer.next_cursor)
            )
        }),
        states: AssessmentState::ALL
            .iter()
            .map(|state| {
                (
                    state.as_str(),
                    label(state.as_str()),
                    state.as_str() == chosen,
                )
            })
            .collect(),
        may_claim: signed.who.analyst || signed.who.supervisor,
        own: Own::read(&edge, &signed).await?,
        frame: Frame::new("/queue", &signed).done(place.done.as_deref()),
    })
}

/// Takes the most urgent case.
pub(crate) async fn claim_next(
    State(edge): State<Edge>,
    Posted(signed, Nothing {}): Posted<Nothing>,
) -> Result<Redirect, Refused> {
    let next = next(&edge, &signed).await?;
    Ok(Redirect::to(&next.map_or_else(
        || "/queue?done=empty".to_owned(),
        |case| format!("/queue/{case}"),
    )))
}

/// The most urgent case that the caller may take, claimed.
pub(super) async fn next(edge: &Edge, signed: &Signed) -> Result<Option<String>, Refused> {
    let mut client = edge.verification(signed).await?;
    let request = v1::ClaimCasesRequest {
        limit: 1,
        case_id: String::new(),
    };
    let answer = edge
        .ask(client.claim_cases(request))
        .await
        .map_err(|problem| Refused::from(problem).back("/queue", "the queue"))?;
    let claimed = answer.claimed.into_iter().next();
    Ok(claimed
        .and_then(|claimed| claimed.assessment)
        .map(|case| case.case_id))
}

impl Recorded {
    /// Both come back in an address: neither is shown unless it is one of our own words.
    pub(super) fn of(place: &Place) -> Option<Self> {
        let verdict = super::choice::Choice::parse(place.recorded.as_deref()?)?;
        let case: domain::id::CaseId = place.of.as_deref()?.parse().ok()?;
        let first_of_two = place.first_of_two.is_some();
        Some(Self {
            verdict: verdict.recorded(),
            case: case.to_string(),
            first_of_two,
            may_undo: verdict.is_verdict() && !first_of_two,
        })
    }
}
