//! The page behind the link in a notice mail. The link's token is the credential, valid for one notice and
//! one addressee.
//!
//! Opening the page changes nothing, because mail filters open every link; only the form's POST answers the
//! notice. The page has no scripts and no content from other servers, and nothing is stored. The templates
//! escape every text.

mod labels;
mod notice_view;
mod signature_check;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use domain::enums::{Answer, NoticeState};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use platform::error::{Kind, Problem};
use proto::v1;

use crate::edge::Edge;
use crate::input::{self, Fields, Form, Segment};
use crate::problem::ProblemResponse;
use crate::upstream::malformed_response;
use notice_view::NoticeView;

const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const MAX_TOKEN: usize = 1024;

/// What the person entered into the form.
#[derive(Default)]
struct FormInput {
    answer: String,
    until: String,
    named: String,
    text: String,
}

#[derive(Template)]
#[template(path = "answer_recorded.html")]
struct AnswerRecordedPage<'a> {
    hotline: &'a str,
    contact: &'a str,
    answer: &'static str,
    state: &'static str,
    next_step: &'static str,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    hotline: &'a str,
    contact: &'a str,
    title: &'static str,
    detail: &'a str,
    /// What the person can do, one sentence each.
    suggestions: &'static [&'static str],
}

/// The notice behind a mail's link, with a form to answer it. Opening it changes nothing.
#[utoipa::path(
    get, path = "/n/{token}", operation_id = "show_notice_page", tag = "mail", security(()),
    params(("token" = String, Path, description = "From the mail; for the addressee only.")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 404, description = "A page: the link is unknown.", body = String, content_type = "text/html"),
        (status = 410, description = "A page: the link has expired.", body = String, content_type = "text/html"),
        (status = 429, description = "Too many requests.", body = crate::problem::ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "A page: an error on our side.", body = String, content_type = "text/html"),
        (status = 503, description = "A page: temporarily unavailable.", body = String, content_type = "text/html")
    )
)]
pub(crate) async fn show(
    State(edge): State<Edge>,
    token: Result<Segment, ProblemResponse>,
) -> Response {
    let view = async {
        let token = well_formed_token(token)?;
        fetch_view(&edge, token, FormInput::default(), None).await
    };
    match view.await {
        Ok(view) => html_page(StatusCode::OK, &view),
        Err(response) => refusal_page(&edge, &response),
    }
}

/// Answer the notice behind a mail's link. Repeating an answer succeeds.
#[utoipa::path(
    post, path = "/n/{token}", operation_id = "answer_notice_page", tag = "mail", security(()),
    params(("token" = String, Path, description = "From the mail; for the addressee only.")),
    request_body(content = AnswerForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A page: the answer is recorded.", body = String, content_type = "text/html"),
        (status = 400, description = "A page: the form cannot be read.", body = String, content_type = "text/html"),
        (status = 404, description = "A page: the link is unknown.", body = String, content_type = "text/html"),
        (status = 409, description = "A page: not possible in the notice's current state.", body = String, content_type = "text/html"),
        (status = 410, description = "A page: the link has expired.", body = String, content_type = "text/html"),
        (status = 413, description = "A page: the form is too large.", body = String, content_type = "text/html"),
        (status = 415, description = "A page: the body is not a form.", body = String, content_type = "text/html"),
        (status = 422, description = "The form again, with the error.", body = String, content_type = "text/html"),
        (status = 429, description = "Too many requests.", body = crate::problem::ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "A page: an error on our side.", body = String, content_type = "text/html"),
        (status = 503, description = "A page: temporarily unavailable.", body = String, content_type = "text/html")
    )
)]
pub(crate) async fn answer(
    State(edge): State<Edge>,
    token: Result<Segment, ProblemResponse>,
    form: Result<Form, ProblemResponse>,
) -> Response {
    let response = async {
        let token = well_formed_token(token)?;
        let input = parse_form(form?.0)?;
        match record(&edge, &token, &input).await {
            Ok((answer, state)) => {
                let recorded = answer_recorded_page(&edge, answer, state);
                Ok(html_page(StatusCode::OK, &recorded))
            }
            // Shows the form again, with the input and the error.
            Err(response) if response.status == StatusCode::UNPROCESSABLE_ENTITY => {
                let view = fetch_view(&edge, token, input, Some(*response.problem)).await?;
                Ok(html_page(StatusCode::UNPROCESSABLE_ENTITY, &view))
            }
            Err(response) => Err(response),
        }
    };
    match response.await {
        Ok(response) => response,
        Err(response) => refusal_page(&edge, &response),
    }
}

/// The form's fields, for the OpenAPI document.
#[derive(utoipa::ToSchema, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct AnswerForm {
    #[schema(schema_with = crate::enum_schemas::answer)]
    answer: String,
    /// With `need_time`: RFC 3339, or a time without a zone, which is read as UTC.
    until: Option<String>,
    /// With `not_ours` or `moved`: the provider that has it, if known.
    named: Option<String>,
    /// A question, or why you disagree.
    #[schema(
        max_length = 2000,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    text: Option<String>,
}

/// Refuses a token that cannot be one of ours, without calling dispatch.
fn well_formed_token(token: Result<Segment, ProblemResponse>) -> Result<String, ProblemResponse> {
    let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    match token {
        Ok(Segment(token)) if token.len() <= MAX_TOKEN && token.bytes().all(is_unreserved) => {
            Ok(token)
        }
        _ => Err(Problem::from_kind(Kind::NotFound).into()),
    }
}

