//! Submitting reports. Each report is validated separately; a receipt confirms that the report is stored
//! durably.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::Invalid;
use domain::enums::{AgeBand, HashKind, Media, ReportChannel};
use http::StatusCode;
use platform::error::{Kind, Problem};
use proto::v1;
use proto::v1::report_result::Result as ResultProto;
use serde_json::value::RawValue;

use super::ItemProblem;
use super::submission_json::{
    NoneAccepted, ReceiptBody, ReportBody, ReportResult, SubmissionBody, SubmissionResults,
};
use crate::caller::{IdempotencyKey, OptionalCredential};
use crate::edge::Edge;
use crate::input::{self, JsonWithDigest, NoQuery, PartialList, element, external_id};
use crate::problem::{BodyProblems, CommonProblems, CredentialProblems, ProblemResponse};
use crate::upstream::{malformed_response, rfc3339_required};

/// `Retry-After` if every report failed for a temporary reason, because results of single reports contain no
/// delay.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// Submit reports, with a partner's key or, on the public channel, without one.
///
/// A receipt is given only after the report is stored.
#[utoipa::path(
    post, path = "/v1/reports", operation_id = "submit_reports", tag = "reports",
    security((), ("partner_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body returns the same receipts. With a different body, even one that differs only in a report that cannot be read, the request is refused. Without a credential the key must be unguessable: a random UUID, or at least 32 hexadecimal digits or 22 characters of base64url.", min_length = 1, max_length = 128)),
    request_body = SubmissionBody,
    responses(
        (status = 200, description = "At least one report was accepted.", body = SubmissionResults),
        (status = 422, description = "No report was accepted.", body = NoneAccepted, content_type = "application/problem+json"),
        CommonProblems, CredentialProblems, BodyProblems
    )
)]
pub(crate) async fn submit(
    State(edge): State<Edge>,
    OptionalCredential(credential): OptionalCredential,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    JsonWithDigest {
        document: body,
        digest,
    }: JsonWithDigest<SubmissionBody>,
) -> Result<Json<SubmissionResults>, ProblemResponse> {
    let mut request = submission_proto(&body, idempotency_key)?;
    let parse = |(index, raw): (usize, &RawValue)| {
        let path = format!("reports[{index}]");
        report_proto(element(&path, raw)?)
            .map_err(|invalid| ProblemResponse::from(invalid.within(&path)))
    };
    let mut reports = PartialList::partition(
        "reports",
        body.reports.iter().map(Box::as_ref).enumerate().map(parse),
    );
    request.reports = reports.take_valid();
    // Intake refuses an empty list. A list with invalid reports only is forwarded as its digest, because
    // intake still has to check the credential and the idempotency key.
    if !body.reports.is_empty() {
        request.body_digest = digest;
    }
    let request = match &credential {
        Some(credential) => edge.authenticated_request(credential, request),
        None => edge.anonymous_request(request),
    };
    let results = edge
        .intake()
        .submit_reports(request)
        .await
        .map_err(refusal)?
        .into_inner()
        .results;
    let mut kinds = Vec::new();
    let results = results
        .into_iter()
        .enumerate()
        .map(|(index, result)| report_result(&reports, index, result, &mut kinds))
        .collect::<Result<Vec<_>, ProblemResponse>>()?;
    let results = reports
        .merge(results, |position, problem| {
            kinds.push(problem.kind);
            ReportResult {
                external_id: external_id(&body.reports[position]),
                receipt: None,
                problem: Some(ItemProblem::from_problem(problem)),
            }
        })
        .ok_or_else(malformed_response)?;
    if results.iter().any(|result| result.receipt.is_some()) {
        return Ok(Json(SubmissionResults { results }));
    }
    let results = serde_json::to_value(results).map_err(|_| malformed_response())?;
    Err(none_accepted(&kinds).results(results))
}

