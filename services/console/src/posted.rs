//! What a browser sends: a query, or a form that changes something (from somebody signed in, from one of our own pages).
//! What cannot be read is refused by a page, which repeats nothing of it.

use axum::Form;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::request::Parts;
use platform::error::{Kind, Problem};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::edge::Edge;
use crate::refused::Refused;
use crate::session::{Signed, came_from};

/// What stands behind the question mark.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Edge> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        match Query::<T>::from_request_parts(parts, edge).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(_) => Err(Problem::new(
                Kind::Invalid,
                "query_malformed",
                "The address has a query that cannot be read; go on from the menu.",
            )
            .into()),
        }
    }
}

pub(crate) struct Posted<T>(pub(crate) Signed, pub(crate) T);

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    form_token: String,
}

impl<T: DeserializeOwned> FromRequest<Edge> for Posted<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let signed = Signed::from_request_parts(&mut parts, edge).await?;
        let form: Bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), edge)
            .await
            .map_err(|_| incomplete())?;
        let again = |parts| Request::from_parts(parts, Body::from(form.clone()));
        let Form(token) = Form::<Token>::from_request(again(parts.clone()), edge)
            .await
            .map_err(|_| incomplete())?;
        if !signed.session.holds(&token.form_token) {
            let refused = Refused::from(Problem::new(
                Kind::Forbidden,
                "form_token",
                "This form belongs to another session; open the page again and send it from there.",
            ));
            return Err(match came_from(&parts.headers) {
                Some(page) => refused.back(page, "the page"),
                None => refused,
            });
        }
        let Form(form) = Form::<T>::from_request(again(parts), edge)
            .await
            .map_err(|_| incomplete())?;
        Ok(Self(signed, form))
    }
}

pub(crate) fn incomplete() -> Refused {
    Problem::new(
        Kind::Invalid,
        "form_incomplete",
        "The form was not complete, or too large; open the page again and fill in every field.",
    )
    .into()
}
