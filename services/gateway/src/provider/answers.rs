//! Answering notices, one or many. An invalid answer in a batch does not affect the others.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use domain::Invalid;
use domain::enums::Answer;
use proto::v1;
use proto::v1::answer_result::Result as ResultProto;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::state;
use crate::caller::{IdempotencyKey, RequiredCredential};
use crate::edge::Edge;
use crate::enum_schemas;
use crate::input::{self, Json as Body, JsonWithDigest, NoQuery, PartialList, Segment, element};
use crate::problem::{
    BodyProblems, CommonProblems, CredentialProblems, NotFoundProblems, ProblemResponse,
    ValidationProblems, problem_from_item,
};
use crate::reports::ItemProblem;
use crate::upstream::malformed_response;

/// An answer to a notice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `answer`")]
#[schema(example = json!({"answer": "need_time", "until": "2099-03-01T12:00:00Z"}))]
pub(crate) struct AnswerBody {
    #[schema(schema_with = enum_schemas::answer)]
    answer: String,
    /// With `need_time`: until when.
    #[schema(format = "date-time")]
    #[serde(default)]
    until: Option<String>,
    /// With `not_ours` or `moved`, if you know it: a provider id, a domain or an IP address.
    #[schema(
        max_length = 253,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    named: Option<String>,
    /// With `need_information`: your question. With `disputed`: your reasons.
    #[schema(
        max_length = 2000,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    text: Option<String>,
}

/// One answer of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `notice_id` and `answer`"
)]
pub(crate) struct AnswerItem {
    #[schema(format = "uuid")]
    notice_id: String,
    #[schema(schema_with = enum_schemas::answer)]
    answer: String,
    /// With `need_time`: until when.
    #[schema(format = "date-time")]
    #[serde(default)]
    until: Option<String>,
    /// With `not_ours` or `moved`, if you know it: a provider id, a domain or an IP address.
    #[schema(
        max_length = 253,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    named: Option<String>,
    /// With `need_information`: your question. With `disputed`: your reasons.
    #[schema(
        max_length = 2000,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with the list `answers`")]
#[schema(example = json!({"answers": [
    {"notice_id": "0b0e7c5e-5c0f-4d39-9a53-3d1f1f1c7a11", "answer": "removed"},
    {"notice_id": "6f1dbb4e-8a6c-4c7b-8a2d-5f0f3a7d2c10", "answer": "not_ours", "named": "cedar-cdn"}
]}))]
pub(crate) struct AnswerBatch {
    #[schema(value_type = Vec<AnswerItem>, min_items = 1, max_items = 1000)]
    answers: Vec<Box<RawValue>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RecordedAnswer {
    #[schema(format = "uuid")]
    notice_id: String,
    /// The notice's state after the answer.
    #[schema(schema_with = enum_schemas::notice_state)]
    state: &'static str,
}

/// The result of one answer: the notice's `state`, or a `problem`.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerResult {
    notice_id: Option<String>,
    #[schema(required = false, nullable = false, schema_with = enum_schemas::notice_state)]
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ItemProblem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerResults {
    /// In the order of `answers`.
    results: Vec<AnswerResult>,
}

/// Answer one notice. Repeating an answer succeeds.
#[utoipa::path(
    post, path = "/provider/v1/notices/{notice_id}/answers", operation_id = "answer_notice", tag = "notices",
    security(("provider_key" = [])),
    params(
        ("notice_id" = String, Path, format = "uuid", description = "The notice's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body returns the same response.", min_length = 1, max_length = 128)
    ),
    request_body = AnswerBody,
    responses((status = 200, description = "Recorded.", body = RecordedAnswer), CommonProblems, CredentialProblems, NotFoundProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn answer(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(notice_id): Segment,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(body): Body<AnswerBody>,
) -> Result<Json<RecordedAnswer>, ProblemResponse> {
    let answer = answer_proto(AnswerItem {
        notice_id,
        answer: body.answer,
        until: body.until,
        named: body.named,
        text: body.text,
    })?;
    let request = v1::AnswerNoticesRequest {
        idempotency_key,
        answers: vec![answer],
        ..v1::AnswerNoticesRequest::default()
    };
    let result = edge
        .dispatch()
        .answer_notices(edge.authenticated_request(&key, request))
        .await?
        .into_inner()
        .results
        .pop()
        .ok_or_else(malformed_response)?;
    match result.result.ok_or_else(malformed_response)? {
        ResultProto::State(wire) => Ok(Json(RecordedAnswer {
            notice_id: result.notice_id,
            state: state(wire)?,
        })),
        ResultProto::Problem(problem) => {
            let mut problem = problem_from_item(&problem);
            // In this request the answer is not an element of a list.
            problem.field = problem
                .field
                .map(|field| match field.strip_prefix("answers[0].") {
                    Some(inner) => inner.to_owned(),
                    None => field,
                });
            Err(problem.into())
        }
    }
}

/// Answer up to 1,000 notices. Each answer is validated separately and has its own result.
#[utoipa::path(
    post, path = "/provider/v1/answers", operation_id = "answer_notices", tag = "notices",
    security(("provider_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body returns the same results. With a different body, even one that differs only in an answer that cannot be read, the request is refused.", min_length = 1, max_length = 128)),
    request_body = AnswerBatch,
    responses((status = 200, description = "The result of each answer.", body = AnswerResults), CommonProblems, CredentialProblems, BodyProblems, ValidationProblems)
)]
pub(crate) async fn answer_batch(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    JsonWithDigest {
        document: body,
        digest,
    }: JsonWithDigest<AnswerBatch>,
) -> Result<Json<AnswerResults>, ProblemResponse> {
    let ids: Vec<_> = body.answers.iter().map(|raw| notice_id(raw)).collect();
    let parse = |(index, raw): (usize, &RawValue)| {
        let path = format!("answers[{index}]");
        answer_proto(element(&path, raw)?)
            .map_err(|invalid| ProblemResponse::from(invalid.within(&path)))
    };
    let mut answers = PartialList::partition(
        "answers",
        body.answers.iter().map(Box::as_ref).enumerate().map(parse),
    );
    let request = v1::AnswerNoticesRequest {
        idempotency_key,
        answers: answers.take_valid(),
        // Dispatch refuses an empty list. A list with invalid answers only is forwarded as its digest,
        // because dispatch still has to check the credential and the idempotency key.
        body_digest: if ids.is_empty() { Bytes::new() } else { digest },
    };
    let results = edge
        .dispatch()
        .answer_notices(edge.authenticated_request(&key, request))
        .await?
        .into_inner()
        .results;
    let results = results
        .into_iter()
        .enumerate()
        .map(|(index, result)| answer_result(&answers, index, result))
        .collect::<Result<Vec<_>, ProblemResponse>>()?;
    let results = answers
        .merge(results, |position, problem| AnswerResult {
            notice_id: ids[position].clone(),
            state: None,
            problem: Some(ItemProblem::from_problem(problem)),
        })
        .ok_or_else(malformed_response)?;
    Ok(Json(AnswerResults { results }))
}

