//! Where a provider takes webhooks, by its own key: endpoints, their secrets, and a test of each.

use domain::Invalid;
use domain::id::ProviderId;
use domain::wire::timestamp;
use domain::word::DeliveryChannel;
use platform::error::{Kind, Problem};
use proto::v1;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use super::once::Once;
use super::preferences::webhook;
use super::{Inner, deliveries, parse};
use crate::channels::Outcome;
use crate::store::{Attempt, WebhookEndpoint};
use crate::{Error, auth, commands, store};

/// Tests of one provider in a minute: each makes us send something where it says.
const TESTS: i64 = 10;

impl Inner {
    pub(super) async fn create_webhook_endpoint(
        &self,
        metadata: &MetadataMap,
        mut request: v1::CreateWebhookEndpointRequest,
    ) -> Result<v1::CreateWebhookEndpointResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let keyring = &self.rules.keyring;
        let caller = auth::provider(&mut tx, keyring, metadata, "settings").await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let once = Once::of(
            caller.principal.actor(),
            &idempotency_key,
            "create_webhook_endpoint",
            &request,
        )?;
        if let Some(reply) = self.replied(&mut tx, once.as_ref()).await? {
            return Ok(reply);
        }
        let address = webhook("url", &request.url, self.plain_webhooks)?;
        if address.is_empty() {
            return Err(Invalid::missing("url").into());
        }
        lock(&mut tx, &caller.id).await?;
        let now = self.clock.now(&mut tx).await?;
        let (endpoint, secret) =
            commands::webhook::create(&mut tx, keyring, now, &caller.id, &address).await?;
        let reply = v1::CreateWebhookEndpointResponse {
            endpoint: Some(self.shown_endpoint(&caller.id, &endpoint, now)?),
            secret,
        };
        self.keep_reply(&mut tx, now, once, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    pub(super) async fn list_webhook_endpoints(
        &self,
        metadata: &MetadataMap,
        _: v1::ListWebhookEndpointsRequest,
    ) -> Result<v1::ListWebhookEndpointsResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let caller = auth::provider(&mut conn, &self.rules.keyring, metadata, "settings").await?;
        let now = self.clock.now(&mut conn).await?;
        let endpoints = store::webhook_endpoints(&mut conn, &caller.id).await?;
        let endpoints = endpoints
            .iter()
            .map(|endpoint| self.shown_endpoint(&caller.id, endpoint, now))
            .collect::<Result<_, _>>()?;
        Ok(v1::ListWebhookEndpointsResponse { endpoints })
    }