/// The submission without its reports.
fn submission_proto(
    body: &SubmissionBody,
    idempotency_key: String,
) -> Result<v1::SubmitReportsRequest, Invalid> {
    let report_remove = body
        .report_remove
        .as_ref()
        .map(|facts| {
            Ok(v1::ReportRemoveFacts {
                under_18: facts.under_18,
                age_band: facts
                    .age_band
                    .parse::<AgeBand>()
                    .map_err(|invalid| invalid.within("report_remove"))?
                    .wire(),
                unique_number: facts.unique_number.clone(),
            })
        })
        .transpose()?;
    Ok(v1::SubmitReportsRequest {
        idempotency_key,
        channel: body.channel.parse::<ReportChannel>()?.wire(),
        reporter_country: body.reporter_country.clone().unwrap_or_default(),
        report_remove,
        ..v1::SubmitReportsRequest::default()
    })
}

/// Parses enums and the time; intake validates the URL and the hashes.
fn report_proto(report: ReportBody) -> Result<v1::NewReport, Invalid> {
    let hashes = report.hashes.into_iter().enumerate().map(|(index, hash)| {
        Ok(v1::Hash {
            kind: hash
                .kind
                .parse::<HashKind>()
                .map_err(|invalid| Invalid {
                    field: format!("hashes[{index}].kind"),
                    ..invalid
                })?
                .wire(),
            value: hash.value,
        })
    });
    Ok(v1::NewReport {
        hashes: hashes.collect::<Result<_, Invalid>>()?,
        external_id: report.external_id.unwrap_or_default(),
        url: report.url,
        media: match report.media.as_deref() {
            None | Some("") => 0,
            Some(media) => media.parse::<Media>()?.wire(),
        },
        received_at: report
            .received_at
            .map(|at| input::time("received_at", &at))
            .transpose()?,
    })
}

/// A guessable idempotency key is 403 and not 422, because the same request is valid with a credential.
fn refusal(status: tonic::Status) -> ProblemResponse {
    let mut response = ProblemResponse::from(status);
    if response.problem.code == "idempotency_key_weak" {
        response.status = StatusCode::FORBIDDEN;
    }
    response
}

fn report_result(
    reports: &PartialList<v1::NewReport>,
    index: usize,
    result: v1::ReportResult,
    kinds: &mut Vec<Kind>,
) -> Result<ReportResult, ProblemResponse> {
    let optional = |text: String| (!text.is_empty()).then_some(text);
    let (receipt, problem) = match result.result.ok_or_else(malformed_response)? {
        ResultProto::Receipt(receipt) => (
            Some(ReceiptBody {
                accepted_at: rfc3339_required(receipt.accepted_at.as_ref())?,
                report_id: receipt.report_id,
                reference: receipt.reference,
                // Without a case id, `opened_case` has no meaning and is left out too.
                opened_case: (!receipt.case_id.is_empty()).then_some(receipt.opened_case),
                case_id: optional(receipt.case_id),
            }),
            None,
        ),
        ResultProto::Problem(problem) => {
            let problem = reports.problem(index, &problem);
            kinds.push(problem.kind);
            (None, Some(ItemProblem::from_problem(problem)))
        }
    };
    Ok(ReportResult {
        external_id: optional(result.external_id),
        receipt,
        problem,
    })
}

/// If every report failed for the same temporary reason, the status says so, and the caller can repeat the
/// request.
fn none_accepted(kinds: &[Kind]) -> ProblemResponse {
    let all = |kind| !kinds.is_empty() && kinds.iter().all(|k| *k == kind);
    let kind = [
        Kind::Exhausted,
        Kind::Unavailable,
        Kind::Conflict,
        Kind::Internal,
    ]
    .into_iter()
    .find(|kind| all(*kind))
    .unwrap_or(Kind::Invalid);
    let problem = Problem::new(
        kind,
        "no_report_accepted",
        "No report was accepted; `results` has the problem of each report.",
    );
    if problem.is_transient() {
        problem.retry_after(RETRY_AFTER).into()
    } else {
        problem.into()
    }
}
