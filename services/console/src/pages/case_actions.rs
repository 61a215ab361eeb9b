//! What staff do about one case from its page. The service that owns the data decides whether an act is allowed; after it,
//! or with the refused form, the case is shown again.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::Invalid;
use domain::id::{CaseId, NoticeId};
use domain::invalid::text;
use domain::wire::timestamp;
use proto::v1;
use serde::Deserialize;
use time::PrimitiveDateTime;

use super::rows::answer_form_name;
use super::{DATE_TIME_FIELD, case};
use crate::edge::Edge;
use crate::form::{EmptyForm, RefusedForm, SubmittedForm};
use crate::page_error::{PageError, RawForm};
use crate::session::SignedIn;

#[derive(Deserialize)]
pub(crate) struct WithdrawForm {
    #[serde(default)]
    reason: String,
    /// A ticked box: the case goes back into the queue at once.
    again: Option<String>,
}

pub(crate) async fn withdraw_verdict(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<WithdrawForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let assess_again = form.fields.again.is_some();
    let result = async {
        let request = v1::WithdrawVerdictRequest {
            case_id: case.to_string(),
            reason: text("reason", &form.fields.reason, 500)?,
            assess_again,
        };
        let mut client = edge.verification(&form.signed_in).await?;
        edge.call(client.withdraw_verdict(request)).await?;
        Ok(())
    }
    .await;
    let done = if assess_again {
        "withdrawn-and-queued"
    } else {
        "withdrawn"
    };
    let submitted = ("withdraw".to_owned(), form.raw);
    respond(&edge, &form.signed_in, case, submitted, result, done).await
}

#[derive(Deserialize)]
pub(crate) struct ReasonForm {
    #[serde(default)]
    reason: String,
}

pub(crate) async fn assess_again(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<ReasonForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let result = async {
        let request = v1::AssessAgainRequest {
            case_id: case.to_string(),
            reason: text("reason", &form.fields.reason, 500)?,
        };
        let mut client = edge.verification(&form.signed_in).await?;
        edge.call(client.assess_again(request)).await?;
        Ok(())
    }
    .await;
    let submitted = ("assess-again".to_owned(), form.raw);
    respond(&edge, &form.signed_in, case, submitted, result, "queued").await
}

#[derive(Deserialize)]
pub(crate) struct PoliceHoldForm {
    #[serde(default)]
    reason: String,
    /// The value of a `datetime-local` field, in UTC.
    #[serde(default)]
    until: String,
}

pub(crate) async fn put_on_police_hold(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<PoliceHoldForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let result = hold_case(&edge, &form, case).await;
    let submitted = ("police-hold".to_owned(), form.raw);
    respond(
        &edge,
        &form.signed_in,
        case,
        submitted,
        result,
        "police-hold",
    )
    .await
}

/// Puts a case on police hold, as the form describes it.
pub(super) async fn hold_case(
    edge: &Edge,
    form: &SubmittedForm<PoliceHoldForm>,
    case: CaseId,
) -> Result<(), PageError> {
    let until = form.fields.until.get(..16).unwrap_or_default();
    let until = PrimitiveDateTime::parse(until, DATE_TIME_FIELD)
        .map_err(|_| Invalid::new("time_malformed", "until", ""))?;
    let request = v1::HoldCaseRequest {
        case_id: case.to_string(),
        reason: text("reason", &form.fields.reason, 500)?,
        until: Some(timestamp(until.assume_utc())),
    };
    let mut client = edge.verification(&form.signed_in).await?;
    edge.call(client.hold_case(request)).await?;
    Ok(())
}

pub(crate) async fn lift_police_hold(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    form: SubmittedForm<EmptyForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let result = async {
        let request = v1::ReleaseHoldRequest {
            case_id: case.to_string(),
        };
        let mut client = edge.verification(&form.signed_in).await?;
        edge.call(client.release_hold(request)).await?;
        Ok(())
    }
    .await;
    let submitted = ("lift-hold".to_owned(), form.raw);
    respond(
        &edge,
        &form.signed_in,
        case,
        submitted,
        result,
        "hold-lifted",
    )
    .await
}

#[derive(Deserialize)]
pub(crate) struct AnswerForm {
    #[serde(default)]
    text: String,
}

/// Answers a provider's question about a notice.
pub(crate) async fn answer_provider(
    State(edge): State<Edge>,
    Path((case, notice)): Path<(String, String)>,
    form: SubmittedForm<AnswerForm>,
) -> Result<Response, PageError> {
    let case: CaseId = case.parse()?;
    let result = async {
        let notice: NoticeId = notice.parse()?;
        let request = v1::SupplyInformationRequest {
            notice_id: notice.to_string(),
            text: text("text", &form.fields.text, 2000)?,
        };
        let mut client = edge.dispatch(&form.signed_in).await?;
        edge.call(client.supply_information(request)).await?;
        Ok(())
    }
    .await;
    let submitted = (answer_form_name(&notice), form.raw);
    respond(&edge, &form.signed_in, case, submitted, result, "answered").await
}

/// The page of the case: with what was done, or with the form that was refused.
async fn respond(
    edge: &Edge,
    signed_in: &SignedIn,
    case: CaseId,
    (name, raw): (String, RawForm),
    result: Result<(), PageError>,
    done: &str,
) -> Result<Response, PageError> {
    match result {
        Ok(()) => Ok(Redirect::to(&format!("/cases/{case}?done={done}")).into_response()),
        Err(error) => {
            let refused = RefusedForm::new(name, raw, error)?;
            let page = case::refused_page(edge, signed_in, case, refused.clone()).await;
            refused.into_response(page)
        }
    }
}
