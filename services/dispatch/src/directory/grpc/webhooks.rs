//! A provider's webhook endpoints, managed with its own key: endpoints, their secrets, and test messages.

use domain::Invalid;
use domain::enums::DeliveryChannel;
use domain::id::ProviderId;
use domain::wire::timestamp;
use platform::error::{Kind, Problem};
use proto::v1;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use super::preferences::parse_webhook_url;
use crate::delivery::{self, AttemptRecord, DeliveryOutcome};
use crate::directory::commands;
use crate::directory::store::{self, WebhookEndpoint};
use crate::grpc::{Handlers, parse};
use crate::idempotency::IdempotentCall;
use crate::{Error, auth};

/// Maximum test messages of one provider per minute, because each makes us send a request to a URL of its
/// choice.
const MAX_TESTS: i64 = 10;

impl Handlers {
    pub(crate) async fn create_webhook_endpoint(
        &self,
        metadata: &MetadataMap,
        mut request: v1::CreateWebhookEndpointRequest,
    ) -> Result<v1::CreateWebhookEndpointResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let keyring = &self.deps.keyring;
        let caller = auth::require_provider(&mut tx, keyring, metadata, "settings").await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let idempotent = IdempotentCall::new(
            caller.principal.actor(),
            &idempotency_key,
            "create_webhook_endpoint",
            &request,
        )?;
        if let Some(reply) = self.previous_reply(&mut tx, idempotent.as_ref()).await? {
            return Ok(reply);
        }
        let url = parse_webhook_url("url", &request.url, self.http_webhooks)?;
        if url.is_empty() {
            return Err(Invalid::missing("url").into());
        }
        lock_provider(&mut tx, &caller.id).await?;
        let now = self.clock.now(&mut tx).await?;
        let (endpoint, secret) =
            commands::create_endpoint(&mut tx, keyring, now, &caller.id, &url).await?;
        let reply = v1::CreateWebhookEndpointResponse {
            endpoint: Some(self.endpoint_to_proto(&caller.id, &endpoint, now)?),
            secret,
        };
        self.store_reply(&mut tx, now, idempotent, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    pub(crate) async fn list_webhook_endpoints(
        &self,
        metadata: &MetadataMap,
        _: v1::ListWebhookEndpointsRequest,
    ) -> Result<v1::ListWebhookEndpointsResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let caller =
            auth::require_provider(&mut conn, &self.deps.keyring, metadata, "settings").await?;
        let now = self.clock.now(&mut conn).await?;
        let endpoints = store::webhook_endpoints(&mut conn, &caller.id).await?;
        let endpoints = endpoints
            .iter()
            .map(|endpoint| self.endpoint_to_proto(&caller.id, endpoint, now))
            .collect::<Result<_, _>>()?;
        Ok(v1::ListWebhookEndpointsResponse { endpoints })
    }

