//! The decision page of one case: what is known about it, its URL for a reason, and the verdict.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::enums::{AssessmentState, ReviewReason};
use domain::id::CaseId;
use domain::invalid::text;
use platform::error::{Kind, Problem};
use proto::v1;
use serde::Deserialize;

use super::case_actions::{PoliceHoldForm, hold_case};
use super::queue::{OwnWorkload, RecordedQuery, RecordedVerdict, claim_most_urgent};
use super::rows::CaseRow;
use super::verdict_form::{VerdictChoice, VerdictOption};
use super::{StaffNames, default_police_hold_end, render};
use crate::edge::Edge;
use crate::form::{EmptyForm, QueryParams, RefusedForm, SubmittedForm};
use crate::frame::Frame;
use crate::page_error::{PageError, RawForm};
use crate::session::SignedIn;

#[derive(Template)]
#[template(path = "decide.html")]
struct DecisionPage {
    frame: Frame,
    recorded: Option<RecordedVerdict>,
    case: CaseRow,
    options: Vec<VerdictOption>,
    /// The review is about whether a changed page still shows the material.
    is_about_page: bool,
    /// Empty unless the reader has claimed the case.
    claim_token: String,
    revealed: Option<v1::RevealUrlResponse>,
    may_claim: bool,
    workload: Option<OwnWorkload>,
    police_hold_action: String,
    police_hold_until: String,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    signed_in: SignedIn,
    Path(case): Path<String>,
    QueryParams(query): QueryParams<RecordedQuery>,
) -> Result<Html<String>, PageError> {
    let case: CaseId = case.parse()?;
    let mut page = read_page(&edge, &signed_in, case, None).await?;
    page.recorded = RecordedVerdict::from_query(&query);
    render(&page)
}

/// Reads the case. If the reader has claimed it, that renews the claim.
async fn read_page(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
    refused: Option<RefusedForm>,
) -> Result<DecisionPage, PageError> {
    let mut client = edge.verification(signed_in).await?;
    let request = v1::GetAssessmentRequest {
        case_id: case.to_string(),
    };
    let response = edge
        .call(client.get_assessment(request))
        .await
        .map_err(|problem| PageError::from(problem).with_link("/queue", "the queue"))?;
    let mut assessment = response
        .assessment
        .ok_or_else(|| Problem::from_kind(Kind::Internal))?;
    let mut claim_token = String::new();
    if assessment.claimed_by == signed_in.staff.subject {
        let request = v1::ClaimCasesRequest {
            limit: 0,
            case_id: case.to_string(),
        };
        let claimed = edge.call(client.claim_cases(request)).await?.claimed;
        if let Some(claimed) = claimed.into_iter().next() {
            claim_token = claimed.claim_token;
            assessment = claimed.assessment.unwrap_or(assessment);
        }
    }
    let names = StaffNames::read(edge, signed_in).await?;
    let now = platform::clock::wall();
    let is_under_review = assessment.review != 0;
    let reason = ReviewReason::from_wire(assessment.review);
    let is_about_page = reason.is_ok_and(ReviewReason::is_about_page);
    let frame = Frame::new("/queue", signed_in).with_refused(refused, format!("/queue/{case}"));
    let chosen = frame.typed("decide", "verdict");
    let police_hold_until = match frame.typed("police-hold", "until") {
        "" => default_police_hold_end(now),
        typed => typed.to_owned(),
    };
    Ok(DecisionPage {
        options: VerdictChoice::options(is_under_review, is_about_page, chosen),
        is_about_page,
        case: CaseRow::from_proto(assessment, &names, &signed_in.staff.subject, now),
        workload: OwnWorkload::read(edge, signed_in).await?,
        police_hold_action: format!("/queue/{case}/police-hold"),
        police_hold_until,
        claim_token,
        revealed: None,
        recorded: None,
        may_claim: signed_in.staff.may_claim(),
        frame,
    })
}

