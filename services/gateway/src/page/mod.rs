//! The page behind the link in a mail. Its token is the credential, bound to one notice and one addressee.
//!
//! Looking changes nothing, for mail filters open every link; only the form's POST answers. No script, nothing from
//! elsewhere, nothing kept. Every text on the page is escaped by the template.

mod proof;
mod sheet;
mod words;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use domain::word::{Answer, NoticeState};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use platform::error::{Kind, Problem};
use proto::v1;

use crate::edge::Edge;
use crate::input::{self, Fields, Form, Segment};
use crate::problem::Refused;
use crate::words::damaged;
use sheet::Sheet;

const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const MAX_TOKEN: usize = 1024;

/// What was typed into the form.
#[derive(Default)]
struct Typed {
    answer: String,
    until: String,
    named: String,
    text: String,
}

#[derive(Template)]
#[template(path = "answered.html")]
struct Answered<'a> {
    hotline: &'a str,
    contact: &'a str,
    answer: &'static str,
    state: &'static str,
    next: &'static str,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    hotline: &'a str,
    contact: &'a str,
    title: &'static str,
    detail: &'a str,
    /// What helps now, each in a sentence.
    help: &'static [&'static str],
}

/// The notice behind a mail's link, with a form to answer it. Changes nothing, however often it is opened.
#[utoipa::path(
    get, path = "/n/{token}", operation_id = "show_notice_page", tag = "mail", security(()),
    params(("token" = String, Path, description = "From the mail; it is for the addressee alone.")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        (status = 404, description = "A page: no such link.", body = String, content_type = "text/html"),
        (status = 410, description = "A page: the link has expired.", body = String, content_type = "text/html"),
        (status = 429, description = "Too many requests.", body = crate::problem::ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "A page: an error on our side.", body = String, content_type = "text/html"),
        (status = 503, description = "A page: not available at the moment.", body = String, content_type = "text/html")
    )
)]
pub(crate) async fn show(State(edge): State<Edge>, token: Result<Segment, Refused>) -> Response {
    let shown = async {
        let token = plausible(token)?;
        sheet(&edge, token, Typed::default(), None).await
    };
    match shown.await {
        Ok(sheet) => page(StatusCode::OK, &sheet),
        Err(refused) => refused_page(&edge, &refused),
    }
}

/// Answer the notice behind a mail's link. The same answer again is success.
#[utoipa::path(
    post, path = "/n/{token}", operation_id = "answer_notice_page", tag = "mail", security(()),
    params(("token" = String, Path, description = "From the mail; it is for the addressee alone.")),
    request_body(content = AnswerForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A page: the answer is recorded.", body = String, content_type = "text/html"),
        (status = 400, description = "A page: the form cannot be read.", body = String, content_type = "text/html"),
        (status = 404, description = "A page: no such link.", body = String, content_type = "text/html"),
        (status = 409, description = "A page: not possible in the notice's state.", body = String, content_type = "text/html"),
        (status = 410, description = "A page: the link has expired.", body = String, content_type = "text/html"),
        (status = 413, description = "A page: the form is too large.", body = String, content_type = "text/html"),
        (status = 415, description = "A page: not a form.", body = String, content_type = "text/html"),
        (status = 422, description = "The page again: a field is not right.", body = String, content_type = "text/html"),
        (status = 429, description = "Too many requests.", body = crate::problem::ProblemDocument, content_type = "application/problem+json"),
        (status = 500, description = "A page: an error on our side.", body = String, content_type = "text/html"),
        (status = 503, description = "A page: not available at the moment.", body = String, content_type = "text/html")
    )
)]
pub(crate) async fn answer(
    State(edge): State<Edge>,
    token: Result<Segment, Refused>,
    form: Result<Form, Refused>,
) -> Response {
    let answered = async {
        let token = plausible(token)?;
        let typed = typed(form?.0)?;
        match record(&edge, &token, &typed).await {
            Ok((said, state)) => Ok(page(StatusCode::OK, &recorded(&edge, said, state))),
            // The person stays at the form, with what they typed and what is wrong with it.
            Err(refused) if refused.status == StatusCode::UNPROCESSABLE_ENTITY => {
                let sheet = sheet(&edge, token, typed, Some(*refused.problem)).await?;
                Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &sheet))
            }
            Err(refused) => Err(refused),
        }
    };
    match answered.await {
        Ok(response) => response,
        Err(refused) => refused_page(&edge, &refused),
    }
}

/// The form's fields, for the API's document.
#[derive(utoipa::ToSchema, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct AnswerForm {
    #[schema(schema_with = crate::words::answer)]
    answer: String,
    /// With `need_time`: RFC 3339, or a local time that is read as UTC.
    until: Option<String>,
    /// With `not_ours` or `moved`: who has it now, where known.
    named: Option<String>,
    /// A question, or why you disagree.
    #[schema(
        max_length = 2000,
        pattern = "^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$"
    )]
    text: Option<String>,
}

