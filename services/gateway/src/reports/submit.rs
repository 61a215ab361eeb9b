//! Submitting reports. Each item is judged by itself; a receipt says that it is stored for good.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::Invalid;
use domain::word::{AgeBand, HashKind, Media, ReportChannel};
use http::StatusCode;
use platform::error::{Kind, Problem};
use proto::v1;
use proto::v1::item_result::Result as Outcome;
use serde_json::value::RawValue;

use super::ItemProblem;
use super::document::{AllRefused, ItemResult, Receipt, ReportItem, Results, Submission};
use crate::caller::{Anybody, IdempotencyKey};
use crate::edge::Edge;
use crate::input::{self, Digested, NoQuery, Partial, element, external_id};
use crate::problem::{Always, Refused, WithBody, WithKey};
use crate::words::{damaged, rfc3339_required};

/// Items say not when to come again; what the owner refuses as a whole does.
const LATER: Duration = Duration::from_mins(1);

/// Report. With a partner's key, or with none on the public channel. A receipt is given only once the report is stored.
#[utoipa::path(
    post, path = "/v1/reports", operation_id = "submit_reports", tag = "reports",
    security((), ("partner_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body gives the same receipts; with another body, also one that differs only in an item that cannot be read, it is refused. Without a credential it must be unguessable: a random UUID, or at least 32 hexadecimal digits or 22 characters of base64url.", min_length = 1, max_length = 128)),
    request_body = Submission,
    responses(
        (status = 200, description = "At least one item was accepted.", body = Results),
        (status = 422, description = "No item was accepted.", body = AllRefused, content_type = "application/problem+json"),
        Always, WithKey, WithBody
    )
)]
pub(crate) async fn submit(
    State(edge): State<Edge>,
    Anybody(credential): Anybody,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Digested {
        document: body,
        digest,
    }: Digested<Submission>,
) -> Result<Json<Results>, Refused> {
    let mut request = head(&body, idempotency_key)?;
    let read = |(n, raw): (usize, &RawValue)| {
        let place = format!("items[{n}]");
        item(element(&place, raw)?).map_err(|invalid| Refused::from(invalid.within(&place)))
    };
    let mut items = Partial::sort(
        "items",
        body.items.iter().map(Box::as_ref).enumerate().map(read),
    );
    request.items = items.take();
    // An empty list is for the owner to refuse. A list of nothing but mistakes goes on as its digest: whose it is, and
    // whether its key is free, is for the owner to say.
    if !body.items.is_empty() {
        request.body_digest = digest;
    }
    let request = match &credential {
        Some(credential) => edge.named(credential, request),
        None => edge.unnamed(request),
    };
    let results = edge
        .intake()
        .submit_reports(request)
        .await
        .map_err(refused)?
        .into_inner()
        .results;
    let mut kinds = Vec::new();
    let results = results
        .into_iter()
        .enumerate()
        .map(|(n, result)| judged(&items, n, result, &mut kinds))
        .collect::<Result<Vec<_>, Refused>>()?;
    let results = items
        .join(results, |place, problem| {
            kinds.push(problem.kind);
            ItemResult {
                external_id: external_id(&body.items[place]),
                receipt: None,
                problem: Some(ItemProblem::of(problem)),
            }
        })
        .ok_or_else(damaged)?;
    if results.iter().any(|result| result.receipt.is_some()) {
        return Ok(Json(Results { results }));
    }
    Err(none_accepted(&kinds).results(serde_json::to_value(results).map_err(|_| damaged())?))
}

/// Everything but the items.
fn head(body: &Submission, idempotency_key: String) -> Result<v1::SubmitReportsRequest, Invalid> {
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

/// Reads an item; what its address and hashes are worth is for intake to say.
fn item(item: ReportItem) -> Result<v1::ReportItem, Invalid> {
    let hashes = item.hashes.into_iter().enumerate().map(|(n, hash)| {
        Ok(v1::Hash {
            kind: hash
                .kind
                .parse::<HashKind>()
                .map_err(|invalid| Invalid {
                    field: format!("hashes[{n}].kind"),
                    ..invalid
                })?
                .wire(),
            value: hash.value,
        })
    });
    Ok(v1::ReportItem {
        hashes: hashes.collect::<Result<_, Invalid>>()?,
        external_id: item.external_id.unwrap_or_default(),
        url: item.url,
        media: match item.media.as_deref() {
            None | Some("") => 0,
            Some(word) => word.parse::<Media>()?.wire(),
        },
        received_at: item
            .received_at
            .map(|at| input::time("received_at", &at))
            .transpose()?,
    })
}

/// A key that nobody can guess is asked of whoever has no other credential: with one, the same request is right.
fn refused(status: tonic::Status) -> Refused {
    let mut refused = Refused::from(status);
    if refused.problem.code == "idempotency_key_weak" {
        refused.status = StatusCode::FORBIDDEN;
    }
    refused
}

fn judged(
    items: &Partial<v1::ReportItem>,
    n: usize,
    result: v1::ItemResult,
    kinds: &mut Vec<Kind>,
) -> Result<ItemResult, Refused> {
    let optional = |text: String| (!text.is_empty()).then_some(text);
    let (receipt, problem) = match result.result.ok_or_else(damaged)? {
        Outcome::Receipt(receipt) => (
            Some(Receipt {
                accepted_at: rfc3339_required(receipt.accepted_at.as_ref())?,
                report_id: receipt.report_id,
                reference: receipt.reference,
                // Whoever may not see the case is told nothing of it.
                opened_case: (!receipt.case_id.is_empty()).then_some(receipt.opened_case),
                case_id: optional(receipt.case_id),
            }),
            None,
        ),
        Outcome::Problem(problem) => {
            let problem = items.problem(n, &problem);
            kinds.push(problem.kind);
            (None, Some(ItemProblem::of(problem)))
        }
    };
    Ok(ItemResult {
        external_id: optional(result.external_id),
        receipt,
        problem,
    })
}

/// Where every item failed for one reason that will pass, the answer says so, and the sender comes again.
fn none_accepted(kinds: &[Kind]) -> Refused {
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
        "no_item_accepted",
        "No item was accepted; `results` says for each what to send instead.",
    );
    if problem.is_transient() {
        problem.retry_after(LATER).into()
    } else {
        problem.into()
    }
}
