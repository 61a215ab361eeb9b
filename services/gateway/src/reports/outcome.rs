//! What may be told about a report to whoever holds its reference, in words fit for a child. Nothing of the case, the
//! address or the host.

use axum::Json;
use axum::extract::State;
use domain::word::Outcome;
use proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::caller::Anybody;
use crate::edge::Edge;
use crate::input::{NoQuery, Segment};
use crate::problem::{Always, Refused, WithKey, WithName, WithValues};
use crate::words::{self, damaged, rfc3339_required};

#[derive(Serialize, ToSchema)]
pub(crate) struct Told {
    #[schema(schema_with = words::outcome)]
    outcome: &'static str,
    #[schema(format = "date-time")]
    received_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
    /// What it means, and what you can do.
    #[schema(
        example = "We have told the people who run the site to take it down. We keep checking until it is gone."
    )]
    help: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Withdrawn {
    #[schema(schema_with = words::outcome)]
    outcome: &'static str,
    /// What it means, and what you can do.
    help: String,
}

/// What became of a report.
#[utoipa::path(
    get, path = "/v1/reports/{reference}", operation_id = "read_outcome", tag = "reports",
    security((), ("partner_key" = [])),
    params(("reference" = String, Path, description = "From the receipt; spaces, hyphens and case do not matter.", pattern = "^[ -]*(?:[0-9A-TV-Za-tv-z][ -]*){20}$", max_length = 64, example = "7K2QX-M04DZ-9R1TB-EWH5C")),
    responses((status = 200, description = "What may be told.", body = Told), Always, WithKey, WithName, WithValues)
)]
pub(crate) async fn read(
    State(edge): State<Edge>,
    Anybody(credential): Anybody,
    Segment(reference): Segment,
    _: NoQuery,
) -> Result<Json<Told>, Refused> {
    let request = v1::GetOutcomeRequest { reference };
    let request = match &credential {
        Some(credential) => edge.named(credential, request),
        None => edge.unnamed(request),
    };
    let told = edge.intake().get_outcome(request).await?.into_inner();
    let outcome = Outcome::from_wire(told.outcome).map_err(|_| damaged())?;
    Ok(Json(Told {
        outcome: outcome.as_str(),
        received_at: rfc3339_required(told.received_at.as_ref())?,
        updated_at: rfc3339_required(told.updated_at.as_ref())?,
        help: help(outcome, &edge.config.helpline),
    }))
}

/// Take a report back. What was removed for it stays removed.
#[utoipa::path(
    post, path = "/v1/reports/{reference}/withdraw", operation_id = "withdraw_report", tag = "reports",
    security((), ("partner_key" = [])),
    params(("reference" = String, Path, description = "From the receipt; spaces, hyphens and case do not matter.", pattern = "^[ -]*(?:[0-9A-TV-Za-tv-z][ -]*){20}$", max_length = 64, example = "7K2QX-M04DZ-9R1TB-EWH5C")),
    responses((status = 200, description = "How it stands now.", body = Withdrawn), Always, WithKey, WithName, WithValues)
)]
pub(crate) async fn withdraw(
    State(edge): State<Edge>,
    Anybody(credential): Anybody,
    Segment(reference): Segment,
    _: NoQuery,
) -> Result<Json<Withdrawn>, Refused> {
    let request = v1::WithdrawReportRequest { reference };
    let request = match &credential {
        Some(credential) => edge.named(credential, request),
        None => edge.unnamed(request),
    };
    let answer = edge.intake().withdraw_report(request).await?.into_inner();
    let outcome = Outcome::from_wire(answer.outcome).map_err(|_| damaged())?;
    Ok(Json(Withdrawn {
        outcome: outcome.as_str(),
        help: help(outcome, &edge.config.helpline),
    }))
}

fn help(outcome: Outcome, helpline: &str) -> String {
    let says = match outcome {
        Outcome::Received => "We have your report, and somebody will look at it soon.",
        Outcome::BeingLookedAt => "Somebody is looking at your report now.",
        Outcome::BeingRemoved => {
            "We have told the people who run the site to take it down. We keep checking until it is gone."
        }
        Outcome::Removed => {
            "It has been taken down. We keep checking, and act again if it comes back."
        }
        Outcome::NotAgainstTheLaw => {
            "We looked carefully. It is not something that the law lets us have removed. That does not mean it is all \
             right, and it does not mean that you did anything wrong. The site itself may still take it down if you \
             report it there."
        }
        Outcome::CouldNotFind => {
            "We could not find anything at this address. It may be gone already. If you see it again, please report it again."
        }
        Outcome::Withdrawn => "The report was taken back, and we do nothing more about it.",
    };
    let and = match outcome {
        Outcome::NotAgainstTheLaw | Outcome::CouldNotFind => {
            format!(" If you are worried, or just want to talk, you can turn to {helpline}.")
        }
        Outcome::Received
        | Outcome::BeingLookedAt
        | Outcome::BeingRemoved
        | Outcome::Removed
        | Outcome::Withdrawn => String::new(),
    };
    format!("{says}{and}")
}
