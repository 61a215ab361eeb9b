//! The hotline's REST API as a host's program calls it. Speaks to one gateway only, with the host's own key.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::word::Answer;
use platform::sealed::{SigningContext, Verifier, parse_jwks};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::signed::Shown;

/// Notices asked for in one page.
const PAGE: u32 = 200;

#[derive(Clone)]
pub struct Gateway {
    base: Url,
    key: Option<SecretString>,
    http: Client,
}

#[derive(Deserialize)]
pub struct Listed {
    pub notices: Vec<Shown>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// One answer as it is sent.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    pub notice_id: Uuid,
    pub answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'static str>,
}

impl Said {
    pub fn new(notice_id: Uuid, answer: Answer) -> Self {
        Self {
            notice_id,
            answer: answer.as_str(),
            named: None,
            text: None,
        }
    }
}

#[derive(Deserialize)]
struct Answered {
    results: Vec<AnswerResult>,
}

#[derive(Deserialize)]
pub struct AnswerResult {
    #[serde(default)]
    pub problem: Option<AnswerProblem>,
}

#[derive(Deserialize)]
pub struct AnswerProblem {
    pub code: String,
}

/// How the hotline reaches this host.
#[derive(Deserialize)]
pub struct Preferences {
    pub channel: String,
    #[serde(default)]
    pub abuse_contact: Option<String>,
    #[serde(default)]
    pub webhook_public_key: Option<String>,
}

impl Gateway {
    /// `client` is shared by the hosts of a street; see [`client`].
    pub fn new(base: &str, key: Option<SecretString>, client: Client) -> Result<Self> {
        let base =
            Url::parse(base).with_context(|| format!("`{base}` is no address of a gateway"))?;
        Ok(Self {
            base,
            key,
            http: client,
        })
    }

    /// The published keys of notices.
    pub async fn keys(&self) -> Result<Verifier> {
        let request = self.http.get(self.at("/.well-known/takedown-keys.json")?);
        let document = good(request).await?.json().await?;
        Ok(Verifier::new(
            SigningContext::Notice,
            parse_jwks(&document)?,
        )?)
    }

    /// What waits for an answer, or is new or changed since the cursor.
    pub async fn notices(&self, cursor: &str) -> Result<Listed> {
        let mut request = self.http.get(self.at("/provider/v1/notices")?);
        request = request.query(&[("limit", PAGE.to_string())]);
        if !cursor.is_empty() {
            request = request.query(&[("cursor", cursor)]);
        }
        Ok(good(self.signed_in(request)).await?.json().await?)
    }

    /// Answers several notices; half that are wrong cost the others nothing.
    pub async fn answer(&self, answers: &[Said], once: Uuid) -> Result<Vec<AnswerResult>> {
        let request = self.http.post(self.at("/provider/v1/answers")?);
        let request = request
            .header("idempotency-key", once.to_string())
            .json(&serde_json::json!({ "answers": answers }));
        let answered: Answered = good(self.signed_in(request)).await?.json().await?;
        Ok(answered.results)
    }

    pub async fn preferences(&self) -> Result<Preferences> {
        let request = self.http.get(self.at("/provider/v1/preferences")?);
        Ok(good(self.signed_in(request)).await?.json().await?)
    }

    /// Takes notices by webhook from now on, at this address; the mailbox stays what it is.
    pub async fn take_webhooks(&self, url: &str) -> Result<Preferences> {
        let mailbox = self.preferences().await?.abuse_contact;
        let wanted = serde_json::json!({
            "channel": "webhook", "webhook_url": url, "abuse_contact": mailbox,
        });
        let request = self
            .http
            .put(self.at("/provider/v1/preferences")?)
            .json(&wanted);
        Ok(good(self.signed_in(request)).await?.json().await?)
    }

    /// Opens the page behind a mail's link, which changes nothing.
    pub async fn open_link(&self, link: &Url) -> Result<()> {
        self.judge_link(link)?;
        good(self.http.get(link.clone())).await.map(drop)
    }

    /// Answers by a mail's link.
    pub async fn answer_link(&self, link: &Url, said: &Said) -> Result<()> {
        self.judge_link(link)?;
        let mut form = vec![("answer", said.answer)];
        form.extend(said.named.as_deref().map(|named| ("named", named)));
        form.extend(said.text.map(|text| ("text", text)));
        good(self.http.post(link.clone()).form(&form))
            .await
            .map(drop)
    }

    /// A link in a mail is followed only to the hotline that this host knows.
    fn judge_link(&self, link: &Url) -> Result<()> {
        let known = link.origin() == self.base.origin() && link.path().starts_with("/n/");
        ensure!(
            known,
            "the mail's link leads somewhere else than to the hotline"
        );
        Ok(())
    }

    fn at(&self, path: &str) -> Result<Url> {
        Ok(self.base.join(path)?)
    }

    fn signed_in(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gateway({})", self.base)
    }
}

/// What the gateway said instead of what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the gateway answered {status}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct Refused {
    pub status: StatusCode,
    /// The problem's stable code, where it sent one.
    pub code: Option<String>,
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// Whether the same request may succeed later.
    pub fn is_for_now(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

async fn good(request: RequestBuilder) -> Result<reqwest::Response> {
    // Errors of the client library show the URL, and a mail's link is a credential.
    let response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    let retry_after = retry_after
        .and_then(|seconds| seconds.parse().ok())
        .map(Duration::from_secs);
    let problem: Option<serde_json::Value> = response.json().await.ok();
    let code = problem.and_then(|problem| problem["code"].as_str().map(str::to_owned));
    Err(Refused {
        status,
        code,
        retry_after,
    }
    .into())
}

/// An HTTP client for any number of hosts: no redirects, no proxy, no patience for a gateway that hangs.
pub fn client() -> Result<Client> {
    // A second installation finds the first one in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .user_agent("takedown-provider")
        .build()?;
    Ok(client)
}
