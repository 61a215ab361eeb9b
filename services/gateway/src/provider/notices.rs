//! Listing and reading notices.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use domain::Invalid;
use domain::enums::{Category, NoticeState};
use platform::error::Problem;
use proto::v1;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::notice_json::Notice;
use crate::caller::RequiredCredential;
use crate::edge::Edge;
use crate::enum_schemas;
use crate::input::{self, Fields, NoQuery, Query, Segment};
use crate::problem::{
    CommonProblems, CredentialProblems, NotFoundProblems, ProblemResponse, ValidationProblems,
};
use crate::upstream::malformed_response;

/// Maximum digits of a cursor.
const MAX_CURSOR: usize = 18;

#[derive(Serialize, ToSchema)]
pub(crate) struct NoticePage {
    notices: Vec<Notice>,
    /// Continues after this page. It can also be used later, to read what is new or has changed since.
    next_cursor: Option<String>,
}

/// The query parameters, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are parsed one by one")]
struct NoticeQuery {
    /// Only notices in these states: comma-separated values, or the parameter repeated.
    #[param(style = Form, explode = false, required = false, schema_with = states)]
    state: Option<Vec<String>>,
    /// Only notices of these categories, A to C: comma-separated values, or the parameter repeated.
    #[param(style = Form, explode = false, required = false, schema_with = categories)]
    category: Option<Vec<String>>,
    /// Only notices about this case.
    #[param(format = "uuid", required = false, value_type = String)]
    case_id: Option<String>,
    /// Only notices whose removal deadline is before this time.
    #[param(format = "date-time", required = false, value_type = String)]
    due_before: Option<String>,
    /// `next_cursor` of the previous page.
    #[param(pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    cursor: Option<String>,
    /// Maximum number of notices in a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Your notices, oldest change first. Without `state`, the notices that wait for your answer.
#[utoipa::path(
    get, path = "/provider/v1/notices", operation_id = "list_notices", tag = "notices",
    security(("provider_key" = [])),
    params(NoticeQuery),
    responses((status = 200, description = "A page of notices.", body = NoticePage), CommonProblems, CredentialProblems, ValidationProblems)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Query(fields): Query,
) -> Result<Json<NoticePage>, ProblemResponse> {
    let request = parse_query(fields)?;
    let page = edge
        .dispatch()
        .list_notices(edge.authenticated_request(&key, request))
        .await
        .map_err(with_our_parameters)?
        .into_inner();
    let notices = page
        .notices
        .into_iter()
        .map(Notice::from_proto)
        .collect::<Result<_, _>>()?;
    Ok(Json(NoticePage {
        notices,
        next_cursor: Some(page.next_page_token).filter(|cursor| !cursor.is_empty()),
    }))
}

fn states() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new()
        .items(enum_schemas::notice_state())
        .build()
}

fn categories() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new()
        .items(enum_schemas::category())
        .build()
}

fn parse_query(mut fields: Fields) -> Result<v1::ListNoticesRequest, ProblemResponse> {
    let states = parse_list(&mut fields, "state", |value| {
        value.parse().map(NoticeState::wire)
    })?;
    let categories = parse_list(&mut fields, "category", |value| {
        value.parse().map(Category::wire)
    })?;
    let case_id = fields.take("case_id")?.unwrap_or_default();
    let due_before = fields
        .take("due_before")?
        .map(|text| input::time("due_before", &text))
        .transpose()?;
    let page_token = cursor("cursor", &fields.take("cursor")?.unwrap_or_default())?;
    let page_size = limit(&mut fields)?;
    fields.finish()?;
    Ok(v1::ListNoticesRequest {
        page_size,
        page_token,
        states,
        categories,
        case_id,
        due_before,
    })
}

/// Parses comma-separated values of a parameter that may be repeated. Removes duplicates.
fn parse_list(
    fields: &mut Fields,
    name: &str,
    wire: impl Fn(&str) -> Result<i32, Invalid>,
) -> Result<Vec<i32>, Invalid> {
    let parameters = fields.take_all(name);
    let values = parameters.iter().flat_map(|value| value.split(','));
    let numbers: BTreeSet<i32> = values
        .map(|value| wire(value.trim()))
        .collect::<Result<_, _>>()?;
    Ok(numbers.into_iter().collect())
}

/// Checks the form of a cursor; empty for the first page. Dispatch checks its meaning.
pub(super) fn cursor(field: &str, text: &str) -> Result<String, Invalid> {
    if text.len() <= MAX_CURSOR && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(malformed_cursor(field))
}

fn malformed_cursor(field: &str) -> Invalid {
    Invalid::new(
        "cursor_malformed",
        field,
        format!(
            "`{field}` is not a valid cursor; send `next_cursor` of the previous page, or leave it out"
        ),
    )
}

/// The page size; 0 if the parameter is absent.
pub(super) fn limit(fields: &mut Fields) -> Result<i32, ProblemResponse> {
    let Some(text) = fields.take("limit")? else {
        return Ok(0);
    };
    let number = text.parse().ok();
    let number = number.filter(|limit| (1..=1000).contains(limit));
    Ok(number.ok_or_else(|| {
        Invalid::new(
            "limit_out_of_range",
            "limit",
            "`limit` is not a number from 1 to 1000",
        )
    })?)
}

/// A refusal by dispatch in the words of this API, where the page token is the parameter `cursor`.
pub(super) fn with_our_parameters(status: tonic::Status) -> ProblemResponse {
    let problem = Problem::from(status);
    if problem.code == "page_token_malformed" {
        return malformed_cursor("cursor").into();
    }
    problem.into()
}

/// Read one of your notices.
#[utoipa::path(
    get, path = "/provider/v1/notices/{notice_id}", operation_id = "read_notice", tag = "notices",
    security(("provider_key" = [])),
    params(("notice_id" = String, Path, format = "uuid", description = "The notice's id.")),
    responses((status = 200, description = "The notice.", body = Notice), CommonProblems, CredentialProblems, NotFoundProblems, ValidationProblems)
)]
pub(crate) async fn read(
    State(edge): State<Edge>,
    RequiredCredential(key): RequiredCredential,
    Segment(notice_id): Segment,
    _: NoQuery,
) -> Result<Json<Notice>, ProblemResponse> {
    let notice = edge
        .dispatch()
        .get_notice(edge.authenticated_request(&key, v1::GetNoticeRequest { notice_id }))
        .await?
        .into_inner()
        .notice
        .ok_or_else(malformed_response)?;
    Ok(Json(Notice::from_proto(notice)?))
}