    pub(super) async fn delete_webhook_endpoint(
        &self,
        metadata: &MetadataMap,
        request: v1::DeleteWebhookEndpointRequest,
    ) -> Result<v1::DeleteWebhookEndpointResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let caller = auth::provider(&mut tx, &self.rules.keyring, metadata, "settings").await?;
        lock(&mut tx, &caller.id).await?;
        let endpoint = own(&mut tx, &caller.id, &request.endpoint_id).await?;
        if endpoint.in_use {
            return Err(Problem::new(
                Kind::FailedPrecondition,
                "endpoint_in_use",
                "Notices go to this endpoint; name another address in your preferences first, or another channel without one.",
            )
            .into());
        }
        store::delete_webhook_endpoint(&mut tx, endpoint.id).await?;
        tx.commit().await?;
        Ok(v1::DeleteWebhookEndpointResponse {})
    }

    pub(super) async fn rotate_webhook_secret(
        &self,
        metadata: &MetadataMap,
        mut request: v1::RotateWebhookSecretRequest,
    ) -> Result<v1::RotateWebhookSecretResponse, Error> {
        let mut tx = self.pool.begin().await?;
        let keyring = &self.rules.keyring;
        let caller = auth::provider(&mut tx, keyring, metadata, "settings").await?;
        let idempotency_key = std::mem::take(&mut request.idempotency_key);
        let once = Once::of(
            caller.principal.actor(),
            &idempotency_key,
            "rotate_webhook_secret",
            &request,
        )?;
        if let Some(reply) = self.replied(&mut tx, once.as_ref()).await? {
            return Ok(reply);
        }
        let overlap = parse::overlap(request.overlap_seconds)?;
        lock(&mut tx, &caller.id).await?;
        let endpoint = own(&mut tx, &caller.id, &request.endpoint_id).await?;
        let now = self.clock.now(&mut tx).await?;
        let (endpoint, secret) =
            commands::webhook::rotate(&mut tx, keyring, now, &caller.id, endpoint.id, overlap)
                .await?;
        let reply = v1::RotateWebhookSecretResponse {
            endpoint: Some(self.shown_endpoint(&caller.id, &endpoint, now)?),
            secret,
        };
        self.keep_reply(&mut tx, now, once, &reply).await?;
        tx.commit().await?;
        Ok(reply)
    }

    /// Sends between two transactions: nothing leaves the process inside one.
    pub(super) async fn test_webhook_endpoint(
        &self,
        metadata: &MetadataMap,
        request: v1::TestWebhookEndpointRequest,
    ) -> Result<v1::TestWebhookEndpointResponse, Error> {
        let mut conn = self.pool.acquire().await?;
        let keyring = &self.rules.keyring;
        let caller = auth::provider(&mut conn, keyring, metadata, "settings").await?;
        let endpoint = own(&mut conn, &caller.id, &request.endpoint_id).await?;
        let now = self.clock.now(&mut conn).await?;
        let minute = Duration::minutes(1);
        if store::count_tests(&mut conn, &caller.id, now - minute).await? >= TESTS {
            return Err(Problem::new(
                Kind::Exhausted,
                "tests_exhausted",
                format!("At most {TESTS} tests are made in a minute; try again after one."),
            )
            .retry_after(minute.unsigned_abs())
            .into());
        }
        let target = commands::webhook::target(keyring, &caller.id, &endpoint, now)?;
        drop(conn);

        let message_id = format!("msg_test_{}", Uuid::now_v7());
        let started = std::time::Instant::now();
        let answered = self
            .webhook
            .test(&target, &message_id, endpoint.id, now)
            .await;
        let took = started.elapsed();

        let attempt = Attempt {
            provider_id: caller.id.clone(),
            message_id,
            notice_id: None,
            endpoint_id: Some(endpoint.id),
            channel: DeliveryChannel::Webhook,
            attempt: 1,
            outcome: answered.outcome.code().unwrap_or("delivered").to_owned(),
            http_status: answered.status.map(|status| status.as_u16().into()),
            started_at: now,
            took_millis: i32::try_from(took.as_millis()).unwrap_or(i32::MAX),
        };
        let mut tx = self.pool.begin().await?;
        let ids = store::put_attempts(&mut tx, std::slice::from_ref(&attempt)).await?;
        if answered.outcome == Outcome::Delivered
            && store::revive_webhook_endpoint(&mut tx, endpoint.id).await?
        {
            store::directory_changed(&mut tx).await?;
        }
        tx.commit().await?;
        let id = ids.first().copied().unwrap_or_default();
        Ok(v1::TestWebhookEndpointResponse {
            delivery: Some(deliveries::shown(id, &attempt)),
        })
    }

    fn shown_endpoint(
        &self,
        provider: &ProviderId,
        endpoint: &WebhookEndpoint,
        now: OffsetDateTime,
    ) -> Result<v1::WebhookEndpoint, Error> {
        let (keyring, sealed) = (&self.rules.keyring, &endpoint.address);
        let address = commands::webhook::open_address(keyring, provider, endpoint.id, sealed)?;
        let former_until = endpoint.former_until.filter(|until| now < *until);
        Ok(v1::WebhookEndpoint {
            endpoint_id: endpoint.id.to_string(),
            url: address.text()?.to_owned(),
            in_use: endpoint.in_use,
            has_secret: endpoint.secret.is_some(),
            former_secret_until: former_until.map(timestamp),
            created_at: Some(timestamp(endpoint.created_at)),
            gone_at: endpoint.gone_at.map(timestamp),
        })
    }
}

/// Whoever changes endpoints holds the row of their provider.
async fn lock(conn: &mut PgConnection, provider: &ProviderId) -> Result<(), Error> {
    store::lock_provider(conn, provider.as_str())
        .await?
        .map(drop)
        .ok_or_else(|| Error::not_found("provider"))
}

async fn own(
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
