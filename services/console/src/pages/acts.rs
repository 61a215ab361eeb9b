//! What staff do to one case from its page. Each act is its owner's to allow; afterwards the case is shown again.

use axum::extract::{Path, State};
use axum::response::Redirect;
use domain::Invalid;
use domain::id::{CaseId, NoticeId};
use domain::invalid::text;
use domain::wire::timestamp;
use proto::v1;
use serde::Deserialize;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::sign_in::Nothing;
use crate::edge::Edge;
use crate::posted::Posted;
use crate::refused::Refused;

/// A browser's field for date and time.
const MINUTES: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]");

#[derive(Deserialize)]
pub(crate) struct Words {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
pub(crate) struct Withdrawal {
    #[serde(default)]
    reason: String,
    /// Ticked: into the queue again at once.
    again: Option<String>,
}

pub(crate) async fn withdraw(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, form): Posted<Withdrawal>,
) -> Result<Redirect, Refused> {
    let again = form.again.is_some();
    let case: CaseId = case.parse()?;
    let done = async {
        let request = v1::WithdrawVerdictRequest {
            case_id: case.to_string(),
            reason: text("reason", &form.reason, 500)?,
            assess_again: again,
        };
        let mut client = edge.verification(&signed).await?;
        edge.ask(client.withdraw_verdict(request)).await?;
        Ok(())
    };
    let code = if again { "undone" } else { "withdrawn" };
    answered(done.await, case, code)
}

pub(crate) async fn assess_again(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, form): Posted<Words>,
) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    let done = async {
        let request = v1::AssessAgainRequest {
            case_id: case.to_string(),
            reason: text("reason", &form.reason, 500)?,
        };
        let mut client = edge.verification(&signed).await?;
        edge.ask(client.assess_again(request)).await?;
        Ok(())
    };
    answered(done.await, case, "queued")
}

#[derive(Deserialize)]
pub(crate) struct Hold {
    #[serde(default)]
    reason: String,
    /// As a browser's field for date and time gives it; UTC.
    #[serde(default)]
    until: String,
}

pub(crate) async fn hold(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, form): Posted<Hold>,
) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    let done = async {
        let until = form.until.get(..16).unwrap_or_default();
        let until = PrimitiveDateTime::parse(until, MINUTES).map_err(|_| {
            Invalid::new(
                "time_malformed",
                "until",
                "Say until when the hold lasts, for example 2026-03-01T12:00.",
            )
        })?;
        let request = v1::HoldCaseRequest {
            case_id: case.to_string(),
            reason: text("reason", &form.reason, 500)?,
            until: Some(timestamp(until.assume_utc())),
        };
        let mut client = edge.verification(&signed).await?;
        edge.ask(client.hold_case(request)).await?;
        Ok(())
    };
    answered(done.await, case, "held")
}

pub(crate) async fn unhold(
    State(edge): State<Edge>,
    Path(case): Path<String>,
    Posted(signed, Nothing {}): Posted<Nothing>,
) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    let done = async {
        let request = v1::ReleaseHoldRequest {
            case_id: case.to_string(),
        };
        let mut client = edge.verification(&signed).await?;
        edge.ask(client.release_hold(request)).await?;
        Ok(())
    };
    answered(done.await, case, "unheld")
}

#[derive(Deserialize)]
pub(crate) struct Information {
    #[serde(default)]
    text: String,
}

/// Answers a provider's question.
pub(crate) async fn supply(
    State(edge): State<Edge>,
    Path((case, notice)): Path<(String, String)>,
    Posted(signed, form): Posted<Information>,
) -> Result<Redirect, Refused> {
    let case: CaseId = case.parse()?;
    let done = async {
        let notice: NoticeId = notice.parse()?;
        let request = v1::SupplyInformationRequest {
            notice_id: notice.to_string(),
            text: text("text", &form.text, 2000)?,
        };
        let mut client = edge.dispatch(&signed).await?;
        edge.ask(client.supply_information(request)).await?;
        Ok(())
    };
    answered(done.await, case, "supplied")
}

/// Three days from now, as a browser's field for date and time takes it.
pub(super) fn hold_until(now: OffsetDateTime) -> String {
    let until = now + time::Duration::days(3);
    until.format(MINUTES).unwrap_or_default()
}

fn answered(done: Result<(), Refused>, case: CaseId, code: &str) -> Result<Redirect, Refused> {
    done.map_err(|refused| refused.back(format!("/cases/{case}"), "the case"))?;
    Ok(Redirect::to(&format!("/cases/{case}?done={code}")))
}
