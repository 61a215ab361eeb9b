//! Client of the hotline's REST API, as a provider's program calls it: one gateway, with the provider's own key.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::keys::{HotlineKeys, KeyError};
use crate::signed_notice::NoticeDocument;

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
    pub text: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl SubmittedAnswer {
    pub fn new(notice_id: Uuid, answer: &'static str) -> Self {
        Self {
            notice_id,
            answer,
            named: None,
            text: None,
            until: None,
        }
    }
}

#[derive(Deserialize)]
struct AnswersResponse {
    results: Vec<AnswerResult>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AnswerResult {
    /// The state of the notice, if the answer was accepted.
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub problem: Option<AnswerProblem>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AnswerProblem {
    pub code: String,
    #[serde(default)]
    pub detail: String,
}

/// How the hotline sends notices to this provider.
#[derive(Deserialize)]
pub struct Preferences {
    pub channel: String,
    #[serde(default)]
    pub abuse_contact: Option<String>,
    #[serde(default)]
    pub webhook_public_key: Option<String>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("the gateway's address is not a URL")]
    Address,
    #[error("the gateway answered {status}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Response {
        status: StatusCode,
        /// The stable code of the problem document (RFC 9457), if there is one.
        code: Option<String>,
        retry_after: Option<Duration>,
    },
    /// Without the URL, because a mail's link is a credential.
    #[error("the gateway cannot be reached")]
    Transport(#[source] reqwest::Error),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("the mail's link does not point to the configured hotline")]
    ForeignLink,
}

impl GatewayError {
    /// True if the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Response { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Transport(_) => true,
            Self::Address | Self::Keys(_) | Self::ForeignLink => false,
        }
    }

    /// The time that the gateway asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Response { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<reqwest::Error> for GatewayError {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

impl GatewayClient {
    /// `http` may be shared by several providers; see [`http_client`].
    ///
    /// # Errors
    /// `base` is not a URL.
    pub fn new(base: &str, key: Option<SecretString>, http: Client) -> Result<Self, GatewayError> {
        let base = Url::parse(base).map_err(|_| GatewayError::Address)?;
        Ok(Self { base, key, http })
    }

    /// The hotline's published keys for notices.
    pub async fn notice_keys(&self) -> Result<HotlineKeys, GatewayError> {
        let request = self.http.get(self.url("/.well-known/takedown-keys.json")?);
        let document = send(request).await?.json().await?;
        Ok(HotlineKeys::parse(&document)?)
    }

    /// Notices that wait for an answer, or that are new or changed since the cursor.
    pub async fn list_notices(&self, cursor: &str) -> Result<NoticePage, GatewayError> {
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
    ) -> Result<Vec<AnswerResult>, GatewayError> {
        let request = self.http.post(self.url("/provider/v1/answers")?);
        let request = request
            .header("idempotency-key", idempotency_key.to_string())
            .json(&serde_json::json!({ "answers": answers }));
        let response: AnswersResponse = send(self.authenticated(request)).await?.json().await?;
        Ok(response.results)
    }

    pub async fn preferences(&self) -> Result<Preferences, GatewayError> {
        let request = self.http.get(self.url("/provider/v1/preferences")?);
        Ok(send(self.authenticated(request)).await?.json().await?)
    }

    /// Selects the webhook channel with this URL; the mailbox is left unchanged.
    pub async fn set_webhook_url(&self, url: &str) -> Result<Preferences, GatewayError> {
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
    pub async fn open_link(&self, link: &Url) -> Result<(), GatewayError> {
        self.require_hotline_link(link)?;
        send(self.http.get(link.clone())).await.map(drop)
    }

    /// Answers by a mail's link.
    pub async fn answer_by_link(
        &self,
        link: &Url,
        answer: &SubmittedAnswer,
    ) -> Result<(), GatewayError> {
        self.require_hotline_link(link)?;
        let mut form = vec![("answer", answer.answer)];
        form.extend(answer.named.as_deref().map(|named| ("named", named)));
        form.extend(answer.text.as_deref().map(|text| ("text", text)));
        send(self.http.post(link.clone()).form(&form))
            .await
            .map(drop)
    }

    /// A link from a mail is followed only if it points to the configured hotline.
    fn require_hotline_link(&self, link: &Url) -> Result<(), GatewayError> {
        if link.origin() == self.base.origin() && link.path().starts_with("/n/") {
            Ok(())
        } else {
            Err(GatewayError::ForeignLink)
        }
    }

    fn url(&self, path: &str) -> Result<Url, GatewayError> {
        self.base.join(path).map_err(|_| GatewayError::Address)
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

/// Sends a request. An error status is an error.
async fn send(request: RequestBuilder) -> Result<reqwest::Response, GatewayError> {
    let response = request.send().await?;
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
    Err(GatewayError::Response {
        status,
        code,
        retry_after,
    })
}

/// An HTTP client that follows no redirects, uses no proxy and gives up after 20 seconds.
pub fn http_client() -> Result<Client, GatewayError> {
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
