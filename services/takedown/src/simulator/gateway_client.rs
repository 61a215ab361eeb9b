//! Client of the hotline's REST API, as a host's program calls it: one gateway, with the host's own key.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use domain::enums::Answer;
use platform::sealed::{SigningContext, Verifier, parse_jwks};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::signed_notice::NoticeDocument;

/// Notices per page.
const PAGE_SIZE: u32 = 200;

#[derive(Clone)]
pub struct GatewayClient {
    base: Url,
    key: Option<SecretString>,
    http: Client,
}

#[derive(Deserialize)]
pub struct NoticePage {
    pub notices: Vec<NoticeDocument>,
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// One answer of the bulk request.
#[derive(Debug, Clone, Serialize)]
pub struct SubmittedAnswer {
    pub notice_id: Uuid,
    pub answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'static str>,
}

impl SubmittedAnswer {
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
struct AnswersResponse {
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

/// How the hotline sends notices to this host.
#[derive(Deserialize)]
pub struct Preferences {
    pub channel: String,
    #[serde(default)]
    pub abuse_contact: Option<String>,
    #[serde(default)]
    pub webhook_public_key: Option<String>,
}

impl GatewayClient {
    /// `client` may be shared by several hosts; see [`http_client`].
    ///
    /// # Errors
    /// `base` is not a URL.
    pub fn new(base: &str, key: Option<SecretString>, client: Client) -> Result<Self> {
        let base = Url::parse(base).with_context(|| format!("`{base}` is not a gateway URL"))?;
        Ok(Self {
            base,
            key,
            http: client,
        })
    }

    /// The hotline's published keys for notices.
    pub async fn notice_keys(&self) -> Result<Verifier> {
        let request = self.http.get(self.url("/.well-known/takedown-keys.json")?);
        let document = send(request).await?.json().await?;
        Ok(Verifier::new(
            SigningContext::Notice,
            parse_jwks(&document)?,
        )?)
    }

    /// Notices that wait for an answer, or that are new or changed since the cursor.
    pub async fn list_notices(&self, cursor: &str) -> Result<NoticePage> {
        let mut request = self.http.get(self.url("/provider/v1/notices")?);
        request = request.query(&[("limit", PAGE_SIZE.to_string())]);
        if !cursor.is_empty() {
            request = request.query(&[("cursor", cursor)]);
        }
        Ok(send(self.authenticated(request)).await?.json().await?)
    }

    /// Answers several notices. The answers are independent: an invalid one does not affect the others.
    pub async fn submit_answers(
        &self,
        answers: &[SubmittedAnswer],
        idempotency_key: Uuid,
    ) -> Result<Vec<AnswerResult>> {
        let request = self.http.post(self.url("/provider/v1/answers")?);
        let request = request
            .header("idempotency-key", idempotency_key.to_string())
            .json(&serde_json::json!({ "answers": answers }));
        let response: AnswersResponse = send(self.authenticated(request)).await?.json().await?;
        Ok(response.results)
    }

    pub async fn preferences(&self) -> Result<Preferences> {
        let request = self.http.get(self.url("/provider/v1/preferences")?);
        Ok(send(self.authenticated(request)).await?.json().await?)
    }

    /// Selects the webhook channel with this URL; the mailbox is left unchanged.
    pub async fn set_webhook_url(&self, url: &str) -> Result<Preferences> {
        let mailbox = self.preferences().await?.abuse_contact;
        let preferences = serde_json::json!({
            "channel": "webhook", "webhook_url": url, "abuse_contact": mailbox,
        });
        let request = self
            .http
            .put(self.url("/provider/v1/preferences")?)
            .json(&preferences);
        Ok(send(self.authenticated(request)).await?.json().await?)
    }

    /// Opens the page behind a mail's link, which changes nothing.
    pub async fn open_link(&self, link: &Url) -> Result<()> {
        self.ensure_hotline_link(link)?;
        send(self.http.get(link.clone())).await.map(drop)
    }

    /// Answers by a mail's link.
    pub async fn answer_by_link(&self, link: &Url, answer: &SubmittedAnswer) -> Result<()> {
        self.ensure_hotline_link(link)?;
        let mut form = vec![("answer", answer.answer)];
        form.extend(answer.named.as_deref().map(|named| ("named", named)));
        form.extend(answer.text.map(|text| ("text", text)));
        send(self.http.post(link.clone()).form(&form))
            .await
            .map(drop)
    }

    /// A link from a mail is followed only if it points to the configured hotline.
    fn ensure_hotline_link(&self, link: &Url) -> Result<()> {
        ensure!(
            link.origin() == self.base.origin() && link.path().starts_with("/n/"),
            "the mail's link does not point to the configured hotline"
        );
        Ok(())
    }

    fn url(&self, path: &str) -> Result<Url> {
        Ok(self.base.join(path)?)
    }

    fn authenticated(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }
}

impl fmt::Debug for GatewayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatewayClient({})", self.base)
    }
}

/// A response with an error status.
#[derive(Debug, thiserror::Error)]
#[error("the gateway answered {status}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub struct GatewayError {
    pub status: StatusCode,
    /// The stable code of the problem document (RFC 9457), if there is one.
    pub code: Option<String>,
    pub retry_after: Option<Duration>,
}

impl GatewayError {
    /// True if the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

/// Sends a request.
///
/// # Errors
/// The request failed, or the response has an error status ([`GatewayError`]).
async fn send(request: RequestBuilder) -> Result<reqwest::Response> {
    // Errors of reqwest print the URL, and a mail's link is a credential.
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
    Err(GatewayError {
        status,
        code,
        retry_after,
    }
    .into())
}

/// An HTTP client that follows no redirects, uses no proxy and gives up after 20 seconds.
pub fn http_client() -> Result<Client> {
    // Fails if a provider is installed already, which is equally good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .user_agent("takedown-provider")
        .build()?;
    Ok(client)
}
