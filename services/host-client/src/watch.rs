//! `takedown provider watch`: receives a provider's notices by pull API or webhook and verifies each. It answers none.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::gateway_client::{GatewayClient, GatewayError, http_client};
use crate::keys::WebhookKey;
use crate::notice_verifier::NoticeVerifier;
use crate::signed_notice::{NoticeDocument, NoticeRejection, VerifiedNotice};
use crate::webhook::{self, Webhook, WebhookRejection};

/// Pause after a request that found nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Notices that wait to be printed.
const QUEUE_SIZE: usize = 64;

/// Command line of `takedown provider watch`.
#[derive(Debug, Clone, Args)]
pub struct WatchOptions {
    /// This provider's id at the hotline
    #[arg(long)]
    pub id: String,
    /// Its key (tdh_…)
    #[arg(long, env = "TAKEDOWN_PROVIDER_KEY", hide_env_values = true)]
    pub key: SecretString,
    /// The hotline's address, such as https://portal.hotline.example
    #[arg(long)]
    pub gateway: String,
    /// Receive webhooks on this address, without TLS, instead of fetching from the pull API; a proxy in front terminates
    /// TLS
    #[arg(long)]
    pub webhook_listen: Option<SocketAddr>,
}

/// What `watch` reports.
pub enum WatchEvent {
    /// Webhooks are received on this address.
    Listening(SocketAddr),
    /// A notice was received, and verified or rejected.
    Received {
        notice: Uuid,
        verified: Box<Result<VerifiedNotice, NoticeRejection>>,
    },
}

/// Why `watch` ends.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(
        "the hotline has no webhook key for this provider; set a webhook in the preferences first"
    )]
    NoWebhookKey,
    #[error("webhooks cannot be received on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

/// Reports each notice until shutdown.
///
/// # Errors
/// The hotline's keys cannot be fetched, or the address cannot be listened on. A failed request for notices is retried.
pub async fn watch(
    options: WatchOptions,
    shutdown: CancellationToken,
    mut report: impl FnMut(WatchEvent),
) -> Result<(), WatchError> {
    let gateway = GatewayClient::new(&options.gateway, Some(options.key), http_client()?)?;
    let verifier = NoticeVerifier::new(options.id, gateway.clone()).await?;
    let (events, mut received) = mpsc::channel(QUEUE_SIZE);
    let receiver = Receiver { verifier, events };
    match options.webhook_listen {
        Some(address) => {
            let key = gateway.preferences().await?.webhook_public_key;
            let key = key.ok_or(WatchError::NoWebhookKey)?;
            let key = WebhookKey::parse(&key).map_err(GatewayError::Keys)?;
            let listener = TcpListener::bind(address).await;
            let listener = listener.map_err(|error| WatchError::Listen(address, error))?;
            let bound = listener.local_addr();
            report(WatchEvent::Listening(bound.unwrap_or(address)));
            tokio::spawn(receive_webhooks(listener, key, receiver, shutdown.clone()));
        }
        None => {
            tokio::spawn(poll(gateway, receiver, shutdown.clone()));
        }
    }
    loop {
        tokio::select! {
            event = received.recv() => match event {
                Some(event) => report(event),
                None => return Ok(()),
            },
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

/// Verifies what arrives, and passes it on.
struct Receiver {
    verifier: NoticeVerifier,
    events: mpsc::Sender<WatchEvent>,
}

impl Receiver {
    /// Returns whether the notice is authentic.
    async fn receive(&self, document: &NoticeDocument) -> bool {
        let verified = self.verifier.verify(document).await;
        let is_authentic = verified.is_ok();
        let event = WatchEvent::Received {
            notice: document.notice_id,
            verified: Box::new(verified),
        };
        // Fails only after the shutdown.
        let _ = self.events.send(event).await;
        is_authentic
    }
}

/// Fetches new and changed notices from the cursor on. After an error the same page is fetched again.
async fn poll(gateway: GatewayClient, receiver: Receiver, shutdown: CancellationToken) {
    let mut cursor = String::new();
    let mut is_failing = false;
    while !shutdown.is_cancelled() {
        let mut is_idle = true;
        match gateway.list_notices(&cursor).await {
            Ok(page) => {
                is_failing = false;
                is_idle = page.notices.is_empty();
                for notice in &page.notices {
                    receiver.receive(notice).await;
                }
                cursor = page.next_cursor.unwrap_or(cursor);
            }
            // Logged once per outage, not at every request.
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(%error, "cannot list notices; trying again");
            }
            Err(_) => {}
        }
        if is_idle {
            // The loop's condition detects a shutdown.
            let _ = tokio::time::timeout(POLL_INTERVAL, shutdown.cancelled()).await;
        }
    }
}

type WebhookState = Arc<(WebhookKey, Receiver)>;

async fn receive_webhooks(
    listener: TcpListener,
    key: WebhookKey,
    receiver: Receiver,
    shutdown: CancellationToken,
) {
    let router = Router::new()
        .fallback(post(receive_webhook))
        .with_state(Arc::new((key, receiver)));
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "webhooks are not received any more");
    }
}

/// The hotline sends again what is not accepted by status.
async fn receive_webhook(
    State(state): State<WebhookState>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let (key, receiver) = &*state;
    match webhook::verify(&headers, &body, key) {
        Ok(Webhook::Test) => StatusCode::NO_CONTENT,
        Ok(Webhook::Notice(notice)) => {
            if receiver.receive(&notice).await {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        }
        Err(WebhookRejection::Malformed) => StatusCode::BAD_REQUEST,
        Err(rejection) => {
            tracing::warn!(code = rejection.code(), "a webhook was refused");
            StatusCode::UNAUTHORIZED
        }
    }
}
