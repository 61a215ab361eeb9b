//! The way in and out. A name and a password go to verification and nowhere else.

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

use super::{Frame, render};
use crate::edge::Edge;
use crate::posted::{Asked, Posted, incomplete};
use crate::refused::Refused;
use crate::session::{Session, cookie};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page<'a> {
    frame: Frame,
    hotline: &'a str,
    name: &'a str,
    back: &'a str,
    left: bool,
    refused: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Coming {
    #[serde(default, rename = "return")]
    back: String,
    left: Option<String>,
}

pub(crate) async fn page(
    State(edge): State<Edge>,
    Asked(coming): Asked<Coming>,
) -> Result<Html<String>, Refused> {
    render(&Page {
        frame: Frame::outside(),
        hotline: &edge.config().hotline,
        name: "",
        back: local(&coming.back),
        left: coming.left.is_some(),
        refused: "",
    })
}

#[derive(Deserialize)]
pub(crate) struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "return")]
    back: String,
}

pub(crate) async fn enter(
    State(edge): State<Edge>,
    jar: CookieJar,
    entry: Result<Form<Entry>, FormRejection>,
) -> Result<Response, Refused> {
    let Form(entry) = entry.map_err(|_| incomplete())?;
    let back = local(&entry.back);
    let request = v1::SignInRequest {
        name: entry.name.trim().to_owned(),
        password: entry.password,
    };
    let mut reception = edge.reception();
    match edge.ask(reception.sign_in(request)).await {
        Ok(answer) => {
            let jar = jar.add(cookie(&edge, answer.session));
            Ok((jar, Redirect::to(back)).into_response())
        }
        Err(problem) if is_the_readers(&problem) => {
            let page = Page {
                frame: Frame::outside(),
                hotline: &edge.config().hotline,
                name: entry.name.trim(),
                back,
                left: false,
                refused: &problem.detail,
            };
            let status = match problem.kind {
                Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Ok((status, render(&page)?).into_response())
        }
        Err(problem) => Err(problem.into()),
    }
}

#[derive(Deserialize)]
pub(crate) struct Nothing {}

pub(crate) async fn leave(
    State(edge): State<Edge>,
    jar: CookieJar,
    Posted(signed, Nothing {}): Posted<Nothing>,
) -> Result<Response, Refused> {
    let request = v1::SignOutRequest {
        session: signed.session.expose().to_owned(),
    };
    edge.tokens.forget(signed.session.expose());
    let mut reception = edge.reception();
    edge.ask(reception.sign_out(request)).await?;
    let jar = match Session::from_jar(&edge, &jar) {
        Some(_) => jar.remove(cookie(&edge, String::new())),
        None => jar,
    };
    Ok((jar, Redirect::to("/sign-in?left=1")).into_response())
}

/// Whoever typed can put it right.
fn is_the_readers(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        Kind::Invalid | Kind::Unauthenticated | Kind::Exhausted
    )
}

/// A path on this console and nothing else: what could lead away becomes the first page.
fn local(path: &str) -> &str {
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
    fn a_return_path_never_leads_away() {
        assert_eq!(local("/cases/1?x=2"), "/cases/1?x=2");
        for bad in [
            "",
            "https://other.example/",
            "//other.example",
            "/\\other.example",
            "/a\r\nSet-Cookie: x",
            "/sign-in?return=/",
            "javascript:alert(1)",
        ] {
            assert_eq!(local(bad), "/", "{bad:?}");
        }
    }
}