fn answer_result(
    answers: &PartialList<v1::AnswerItem>,
    index: usize,
    result: v1::AnswerResult,
) -> Result<AnswerResult, ProblemResponse> {
    let (state, problem) = match result.result.ok_or_else(malformed_response)? {
        ResultProto::State(wire) => (Some(state(wire)?), None),
        ResultProto::Problem(problem) => {
            let problem = answers.problem(index, &problem);
            (None, Some(ItemProblem::from_problem(problem)))
        }
    };
    Ok(AnswerResult {
        notice_id: Some(result.notice_id),
        state,
        problem,
    })
}

/// Parses the enum and the time; dispatch validates everything that depends on the notice.
fn answer_proto(answer: AnswerItem) -> Result<v1::AnswerItem, Invalid> {
    Ok(v1::AnswerItem {
        answer: answer.answer.parse::<Answer>()?.wire(),
        until: answer
            .until
            .map(|until| input::time("until", &until))
            .transpose()?,
        notice_id: answer.notice_id,
        named: answer.named.unwrap_or_default(),
        text: answer.text.unwrap_or_default(),
    })
}

/// The `notice_id` of an answer that is otherwise invalid, if it can be read.
fn notice_id(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct NoticeIdField {
        notice_id: String,
    }
    serde_json::from_str::<NoticeIdField>(raw.get())
        .ok()
        .map(|field| field.notice_id)
        .filter(|id| id.len() <= 64)
}
