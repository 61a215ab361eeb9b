//! Signing in and out. A name and a password are sent to verification and to no other service.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use http::StatusCode;
use platform::error::{Kind, Problem};
use proto::v1;
use serde::Deserialize;

use super::render;
use crate::edge::Edge;
use crate::error_text;
use crate::form::{EmptyForm, QueryParams, SubmittedForm, incomplete};
use crate::frame::Frame;
use crate::page_error::{PageError, set_retry_after};
use crate::session::{Session, cookie};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    hotline: &'a str,
    name: &'a str,
    return_to: &'a str,
    is_signed_out: bool,
    refusal: String,
}

#[derive(Deserialize)]
pub(crate) struct SignInQuery {
    #[serde(default, rename = "return")]
    return_to: String,
    #[serde(rename = "signed-out")]
    signed_out: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    QueryParams(query): QueryParams<SignInQuery>,
) -> Result<Html<String>, PageError> {
    render(&SignInPage {
        frame: Frame::signed_out(),
        hotline: &edge.config().hotline,
        name: "",
        return_to: local_path(&query.return_to),
        is_signed_out: query.signed_out.is_some(),
        refusal: String::new(),
    })
}

#[derive(Deserialize)]
pub(crate) struct SignInForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "return")]
    return_to: String,
}

pub(crate) async fn sign_in(
    State(edge): State<Edge>,
    jar: CookieJar,
    form: Result<Form<SignInForm>, FormRejection>,
) -> Result<Response, PageError> {
    let Form(form) = form.map_err(|_| incomplete())?;
    let return_to = local_path(&form.return_to);
    let request = v1::SignInRequest {
        name: form.name.trim().to_owned(),
        password: form.password,
    };
    let mut client = edge.verification_without_token();
    match edge.call(client.sign_in(request)).await {
        Ok(response) => {
            let jar = jar.add(cookie(&edge, response.session));
            Ok((jar, Redirect::to(return_to)).into_response())
        }
        Err(problem) => refuse(&edge, form.name.trim(), return_to, &problem),
    }
}

/// The sign-in page again, with the name and without the password.
fn refuse(
    edge: &Edge,
    name: &str,
    return_to: &str,
    problem: &Problem,
) -> Result<Response, PageError> {
    let page = SignInPage {
        frame: Frame::signed_out(),
        hotline: &edge.config().hotline,
        name,
        return_to,
        is_signed_out: false,
        refusal: match problem.kind {
            Kind::Invalid => "Enter your name and your password.".to_owned(),
            _ => error_text::sentence(problem),
        },
    };
    let mut response = (refusal_status(problem), render(&page)?).into_response();
    set_retry_after(&mut response, problem);
    Ok(response)
}

fn refusal_status(problem: &Problem) -> StatusCode {
    match problem.kind {
        // 401 would need a challenge (RFC 9110 section 15.5.2).
        Kind::Unauthenticated => StatusCode::UNPROCESSABLE_ENTITY,
        _ => problem.status(),
    }
}

pub(crate) async fn sign_out(
    State(edge): State<Edge>,
    jar: CookieJar,
    form: SubmittedForm<EmptyForm>,
) -> Result<Response, PageError> {
    let session = form.signed_in.session.expose();
    let request = v1::SignOutRequest {
        session: session.to_owned(),
    };
    let mut client = edge.verification_without_token();
    if let Err(problem) = edge.call(client.sign_out(request)).await {
        return Err(PageError::from(problem).with_form(form.raw));
    }
    edge.tokens.remove_session(session);
    let jar = match Session::from_jar(&edge, &jar) {
        Some(_) => jar.remove(cookie(&edge, String::new())),
        None => jar,
    };
    Ok((jar, Redirect::to("/sign-in?signed-out=1")).into_response())
}

/// A path on this console. Anything that could lead to another site becomes the first page.
fn local_path(path: &str) -> &str {
    let leads_away = !path.starts_with('/')
        || path.starts_with("//")
        || path.contains('\\')
        || path.starts_with("/sign-")
        || path.len() > 512
        || path.chars().any(char::is_control);
    if leads_away { "/" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_path_never_leads_to_another_site() {
        assert_eq!(local_path("/cases/1?x=2"), "/cases/1?x=2");
        for bad in [
            "",
            "https://other.example/",
            "//other.example",
            "/\\other.example",
            "/a\r\nSet-Cookie: x",
            "/sign-in?return=/",
            "javascript:alert(1)",
        ] {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
    }
}
