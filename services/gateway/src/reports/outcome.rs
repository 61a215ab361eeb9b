//! Reading a report's outcome by its reference, and withdrawing a report.

use axum::Json;
use axum::extract::State;
use domain::enums::Outcome;
use proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::outcome_text::help;
use crate::caller::OptionalCredential;
use crate::edge::Edge;
use crate::enum_schemas;
use crate::input::{NoQuery, Segment};
use crate::problem::{
    CommonProblems, CredentialProblems, NotFoundProblems, ProblemResponse, ValidationProblems,
};
use crate::upstream::{malformed_response, rfc3339_required};

#[derive(Serialize, ToSchema)]
pub(crate) struct ReportOutcome {
    #[schema(schema_with = enum_schemas::outcome)]
    outcome: &'static str,
    #[schema(format = "date-time")]
    received_at: String,
    #[schema(format = "date-time")]
    updated_at: String,
    /// What the outcome means and what you can do.
    #[schema(
        example = "We have asked the people who run the site to take it down. We keep checking until it is offline."
    )]
    help: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WithdrawnReport {
    #[schema(schema_with = enum_schemas::outcome)]
    outcome: &'static str,
    /// What the outcome means and what you can do.
    help: String,
}

/// Read the outcome of a report.
#[utoipa::path(
    get, path = "/v1/reports/{reference}", operation_id = "read_outcome", tag = "reports",
    security((), ("partner_key" = [])),
    params(("reference" = String, Path, description = "From the receipt. Spaces, hyphens and case do not matter.", pattern = "^[ -]*(?:[0-9A-TV-Za-tv-z][ -]*){20}$", max_length = 64, example = "7K2QX-M04DZ-9R1TB-EWH5C")),
    responses((status = 200, description = "The outcome.", body = ReportOutcome), CommonProblems, CredentialProblems, NotFoundProblems, ValidationProblems)
)]
pub(crate) async fn read(
    State(edge): State<Edge>,
    OptionalCredential(credential): OptionalCredential,
    Segment(reference): Segment,
    _: NoQuery,
) -> Result<Json<ReportOutcome>, ProblemResponse> {
    let request = v1::GetOutcomeRequest { reference };
    let request = match &credential {
        Some(credential) => edge.authenticated_request(credential, request),
        None => edge.anonymous_request(request),
    };
    let response = edge.intake().get_outcome(request).await?.into_inner();
    let outcome = Outcome::from_wire(response.outcome).map_err(|_| malformed_response())?;
    Ok(Json(ReportOutcome {
        outcome: outcome.as_str(),
        received_at: rfc3339_required(response.received_at.as_ref())?,
        updated_at: rfc3339_required(response.updated_at.as_ref())?,
        help: help(outcome, &edge.config.helpline),
    }))
}

/// Withdraw a report. Content that was removed because of it stays removed.
#[utoipa::path(
    post, path = "/v1/reports/{reference}/withdraw", operation_id = "withdraw_report", tag = "reports",
    security((), ("partner_key" = [])),
    params(("reference" = String, Path, description = "From the receipt. Spaces, hyphens and case do not matter.", pattern = "^[ -]*(?:[0-9A-TV-Za-tv-z][ -]*){20}$", max_length = 64, example = "7K2QX-M04DZ-9R1TB-EWH5C")),
    responses((status = 200, description = "The outcome after the withdrawal.", body = WithdrawnReport), CommonProblems, CredentialProblems, NotFoundProblems, ValidationProblems)
)]
pub(crate) async fn withdraw(
    State(edge): State<Edge>,
    OptionalCredential(credential): OptionalCredential,
    Segment(reference): Segment,
    _: NoQuery,
) -> Result<Json<WithdrawnReport>, ProblemResponse> {
    let request = v1::WithdrawReportRequest { reference };
    let request = match &credential {
        Some(credential) => edge.authenticated_request(credential, request),
        None => edge.anonymous_request(request),
    };
    let response = edge.intake().withdraw_report(request).await?.into_inner();
    let outcome = Outcome::from_wire(response.outcome).map_err(|_| malformed_response())?;
    Ok(Json(WithdrawnReport {
        outcome: outcome.as_str(),
        help: help(outcome, &edge.config.helpline),
    }))
}
