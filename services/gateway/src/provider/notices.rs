//! Listing and reading notices.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use domain::Invalid;
use domain::word::{Category, NoticeState};
use platform::error::Problem;
use proto::v1;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::view::Notice;
use crate::caller::Named;
use crate::edge::Edge;
use crate::input::{self, Fields, NoQuery, Query, Segment};
use crate::problem::{Always, Refused, WithKey, WithName, WithValues};
use crate::words::{self, damaged};

/// Digits of a cursor.
const CURSOR: usize = 18;

#[derive(Serialize, ToSchema)]
pub(crate) struct Notices {
    notices: Vec<Notice>,
    /// Goes on where this page ended, also later, for what is new or changed since.
    next_cursor: Option<String>,
}

/// The parameters of a listing, for the API's document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are taken one by one")]
struct Listing {
    /// Only notices in these states; several with commas between them, or the parameter again.
    #[param(style = Form, explode = false, required = false, schema_with = states)]
    state: Option<Vec<String>>,
    /// Only notices of these categories, A to C; several with commas between them, or the parameter again.
    #[param(style = Form, explode = false, required = false, schema_with = categories)]
    category: Option<Vec<String>>,
    /// Only notices of this case.
    #[param(format = "uuid", required = false, value_type = String)]
    case_id: Option<String>,
    /// Only notices whose removal is due before.
    #[param(format = "date-time", required = false, value_type = String)]
    due_before: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$", required = false, value_type = String)]
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Your notices, oldest change first. Without `state`: those that wait for your answer.
#[utoipa::path(
    get, path = "/provider/v1/notices", operation_id = "list_notices", tag = "notices",
    security(("provider_key" = [])),
    params(Listing),
    responses((status = 200, description = "A page of notices.", body = Notices), Always, WithKey, WithValues)
)]
pub(crate) async fn list(
    State(edge): State<Edge>,
    Named(key): Named,
    Query(fields): Query,
) -> Result<Json<Notices>, Refused> {
    let request = wanted(fields)?;
    let page = edge
        .dispatch()
        .list_notices(edge.named(&key, request))
        .await
        .map_err(named_as_here)?
        .into_inner();
    let notices = page
        .notices
        .into_iter()
        .map(Notice::of)
        .collect::<Result<_, _>>()?;
    Ok(Json(Notices {
        notices,
        next_cursor: Some(page.next_cursor).filter(|cursor| !cursor.is_empty()),
    }))
}

fn states() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new()
        .items(words::notice_state())
        .build()
}

fn categories() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new()
        .items(words::category())
        .build()
}

fn wanted(mut fields: Fields) -> Result<v1::ListNoticesRequest, Refused> {
    let states = words_of(&mut fields, "state", |word| {
        word.parse().map(NoticeState::wire)
    })?;
    let categories = words_of(&mut fields, "category", |word| {
        word.parse().map(Category::wire)
    })?;
    let case_id = fields.take("case_id")?.unwrap_or_default();
    let due_before = fields
        .take("due_before")?
        .map(|text| input::time("due_before", &text))
        .transpose()?;
    let cursor = cursor("cursor", &fields.take("cursor")?.unwrap_or_default())?;
    let size = limit(&mut fields)?;
    fields.finish()?;
    Ok(v1::ListNoticesRequest {
        page: Some(v1::Page { size, cursor }),
        states,
        categories,
        case_id,
        due_before,
    })
}

/// Words with commas between them, or the parameter again, each once.
fn words_of(
    fields: &mut Fields,
    name: &str,
    wire: impl Fn(&str) -> Result<i32, Invalid>,
) -> Result<Vec<i32>, Invalid> {
    let words = fields.take_all(name);
    let words = words.iter().flat_map(|value| value.split(','));
    let numbers: BTreeSet<i32> = words
        .map(|word| wire(word.trim()))
        .collect::<Result<_, _>>()?;
    Ok(numbers.into_iter().collect())
}

/// A cursor of ours, or none: what it is after is for its owner to say.
pub(super) fn cursor(field: &str, text: &str) -> Result<String, Invalid> {
    if text.len() <= CURSOR && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(
        "cursor_malformed",
        field,
        format!("`{field}` is not one of ours; send `next_cursor` of the page before, or nothing"),
    ))
}

/// Rows of a page; 0 where nothing is said.
pub(super) fn limit(fields: &mut Fields) -> Result<u32, Refused> {
    let Some(text) = fields.take("limit")? else {
        return Ok(0);
    };
    let number = text.parse().ok();
    let number = number.filter(|limit| (1..=1000).contains(limit));
    Ok(number.ok_or_else(|| {
        Invalid::new(
            "limit_out_of_range",
            "limit",
            "`limit` is a number from 1 to 1000",
        )
    })?)
}

/// The owner takes the cursor as a part of `page`; here it stands alone.
pub(super) fn named_as_here(status: tonic::Status) -> Refused {
    let mut problem = Problem::from(status);
    if let Some(inner) = problem
        .field
        .as_deref()
        .and_then(|f| f.strip_prefix("page."))
    {
        problem.field = Some(inner.to_owned());
        problem.detail = problem.detail.replace("`page.", "`");
    }
    problem.into()
}

/// One of your notices.
#[utoipa::path(
    get, path = "/provider/v1/notices/{notice_id}", operation_id = "read_notice", tag = "notices",
    security(("provider_key" = [])),
    params(("notice_id" = String, Path, format = "uuid", description = "As the notice names itself.")),
    responses((status = 200, description = "The notice.", body = Notice), Always, WithKey, WithName, WithValues)
)]
pub(crate) async fn read(
    State(edge): State<Edge>,
    Named(key): Named,
    Segment(notice_id): Segment,
    _: NoQuery,
) -> Result<Json<Notice>, Refused> {
    let notice = edge
        .dispatch()
        .get_notice(edge.named(&key, v1::GetNoticeRequest { notice_id }))
        .await?
        .into_inner()
        .notice
        .ok_or_else(damaged)?;
    Ok(Json(Notice::of(notice)?))
}