    pub(crate) async fn delete_webhook_endpoint(
        &self,
        metadata: &MetadataMap,
        request: v1::DeleteWebhookEndpointRequest,
    ) -> Result<v1::DeleteWebhookEndpointResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let caller =
            auth::require_provider(&mut tx, &self.deps.keyring, metadata, "settings").await?;
        lock_provider(&mut tx, &caller.id).await?;
        let endpoint = own_endpoint(&mut tx, &caller.id, &request.endpoint_id).await?;
        if endpoint.in_use {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "endpoint_in_use",
                "Notices are sent to this endpoint; first set another address, or another channel without an address, in your preferences.",
            )
            .into());
        }
        store::delete_webhook_endpoint(&mut tx, endpoint.id).await?;
        tx.commit().await?;
        Ok(v1::DeleteWebhookEndpointResponse {})
    }

    pub(crate) async fn rotate_webhook_secret(
        &self,
        metadata: &MetadataMap,
        mut request: v1::RotateWebhookSecretRequest,
    ) -> Result<v1::RotateWebhookSecretResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let keyring = &self.deps.keyring;
        let caller = auth::require_provider(&mut tx, keyring, metadata, "settings").await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let idempotent = IdempotentCall::new(
            caller.principal.actor(),
            &idempotency_key,
            "rotate_webhook_secret",
            &request,
        )?;
        if let Some(reply) = self.previous_reply(&mut tx, idempotent.as_ref()).await? {
            return Ok(reply);
        }
        let overlap = parse::overlap(request.overlap.as_ref())?;
        lock_provider(&mut tx, &caller.id).await?;
        let endpoint = own_endpoint(&mut tx, &caller.id, &request.endpoint_id).await?;
        let now = self.clock.now(&mut tx).await?;
        let (endpoint, secret) =
            commands::rotate_secret(&mut tx, keyring, now, &caller.id, endpoint.id, overlap)
                .await?;
        let reply = v1::RotateWebhookSecretResponse {
            endpoint: Some(self.endpoint_to_proto(&caller.id, &endpoint, now)?),
            secret,
        };
        self.store_reply(&mut tx, now, idempotent, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    /// Sends between two transactions, because nothing may be sent within one.
    pub(crate) async fn test_webhook_endpoint(
        &self,
        metadata: &MetadataMap,
        request: v1::TestWebhookEndpointRequest,
    ) -> Result<v1::TestWebhookEndpointResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let keyring = &self.deps.keyring;
        let caller = auth::require_provider(&mut conn, keyring, metadata, "settings").await?;
        let endpoint = own_endpoint(&mut conn, &caller.id, &request.endpoint_id).await?;
        let now = self.clock.now(&mut conn).await?;
        let minute = Duration::minutes(1);
        if delivery::count_test_deliveries(&mut conn, &caller.id, now - minute).await? >= MAX_TESTS
        {
            return Err(Problem::new(
                Kind::Exhausted,
                "tests_exhausted",
                format!("At most {MAX_TESTS} tests are sent per minute; try again in a minute."),
            )
            .retry_after(minute.unsigned_abs())
            .into());
        }
        let target = commands::webhook_target(keyring, &caller.id, &endpoint, now)?;
        drop(conn);

        let message_id = format!("msg_test_{}", Uuid::now_v7());
        let started = std::time::Instant::now();
        let sent = self
            .webhook
            .send_test(&target, &message_id, endpoint.id, now)
            .await;
        let took = started.elapsed();

        let attempt = AttemptRecord {
            provider_id: caller.id.clone(),
            message_id,
            notice_id: None,
            endpoint_id: Some(endpoint.id),
            channel: DeliveryChannel::Webhook,
            attempt: 1,
            outcome: sent.outcome.code().unwrap_or("delivered").to_owned(),
            http_status: sent.status.map(|status| status.as_u16().into()),
            started_at: now,
            took_millis: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
        };
        let mut tx = self.pool.begin().await?;
        let ids = delivery::insert_attempts(&mut tx, std::slice::from_ref(&attempt)).await?;
        if sent.outcome == DeliveryOutcome::Delivered
            && store::reinstate_webhook_endpoint(&mut tx, endpoint.id).await?
        {
            store::directory_changed(&mut tx).await?;
        }
        tx.commit().await?;
        let id = ids.first().copied().unwrap_or_default();
        Ok(v1::TestWebhookEndpointResponse {
            delivery: Some(delivery::delivery_to_proto(id, &attempt)),
        })
    }

    fn endpoint_to_proto(
        &self,
        provider: &ProviderId,
        endpoint: &WebhookEndpoint,
        now: OffsetDateTime,
    ) -> Result<v1::WebhookEndpoint, Error> {
        let (keyring, sealed) = (&self.deps.keyring, &endpoint.address);
        let address = commands::open_endpoint_address(keyring, provider, endpoint.id, sealed)?;
        let previous_secret_until = endpoint.previous_secret_until.filter(|until| now < *until);
        Ok(v1::WebhookEndpoint {
            endpoint_id: endpoint.id.to_string(),
            url: address.text()?.to_owned(),
            in_use: endpoint.in_use,
            has_secret: endpoint.secret.is_some(),
            previous_secret_until: previous_secret_until.map(timestamp),
            created_at: Some(timestamp(endpoint.created_at)),
            retired_at: endpoint.retired_at.map(timestamp),
        })
    }
}

/// Locks the provider's row, which every change of its endpoints requires.
async fn lock_provider(conn: &mut PgConnection, provider: &ProviderId) -> Result<(), Error> {
    store::lock_provider(conn, provider.as_str())
        .await?
        .map(drop)
        .ok_or_else(|| Error::not_found("provider"))
}

/// The provider's own endpoint with this id.
async fn own_endpoint(
    conn: &mut PgConnection,
    provider: &ProviderId,
    endpoint_id: &str,
) -> Result<WebhookEndpoint, Error> {
    let id = parse::id("endpoint_id", endpoint_id)?;
    store::webhook_endpoints(conn, provider)
        .await?
        .into_iter()
        .find(|endpoint| endpoint.id == id)
        .ok_or_else(|| Error::not_found("endpoint"))
}
