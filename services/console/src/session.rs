//! The session cookie, whose opaque value only verification can interpret, and the form token derived from it. A session is
//! kept nowhere but in the request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use http::header::{HOST, REFERER};
use http::request::Parts;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::edge::Edge;
use crate::page_error::PageError;
use crate::tokens::{Audience, StaffMember};

/// In octets: longer than any session that verification issues.
const MAX_SESSION: usize = 200;

#[derive(Clone)]
pub(crate) struct Session(String);

impl Session {
    /// Sent back by every form that changes something. Our pages contain it; another site cannot know it.
    pub(crate) fn form_token(&self) -> String {
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("any length");
        mac.update(b"takedown console form 1");
        hex::encode(mac.finalize().into_bytes())
    }

    pub(crate) fn accepts_form_token(&self, form_token: &str) -> bool {
        self.form_token()
            .as_bytes()
            .ct_eq(form_token.as_bytes())
            .into()
    }

    /// The opaque value, for verification.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_jar(edge: &Edge, jar: &CookieJar) -> Option<Self> {
        let value = jar.get(cookie_name(edge))?.value();
        (!value.is_empty() && value.len() <= MAX_SESSION).then(|| Self(value.to_owned()))
    }
}

impl FromRequestParts<Edge> for Session {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, PageError> {
        let jar = CookieJar::from_headers(&parts.headers);
        Self::from_jar(edge, &jar).ok_or(PageError::SignIn)
    }
}

/// A session that verification accepts, with its member of staff.
pub(crate) struct SignedIn {
    pub(crate) session: Session,
    pub(crate) staff: Arc<StaffMember>,
}

impl SignedIn {
    /// # Errors
    ///
    /// The session is not valid, or verification does not respond.
    pub(crate) async fn from_session(session: Session, edge: &Edge) -> Result<Self, PageError> {
        let token = edge.token(&session, Audience::Verification).await?;
        Ok(Self {
            session,
            staff: token.staff,
        })
    }
}

impl FromRequestParts<Edge> for SignedIn {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, PageError> {
        let session = Session::from_request_parts(parts, edge).await?;
        Self::from_session(session, edge).await
    }
}

/// The page of ours that a form was sent from, if the browser sent its address.
pub(crate) fn referring_page(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let (_, rest) = text(REFERER)?.split_once("://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    (host == text(HOST)?).then(|| path.to_owned())
}

/// A browser refuses a `__Host-` cookie that was not set over TLS for exactly this host (RFC 6265bis section 4.1.3.2).
fn cookie_name(edge: &Edge) -> &'static str {
    if edge.is_secure {
        "__Host-takedown-session"
    } else {
        "takedown-session"
    }
}

/// The browser drops it when it is closed; verification decides when the session itself ends.
pub(crate) fn cookie(edge: &Edge, session: String) -> Cookie<'static> {
    Cookie::build((cookie_name(edge), session))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(edge.is_secure)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_referring_page_is_a_path_on_this_host_only() {
        let page = |referer: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "console.example:7400".parse().unwrap());
            headers.insert(REFERER, referer.parse().unwrap());
            referring_page(&headers)
        };
        assert_eq!(
            page("https://console.example:7400/cases/1?x=2").as_deref(),
            Some("/cases/1?x=2")
        );
        assert_eq!(page("https://other.example/cases/1"), None);
        assert_eq!(page("https://console.example:7400"), None);
        assert_eq!(page("nothing"), None);
    }

    #[test]
    fn a_form_token_is_accepted_for_its_own_session_only() {
        let (one, other) = (Session("one".into()), Session("other".into()));
        assert!(one.accepts_form_token(&one.form_token()));
        assert!(!one.accepts_form_token(&other.form_token()));
        assert!(!one.accepts_form_token(""));
    }
}