async fn fetch_view(
    edge: &Edge,
    token: String,
    input: FormInput,
    problem: Option<Problem>,
) -> Result<NoticeView, ProblemResponse> {
    let view = edge
        .dispatch()
        .view_by_link(edge.anonymous_request(v1::ViewByLinkRequest { token }))
        .await?
        .into_inner();
    let keys = edge
        .dispatch()
        .list_signing_keys(edge.anonymous_request(v1::ListSigningKeysRequest {}))
        .await;
    let keys = keys.ok().map(|keys| keys.into_inner().keys);
    let view = NoticeView::from_proto(&edge.config, view, keys, input, problem)?;
    Ok(view)
}

fn parse_form(mut fields: Fields) -> Result<FormInput, ProblemResponse> {
    let mut take = |name| Ok::<_, ProblemResponse>(fields.take(name)?.unwrap_or_default());
    let input = FormInput {
        answer: take("answer")?,
        until: take("until")?,
        named: take("named")?,
        text: take("text")?,
    };
    fields.finish()?;
    Ok(input)
}

async fn record(
    edge: &Edge,
    token: &str,
    input: &FormInput,
) -> Result<(Answer, NoticeState), ProblemResponse> {
    let answer: Answer = input.answer.parse()?;
    // Without scripts the page shows all fields at once; fields that belong to another answer are not sent.
    let wants_until = answer == Answer::NeedTime && !input.until.is_empty();
    let wants_named = matches!(answer, Answer::NotOurs | Answer::Moved);
    let until = wants_until
        .then(|| input::time("until", &labels::with_utc_zone(&input.until)))
        .transpose()?;
    let request = v1::AnswerByLinkRequest {
        token: token.to_owned(),
        answer: Some(v1::AnswerItem {
            notice_id: String::new(),
            answer: answer.wire(),
            until,
            named: if wants_named {
                input.named.clone()
            } else {
                String::new()
            },
            text: input.text.clone(),
        }),
    };
    let response = edge
        .dispatch()
        .answer_by_link(edge.anonymous_request(request))
        .await?
        .into_inner();
    let state = NoticeState::from_wire(response.state).map_err(|_| malformed_response())?;
    Ok((answer, state))
}

fn answer_recorded_page(edge: &Edge, answer: Answer, state: NoticeState) -> AnswerRecordedPage<'_> {
    AnswerRecordedPage {
        hotline: &edge.config.hotline,
        contact: &edge.config.contact,
        answer: labels::label(answer),
        state: state.as_str(),
        next_step: labels::next_step(state),
    }
}

/// The page for a refused request. A forged link and a link for another notice give the same page; an expired
/// link has a page of its own.
fn refusal_page(edge: &Edge, refusal: &ProblemResponse) -> Response {
    let problem = &refusal.problem;
    let (status, title, detail, suggestions) = match problem.kind {
        _ if problem.code == "link_expired" => (
            StatusCode::GONE,
            "This link has expired",
            "It showed one notice for a limited time. The notice itself has not expired, and nothing was recorded.",
            LINK_EXPIRED,
        ),
        Kind::NotFound | Kind::Unauthenticated | Kind::Forbidden => (
            StatusCode::NOT_FOUND,
            "This link does not lead to a notice",
            "Copy the complete link from the mail, to its last character. Nothing was recorded.",
            LINK_UNKNOWN,
        ),
        Kind::Conflict | Kind::FailedPrecondition => (
            refusal.status,
            "This answer is not possible now",
            problem.detail.as_str(),
            NO_SUGGESTIONS,
        ),
        Kind::Invalid => (
            refusal.status,
            "The form could not be read",
            problem.detail.as_str(),
            NO_SUGGESTIONS,
        ),
        Kind::Exhausted | Kind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available at the moment",
            "Nothing was lost and nothing was recorded. Please try again in a minute.",
            NO_SUGGESTIONS,
        ),
        Kind::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something is wrong on our side",
            "You did nothing wrong. Please try again later, or write to the hotline.",
            NO_SUGGESTIONS,
        ),
    };
    html_page(
        status,
        &RefusalPage {
            hotline: &edge.config.hotline,
            contact: &edge.config.contact,
            title,
            detail,
            suggestions,
        },
    )
}

const LINK_EXPIRED: &[&str] = &[
    "If the material is offline already, no action is needed: the hotline verifies it itself.",
    "If there is a newer mail about the same notice, for example a reminder, use the link in that mail.",
    "Otherwise write to the hotline and give the notice number from the mail's subject or its end. You will be sent a new link.",
    "If you have a key for the provider API, answer there; a key does not expire with the link.",
];
const LINK_UNKNOWN: &[&str] = &[
    "Mail programs break long links: the rest of the link may be on the next line.",
    "If the mail was passed on to you, ask the person who sent it to answer, or write to the hotline.",
];
const NO_SUGGESTIONS: &[&str] = &[];

fn html_page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (
            status,
            [(CONTENT_SECURITY_POLICY, CONTENT_POLICY)],
            Html(html),
        )
            .into_response(),
        // Cannot happen unless a formatter fails.
        Err(_) => ProblemResponse::from(Problem::from_kind(Kind::Internal)).into_response(),
    }
}

/// The page's style sheet.
#[utoipa::path(
    get, path = "/assets/notice.css", operation_id = "style", tag = "mail", security(()),
    responses(
        (status = 200, description = "CSS.", body = String, content_type = "text/css"),
        (status = 429, description = "Too many requests.", body = crate::problem::ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not available at the moment.", body = crate::problem::ProblemDocument, content_type = "application/problem+json")
    )
)]
pub(crate) async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("../../assets/notice.css")).into_response()
}
