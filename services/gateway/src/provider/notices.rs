//! Listing and reading notices.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use domain::Invalid;
use domain::invalid::optional_text;
use domain::word::NoticeState;
use platform::error::Problem;
use proto::v1;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::view::Notice;
use crate::caller::Named;
use crate::edge::Edge;
use crate::input::{Fields, NoQuery, Query, Segment};
use crate::problem::{Always, Refused, WithKey, WithName, WithValues};
use crate::words::{self, damaged};

const MAX_CURSOR: usize = 1024;

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
    /// `next_cursor` of the page before.
    #[param(max_length = 1024)]
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

fn wanted(mut fields: Fields) -> Result<v1::ListNoticesRequest, Refused> {
    let states = fields
        .take_all("state")
        .iter()
        .flat_map(|value| value.split(','))
        .map(|word| Ok(word.trim().parse::<NoticeState>()?.wire()))
        .collect::<Result<BTreeSet<_>, Invalid>>()?
        .into_iter()
        .collect();
    let cursor = fields.take("cursor")?.unwrap_or_default();
    let cursor = optional_text("cursor", &cursor, MAX_CURSOR)?;
    let size = match fields.take("limit")? {
        None => 0,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=1000).contains(limit))
            .ok_or_else(|| {
                Invalid::new(
                    "limit_out_of_range",
                    "limit",
                    "`limit` is a number from 1 to 1000",
                )
            })?,
    };
    fields.finish()?;
    Ok(v1::ListNoticesRequest {
        page: Some(v1::Page { size, cursor }),
        states,
    })
}

/// The owner takes the cursor as a part of `page`; here it stands alone.
fn named_as_here(status: tonic::Status) -> Refused {
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
