//! A channel that adds its caller's token to each call and renews it. The session itself is sent only to
//! verification.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use proto::v1::verification_service_client::VerificationServiceClient;
use proto::v1::{ExchangeSessionRequest, ExchangeSessionResponse, Staff};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt as _};

/// How long a token is reused. It is valid for a minute at most; the rest is left for the call.
const REUSE_TOKEN_FOR: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
pub(super) enum Audience {
    Intake,
    Verification,
    Dispatch,
    Ledger,
}

impl Audience {
    const fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Verification => "verification",
            Self::Dispatch => "dispatch",
            Self::Ledger => "ledger",
        }
    }
}

struct FetchedToken {
    header: HeaderValue,
    fetched: Instant,
}

/// A session at verification, and the last token for each audience.
pub(super) struct StaffSession {
    verification: Channel,
    secret: SecretString,
    tokens: [Mutex<Option<FetchedToken>>; 4],
}

impl StaffSession {
    pub(super) fn new(verification: Channel, secret: SecretString) -> Self {
        Self {
            verification,
            secret,
            tokens: Default::default(),
        }
    }

    pub(super) fn secret(&self) -> &SecretString {
        &self.secret
    }

    pub(super) async fn staff(&self) -> Result<Staff, Status> {
        self.exchange(Audience::Verification)
            .await?
            .staff
            .ok_or_else(|| Status::internal("the session has no member of staff"))
    }

    /// Concurrent callers share one exchange.
    async fn header(&self, audience: Audience) -> Result<HeaderValue, Status> {
        let mut token = self.tokens[audience as usize].lock().await;
        if let Some(token) = &*token
            && token.fetched.elapsed() < REUSE_TOKEN_FOR
        {
            return Ok(token.header.clone());
        }
        let fetched = Instant::now();
        let response = self.exchange(audience).await?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", response.token))
            .map_err(|_| Status::internal("the token is not a valid header value"))?;
        header.set_sensitive(true);
        *token = Some(FetchedToken {
            header: header.clone(),
            fetched,
        });
        Ok(header)
    }

    async fn exchange(&self, audience: Audience) -> Result<ExchangeSessionResponse, Status> {
        let request = ExchangeSessionRequest {
            session: self.secret.expose_secret().to_owned(),
            audience: audience.name().to_owned(),
        };
        VerificationServiceClient::new(self.verification.clone())
            .exchange_session(request)
            .await
            .map(tonic::Response::into_inner)
    }
}

/// The transport of the generated clients.
#[derive(Clone)]
pub struct Authorized {
    channel: Channel,
    audience: Audience,
    session: Arc<StaffSession>,
}

impl Authorized {
    pub(super) fn new(channel: Channel, audience: Audience, session: Arc<StaffSession>) -> Self {
        Self {
            channel,
            audience,
            session,
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Service<http::Request<Body>> for Authorized {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    /// Always ready: the call itself waits for the channel, on its own clone.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            let header = this.session.header(this.audience).await?;
            request
                .headers_mut()
                .insert(http::header::AUTHORIZATION, header);
            Ok(this.channel.ready().await?.call(request).await?)
        })
    }
}

impl std::fmt::Debug for Authorized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authorized({})", self.audience.name())
    }
}