/// Refuses what no link of ours looks like, without asking.
fn plausible(token: Result<Segment, Refused>) -> Result<String, Refused> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    match token {
        Ok(Segment(token)) if token.len() <= MAX_TOKEN && token.bytes().all(plain) => Ok(token),
        _ => Err(Problem::of(Kind::NotFound).into()),
    }
}

async fn sheet(
    edge: &Edge,
    token: String,
    typed: Typed,
    problem: Option<Problem>,
) -> Result<Sheet, Refused> {
    let view = edge
        .dispatch()
        .view_by_link(edge.unnamed(v1::ViewByLinkRequest { token }))
        .await?
        .into_inner();
    let keys = edge
        .dispatch()
        .list_signing_keys(edge.unnamed(v1::ListSigningKeysRequest {}))
        .await;
    let keys = keys.ok().map(|keys| keys.into_inner().keys);
    Ok(Sheet::of(&edge.config, view, keys, typed, problem)?)
}

fn typed(mut fields: Fields) -> Result<Typed, Refused> {
    let mut take = |name| Ok::<_, Refused>(fields.take(name)?.unwrap_or_default());
    let typed = Typed {
        answer: take("answer")?,
        until: take("until")?,
        named: take("named")?,
        text: take("text")?,
    };
    fields.finish()?;
    Ok(typed)
}

async fn record(edge: &Edge, token: &str, typed: &Typed) -> Result<(Answer, NoticeState), Refused> {
    let said: Answer = typed.answer.parse()?;
    // A page without script shows all fields at once; what belongs to another answer is not sent.
    let wants_until = said == Answer::NeedTime && !typed.until.is_empty();
    let wants_named = matches!(said, Answer::NotOurs | Answer::Moved);
    let until = wants_until
        .then(|| input::time("until", &words::with_zone(&typed.until)))
        .transpose()?;
    let request = v1::AnswerByLinkRequest {
        token: token.to_owned(),
        answer: Some(v1::AnswerItem {
            notice_id: String::new(),
            answer: said.wire(),
            until,
            named: if wants_named {
                typed.named.clone()
            } else {
                String::new()
            },
            text: typed.text.clone(),
        }),
    };
    let answer = edge
        .dispatch()
        .answer_by_link(edge.unnamed(request))
        .await?
        .into_inner();
    let state = NoticeState::from_wire(answer.state).map_err(|_| damaged())?;
    Ok((said, state))
}

fn recorded(edge: &Edge, said: Answer, state: NoticeState) -> Answered<'_> {
    Answered {
        hotline: &edge.config.hotline,
        contact: &edge.config.contact,
        answer: words::label(said),
        state: state.as_str(),
        next: words::next(state),
    }
}

/// A link that does not hold looks the same whether it was made up or meant for another; one that held once says so.
fn refused_page(edge: &Edge, refused: &Refused) -> Response {
    let problem = &refused.problem;
    let (status, title, detail, help) = match problem.kind {
        _ if problem.code == "link_expired" => (
            StatusCode::GONE,
            "This link has expired",
            "It showed one notice, for a limited time. The notice itself does not end with it, and nothing was recorded.",
            EXPIRED,
        ),
        Kind::NotFound | Kind::Unauthenticated | Kind::Forbidden => (
            StatusCode::NOT_FOUND,
            "This link does not lead to a notice",
            "Copy it from the mail as a whole, to its last letter. Nothing was recorded.",
            UNKNOWN,
        ),
        Kind::Conflict | Kind::FailedPrecondition => (
            refused.status,
            "This answer is not possible now",
            problem.detail.as_str(),
            NONE,
        ),
        Kind::Invalid => (
            refused.status,
            "The form could not be read",
            problem.detail.as_str(),
            NONE,
        ),
        Kind::Exhausted | Kind::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available at the moment",
            "Nothing was lost and nothing was recorded. Please try again in a minute.",
            NONE,
        ),
        Kind::Internal => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something is wrong on our side",
            "Nothing you did is at fault. Please try again later, or write to the hotline.",
            NONE,
        ),
    };
    page(
        status,
        &RefusedPage {
            hotline: &edge.config.hotline,
            contact: &edge.config.contact,
            title,
            detail,
            help,
        },
    )
}

const EXPIRED: &[&str] = &[
    "If the material is gone already, you need not do anything: the hotline looks for itself.",
    "If there is a newer mail about the same notice, a reminder for example, use the link in that one.",
    "Otherwise write to the hotline and name the notice's number, which stands in the mail's subject and at its end. You are sent a new link.",
    "If you have a key of the provider API, answer there; it does not expire with the link.",
];
const UNKNOWN: &[&str] = &[
    "Mail programs break long links: the rest may stand on the next line.",
    "If somebody passed the mail on to you, ask them to answer it, or write to the hotline.",
];
const NONE: &[&str] = &[];

fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, [(CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response(),
        // Only a formatter that fails could bring us here.
        Err(_) => Refused::from(Problem::of(Kind::Internal)).into_response(),
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
