//! Who is signed in: the cookie's opaque session, known to verification alone, and the form token that goes with it.
//! Must not look into the session, nor keep it anywhere but in the request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{HOST, REFERER};
use http::request::Parts;
use http::{HeaderMap, Method};
use platform::error::Kind;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::edge::Edge;
use crate::refused::Refused;
use crate::tokens::{Audience, Who};

/// Longer than any session that verification makes.
const MAX_SESSION: usize = 200;

#[derive(Clone)]
pub(crate) struct Session(String);

impl Session {
    /// Given back by every form that changes something: known to our pages, unknown to any other site.
    pub(crate) fn form_token(&self) -> String {
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("any length");
        mac.update(b"takedown console form 1");
        hex::encode(mac.finalize().into_bytes())
    }

    pub(crate) fn holds(&self, form_token: &str) -> bool {
        self.form_token()
            .as_bytes()
            .ct_eq(form_token.as_bytes())
            .into()
    }

    /// The opaque id itself, for verification.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_jar(edge: &Edge, jar: &CookieJar) -> Option<Self> {
        let value = jar.get(cookie_name(edge))?.value();
        (!value.is_empty() && value.len() <= MAX_SESSION).then(|| Self(value.to_owned()))
    }
}

/// Somebody who is signed in.
pub(crate) struct Signed {
    pub(crate) session: Session,
    pub(crate) who: Arc<Who>,
}

impl FromRequestParts<Edge> for Signed {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Refused> {
        let jar = CookieJar::from_headers(&parts.headers);
        // Only what can be read again is worth coming back to: for a form, the page that it stood on.
        let back = if parts.method == Method::GET {
            parts.uri.path_and_query().map(ToString::to_string)
        } else {
            came_from(&parts.headers)
        };
        let Some(session) = Session::from_jar(edge, &jar) else {
            return Err(Refused::SignIn(back));
        };
        match edge.token(&session, Audience::Verification).await {
            Ok(token) => Ok(Self {
                session,
                who: token.who,
            }),
            Err(problem) if problem.kind == Kind::Unauthenticated => Err(Refused::SignIn(back)),
            Err(problem) => Err(problem.into()),
        }
    }
}

/// The page of ours that a form was sent from, if the browser says so.
pub(crate) fn came_from(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let (_, rest) = text(REFERER)?.split_once("://")?;
    let at = rest.find('/')?;
    let (host, path) = rest.split_at(at);
    (host == text(HOST)?).then(|| path.to_owned())
}

/// The browser refuses a `__Host-` cookie that did not come over TLS for exactly this host.
fn cookie_name(edge: &Edge) -> &'static str {
    if edge.secure {
        "__Host-takedown-session"
    } else {
        "takedown-session"
    }
}

/// Ends with the browser; the session itself ends when verification says so.
pub(crate) fn cookie(edge: &Edge, session: String) -> Cookie<'static> {
    Cookie::build((cookie_name(edge), session))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(edge.secure)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_back_to_its_own_page_and_to_no_other_site() {
        let from = |referer: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "console.example:7400".parse().unwrap());
            headers.insert(REFERER, referer.parse().unwrap());
            came_from(&headers)
        };
        assert_eq!(
            from("https://console.example:7400/cases/1?x=2").as_deref(),
            Some("/cases/1?x=2")
        );
        assert_eq!(from("https://other.example/cases/1"), None);
        assert_eq!(from("https://console.example:7400"), None);
        assert_eq!(from("nothing"), None);
    }

    #[test]
    fn a_form_token_holds_for_its_own_session_only() {
        let (one, other) = (Session("one".into()), Session("other".into()));
        assert!(one.holds(&one.form_token()));
        assert!(!one.holds(&other.form_token()));
        assert!(!one.holds(""));
    }
}