/// The decision page with a form that was refused.
async fn refuse(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
    form: (&'static str, RawForm),
    error: PageError,
) -> Result<Response, PageError> {
    let refused = RefusedForm::new(form.0, form.1, error)?;
    let page = read_page(edge, signed_in, case, Some(refused.clone())).await;
    refused.into_response(page.and_then(|page| render(&page)))
}

/// The page of a form that was sent to its own address, loaded again: the decision page, without a revealed URL.
pub(crate) async fn redirect(_: SignedIn, Path(case): Path<String>) -> Result<Redirect, PageError> {
    let case: CaseId = case.parse()?;
    Ok(Redirect::to(&format!("/queue/{case}")))
}

pub(crate) async fn claim(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<EmptyForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let claimed = async {
        let request = v1::ClaimCasesRequest {
            limit: 0,
            case_id: case.to_string(),
        };
        let mut client = edge.verification(&form.signed_in).await?;
        edge.call(client.claim_cases(request)).await?;
        Ok(())
    }
    .await;
    match claimed {
        Ok(()) => Ok(Redirect::to(&format!("/queue/{case}")).into_response()),
        Err(error) => refuse(&edge, &form.signed_in, case, ("claim", form.raw), error).await,
    }
}

#[derive(Deserialize)]
pub(crate) struct RevealForm {
    #[serde(default)]
    reason: String,
}

/// Shows the URL in the response to this request and nowhere else: the page loaded again does not have it.
pub(crate) async fn reveal(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<RevealForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let revealed = async {
        let request = v1::RevealUrlRequest {
            case_id: case.to_string(),
            reason: text("reason", &form.fields.reason, 500)?,
        };
        let mut client = edge.verification(&form.signed_in).await?;
        Ok(edge.call(client.reveal_url(request)).await?)
    }
    .await;
    match revealed {
        Ok(revealed) => {
            let mut page = read_page(&edge, &form.signed_in, case, None).await?;
            page.revealed = Some(revealed);
            Ok(render(&page)?.into_response())
        }
        Err(error) => refuse(&edge, &form.signed_in, case, ("reveal", form.raw), error).await,
    }
}

#[derive(Deserialize)]
pub(crate) struct ReleaseForm {
    #[serde(default)]
    claim_token: String,
}

pub(crate) async fn release(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<ReleaseForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let released = async {
        let request = v1::ReleaseClaimRequest {
            case_id: case.to_string(),
            claim_token: form.fields.claim_token.clone(),
        };
        let mut client = edge.verification(&form.signed_in).await?;
        edge.call(client.release_claim(request)).await?;
        Ok(())
    }
    .await;
    match released {
        Ok(()) => Ok(Redirect::to("/queue?done=released").into_response()),
        Err(error) => refuse(&edge, &form.signed_in, case, ("release", form.raw), error).await,
    }
}

pub(crate) async fn put_on_police_hold(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<PoliceHoldForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    match hold_case(&edge, &form, case).await {
        Ok(()) => Ok(Redirect::to(&format!("/cases/{case}?done=police-hold")).into_response()),
        Err(error) => {
            refuse(
                &edge,
                &form.signed_in,
                case,
                ("police-hold", form.raw),
                error,
            )
            .await
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct DecisionForm {
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
    form: SubmittedForm<DecisionForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let (choice, state) = match record(&edge, &form, case).await {
        Ok(recorded) => recorded,
        Err(error) => {
            return refuse(&edge, &form.signed_in, case, ("decide", form.raw), error).await;
        }
    };
    let mut recorded = format!("recorded={}&case={case}", choice.name());
    if choice.is_verdict() && state == AssessmentState::AwaitingSecondOpinion.wire() {
        recorded.push_str("&awaits_second=1");
    }
    let next = match form.fields.then.as_str() {
        // The verdict is recorded: if the next case cannot be claimed, the queue reports it.
        "next" => match claim_most_urgent(&edge, &form.signed_in).await {
            Err(PageError::SignIn) => return Err(PageError::SignIn),
            next => next.unwrap_or_default(),
        },
        _ => None,
    };
    Ok(Redirect::to(&match next {
        Some(case) => format!("/queue/{case}?{recorded}"),
        None => format!("/queue?{recorded}"),
    })
    .into_response())
}

/// Records the verdict, and returns it with the state of the case.
async fn record(
    edge: &Edge,
    form: &SubmittedForm<DecisionForm>,
    case: CaseId,
) -> Result<(VerdictChoice, i32), PageError> {
    let choice = VerdictChoice::parse(&form.fields.verdict)
        .ok_or_else(|| Problem::new(Kind::Invalid, "verdict_missing", "").field("verdict"))?;
    let request = v1::DecideCasesRequest {
        decisions: vec![v1::DecisionItem {
            case_id: case.to_string(),
            claim_token: form.fields.claim_token.clone(),
            version: form.fields.version,
            verdict: Some(v1::Verdict {
                verdict: Some(choice.to_proto()),
            }),
        }],
    };
    let mut client = edge.verification(&form.signed_in).await?;
    let response = edge.call(client.decide_cases(request)).await?;
    match response.results.into_iter().next().and_then(|r| r.result) {
        Some(v1::decision_result::Result::Assessment(assessment)) => Ok((choice, assessment.state)),
        // The problem of one decision has no kind on the wire.
        Some(v1::decision_result::Result::Problem(problem)) => {
            Err(Problem::new(Kind::FailedPrecondition, problem.code, problem.detail).into())
        }
        None => Err(Problem::from_kind(Kind::Internal).into()),
    }
}
