//! One case, decided: what is known of it, its URL for a reason, a verdict, and on to the next.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::id::CaseId;
use domain::invalid::text;
use domain::word::{AssessmentState, ReviewReason};
use platform::error::{Kind, Problem};
use proto::v1;
use serde::Deserialize;

use super::acts;
use super::choice::{Choice, Entry};
use super::queue::{Own, Place, Recorded, next};
use super::row::CaseRow;
use super::sign_in::Nothing;
use super::{Frame, Names, render};
use crate::edge::Edge;
use crate::posted::{Asked, Posted};
use crate::refused::Refused;
use crate::session::Signed;

#[derive(Template)]
#[template(path = "decide.html")]
struct Page {
    frame: Frame,
    recorded: Option<Recorded>,
    case: CaseRow,
    choices: Vec<Entry>,
    /// The question is whether a changed page still shows the material.
    asks_if_gone: bool,
    claim_token: String,
    revealed: Option<v1::RevealUrlResponse>,
    may_claim: bool,
    own: Option<Own>,
    hold_until: String,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed: Signed,
    Path(case): Path<String>,
    Asked(place): Asked<Place>,
) -> Result<Html<String>, Refused> {
    let case: CaseId = case.parse()?;
    let mut page = read(&edge, &signed, case, None).await?;
    page.recorded = Recorded::of(&place);
    render(&page)
}

/// The case as it stands. Whoever has it in hand renews the claim by looking at it.
async fn read(
    edge: &Edge,
    signed: &Signed,
    case: CaseId,
    revealed: Option<v1::RevealUrlResponse>,
) -> Result<Page, Refused> {
    let mut client = edge.verification(signed).await?;
    let request = v1::GetAssessmentRequest {
        case_id: case.to_string(),
    };
    let answer = edge
        .ask(client.get_assessment(request))
        .await
        .map_err(|problem| Refused::from(problem).back("/queue", "the queue"))?;
    let mut assessment = answer
        .assessment
        .ok_or_else(|| Problem::of(Kind::Internal))?;
    let mut claim_token = String::new();
    if assessment.claimed_by == signed.who.subject {
        let request = v1::ClaimCasesRequest {
            limit: 0,
            case_id: case.to_string(),
        };
        let claimed = edge.ask(client.claim_cases(request)).await?.claimed;
        if let Some(claimed) = claimed.into_iter().next() {
            claim_token = claimed.claim_token;
            assessment = claimed.assessment.unwrap_or(assessment);
        }
    }
    let names = Names::read(edge, signed).await?;
    let now = platform::clock::wall();
    let in_question = !assessment.review.is_empty();
    let reason = assessment.review.parse::<ReviewReason>();
    let about_page = reason.is_ok_and(ReviewReason::is_about_page);
    let choices = Choice::ALL.into_iter().map(Choice::entry);
    Ok(Page {
        choices: choices
            .filter(|choice| choice.is_offered(in_question, about_page))
            .collect(),
        asks_if_gone: about_page,
        case: CaseRow::new(assessment, &names, &signed.who.subject, now),
        own: Own::read(edge, signed).await?,
        hold_until: acts::hold_until(now),
        claim_token,
        revealed,
        recorded: None,
        may_claim: signed.who.analyst || signed.who.supervisor,
        frame: Frame::new("/queue", signed),
    })
}

pub(crate) async fn claim(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, Nothing {}): Posted<Nothing>,
) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    let request = v1::ClaimCasesRequest {
        limit: 0,
        case_id: case.to_string(),
    };
    let mut client = edge.verification(&signed).await?;
    edge.ask(client.claim_cases(request))
        .await
        .map_err(|problem| Refused::from(problem).back("/queue", "the queue"))?;
    Ok(Redirect::to(&format!("/queue/{case}")))
}

#[derive(Deserialize)]
pub(crate) struct Reason {
    #[serde(default)]
    reason: String,
}

/// Shows the URL once, in the answer to this very request: a page loaded again does not have it.
pub(crate) async fn reveal(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, form): Posted<Reason>,
) -> Result<Response, Refused> {
    let case: CaseId = case.parse()?;
    let back = |refused: Refused| refused.back(format!("/queue/{case}"), "the case");
    let request = v1::RevealUrlRequest {
        case_id: case.to_string(),
        reason: text("reason", &form.reason, 500).map_err(|invalid| back(invalid.into()))?,
    };
    let mut client = edge.verification(&signed).await?;
    let revealed = edge
        .ask(client.reveal_url(request))
        .await
        .map_err(|problem| back(problem.into()))?;
    let page = read(&edge, &signed, case, Some(revealed)).await?;
    Ok(render(&page)?.into_response())
}

/// The page of a reveal, loaded again: the case without the address.
pub(crate) async fn once_more(_: Signed, Path(case): Path<String>) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    Ok(Redirect::to(&format!("/queue/{case}")))
}

#[derive(Deserialize)]
pub(crate) struct Claim {
    #[serde(default)]
    claim_token: String,
}

pub(crate) async fn release(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, form): Posted<Claim>,
) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    let request = v1::ReleaseClaimRequest {
        case_id: case.to_string(),
        claim_token: form.claim_token,
    };
    let mut client = edge.verification(&signed).await?;
    edge.ask(client.release_claim(request))
        .await
        .map_err(|problem| Refused::from(problem).back(format!("/queue/{case}"), "the case"))?;
    Ok(Redirect::to("/queue?done=released"))
}

#[derive(Deserialize)]
pub(crate) struct Decision {
    #[serde(default)]
    claim_token: String,
    /// Of the case as it was shown.
    #[serde(default)]
    version: u64,
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    then: String,
}

pub(crate) async fn decide(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, form): Posted<Decision>,
) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    let back = |problem: Problem| Refused::from(problem).back(format!("/queue/{case}"), "the case");
    let choice = Choice::parse(&form.verdict).ok_or_else(|| {
        back(Problem::new(
            Kind::Invalid,
            "verdict_missing",
            "No verdict was chosen; go back to the case and choose one.",
        ))
    })?;
    let request = v1::DecideCasesRequest {
        items: vec![v1::DecisionItem {
            case_id: case.to_string(),
            claim_token: form.claim_token,
            version: form.version,
            verdict: Some(v1::Verdict {
                verdict: Some(choice.verdict()),
            }),
        }],
    };
    let mut client = edge.verification(&signed).await?;
    let answer = edge.ask(client.decide_cases(request)).await.map_err(back)?;
    let after = match answer.results.into_iter().next().and_then(|one| one.result) {
        Some(v1::decision_result::Result::Assessment(after)) => after,
        // An item's problem has no kind on the wire; its sentence says what to do.
        Some(v1::decision_result::Result::Problem(problem)) => {
            return Err(back(Problem::new(
                Kind::FailedPrecondition,
                problem.code,
                problem.detail,
            )));
        }
        None => return Err(back(Problem::of(Kind::Internal))),
    };
    let mut recorded = format!("recorded={}&of={case}", choice.entry().name);
    if choice.is_verdict() && after.state == AssessmentState::AwaitingSecond.wire() {
        recorded.push_str("&first_of_two=1");
    }
    let to = match form.then.as_str() {
        "next" => next(&edge, &signed).await?,
        _ => None,
    };
    Ok(Redirect::to(&match to {
        Some(case) => format!("/queue/{case}?{recorded}"),
        None => format!("/queue?{recorded}"),
    }))
}
