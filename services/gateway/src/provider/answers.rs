//! Answering notices, one or many. One answer that is wrong does not cost the others.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use domain::Invalid;
use domain::word::Answer;
use proto::v1;
use proto::v1::answer_result::Result as Outcome;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::state;
use crate::caller::{IdempotencyKey, Named};
use crate::edge::Edge;
use crate::input::{self, Digested, Json as Body, NoQuery, Partial, Segment, element};
use crate::problem::{Always, Refused, WithBody, WithKey, WithName, WithValues, of_item};
use crate::reports::ItemProblem;
use crate::words::{self, damaged};

/// What you say of a notice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `answer`")]
#[schema(example = json!({"answer": "need_time", "until": "2099-03-01T12:00:00Z"}))]
pub(crate) struct AnswerBody {
    #[schema(schema_with = words::answer)]
    answer: String,
    /// With `need_time`: until when.
    #[schema(format = "date-time")]
    #[serde(default)]
    until: Option<String>,
    /// With `not_ours` or `moved`, where you know it: a provider id, a domain or an address.
    #[schema(
        max_length = 253,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    named: Option<String>,
    /// With a question or a dispute: your words.
    #[schema(
        max_length = 2000,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    text: Option<String>,
}

/// What you say of one notice among many.
#[derive(Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with `notice_id` and `answer`"
)]
pub(crate) struct AnswerItem {
    #[schema(format = "uuid")]
    notice_id: String,
    #[schema(schema_with = words::answer)]
    answer: String,
    /// With `need_time`: until when.
    #[schema(format = "date-time")]
    #[serde(default)]
    until: Option<String>,
    /// With `not_ours` or `moved`, where you know it: a provider id, a domain or an address.
    #[schema(
        max_length = 253,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    #[serde(default)]
    named: Option<String>,
    /// With a question or a dispute: your words.
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
pub(crate) struct Answers {
    #[schema(value_type = Vec<AnswerItem>, min_items = 1, max_items = 1000)]
    answers: Vec<Box<RawValue>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Answered {
    #[schema(format = "uuid")]
    notice_id: String,
    /// The notice's state now.
    #[schema(schema_with = words::notice_state)]
    state: &'static str,
}

/// What became of one answer: its notice's `state`, or a `problem`.
#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerResult {
    notice_id: Option<String>,
    #[schema(required = false, nullable = false, schema_with = words::notice_state)]
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[schema(required = false, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ItemProblem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AnswerResults {
    /// In the order of the answers.
    results: Vec<AnswerResult>,
}

/// Answer one notice. The same answer again is success.
#[utoipa::path(
    post, path = "/provider/v1/notices/{notice_id}/answers", operation_id = "answer_notice", tag = "notices",
    security(("provider_key" = [])),
    params(
        ("notice_id" = String, Path, format = "uuid", description = "As the notice names itself."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body gives the same answer.", min_length = 1, max_length = 128)
    ),
    request_body = AnswerBody,
    responses((status = 200, description = "Recorded.", body = Answered), Always, WithKey, WithName, WithBody, WithValues)
)]
pub(crate) async fn answer(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(notice_id): Segment,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Body(body): Body<AnswerBody>,
) -> Result<Json<Answered>, Refused> {
    let item = item(AnswerItem {
        notice_id,
        answer: body.answer,
        until: body.until,
        named: body.named,
        text: body.text,
    })?;
    let request = v1::AnswerNoticesRequest {
        idempotency_key,
        items: vec![item],
        ..v1::AnswerNoticesRequest::default()
    };
    let result = edge
        .dispatch()
        .answer_notices(edge.named(&key, request))
        .await?
        .into_inner()
        .results
        .pop()
        .ok_or_else(damaged)?;
    match result.result.ok_or_else(damaged)? {
        Outcome::State(wire) => Ok(Json(Answered {
            notice_id: result.notice_id,
            state: state(wire)?,
        })),
        Outcome::Problem(problem) => {
            let mut problem = of_item(&problem);
            // Here the answer is not one of a list.
            problem.field = problem
                .field
                .map(|field| match field.strip_prefix("items[0].") {
                    Some(inner) => inner.to_owned(),
                    None => field,
                });
            Err(problem.into())
        }
    }
}

/// Answer up to 1,000 notices. Each answer is judged by itself.
#[utoipa::path(
    post, path = "/provider/v1/answers", operation_id = "answer_notices", tag = "notices",
    security(("provider_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe: the same key with the same body gives the same results; with another body, also one that differs only in an answer that cannot be read, it is refused.", min_length = 1, max_length = 128)),
    request_body = Answers,
    responses((status = 200, description = "What became of each.", body = AnswerResults), Always, WithKey, WithBody, WithValues)
)]
pub(crate) async fn answer_many(
    State(edge): State<Edge>,
    Named(key): Named,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    _: NoQuery,
    Digested {
        document: body,
        digest,
    }: Digested<Answers>,
) -> Result<Json<AnswerResults>, Refused> {
    let ids: Vec<_> = body.answers.iter().map(|raw| notice_id(raw)).collect();
    let read = |(n, raw): (usize, &RawValue)| {
        let place = format!("answers[{n}]");
        item(element(&place, raw)?).map_err(|invalid| Refused::from(invalid.within(&place)))
    };
    let mut items = Partial::sort(
        "answers",
        body.answers.iter().map(Box::as_ref).enumerate().map(read),
    );
    let request = v1::AnswerNoticesRequest {
        idempotency_key,
        items: items.take(),
        // An empty list is for the owner to refuse. A list of nothing but mistakes goes on as its digest: whose it is,
        // and whether its key is free, is for the owner to say.
        body_digest: if ids.is_empty() { Bytes::new() } else { digest },
    };
    let results = edge
        .dispatch()
        .answer_notices(edge.named(&key, request))
        .await
        .map_err(|status| items.rename(status))?
        .into_inner()
        .results;
    let results = results
        .into_iter()
        .enumerate()
        .map(|(n, result)| judged(&items, n, result))
        .collect::<Result<Vec<_>, Refused>>()?;
    let results = items
        .join(results, |place, problem| AnswerResult {
            notice_id: ids[place].clone(),
            state: None,
            problem: Some(ItemProblem::of(problem)),
        })
        .ok_or_else(damaged)?;
    Ok(Json(AnswerResults { results }))
}

fn judged(
    items: &Partial<v1::AnswerItem>,
    n: usize,
    result: v1::AnswerResult,
) -> Result<AnswerResult, Refused> {
    let (state, problem) = match result.result.ok_or_else(damaged)? {
        Outcome::State(wire) => (Some(state(wire)?), None),
        Outcome::Problem(problem) => (None, Some(ItemProblem::of(items.problem(n, &problem)))),
    };
    Ok(AnswerResult {
        notice_id: Some(result.notice_id),
        state,
        problem,
    })
}

/// Reads an answer; what it means for its notice is for dispatch to say.
fn item(answer: AnswerItem) -> Result<v1::AnswerItem, Invalid> {
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

/// Which notice an answer was about, also where the rest of it cannot be read.
fn notice_id(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        notice_id: String,
    }
    serde_json::from_str::<Named>(raw.get())
        .ok()
        .map(|named| named.notice_id)
        .filter(|id| id.len() <= 64)
}
