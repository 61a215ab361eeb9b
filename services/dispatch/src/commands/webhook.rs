//! Webhook endpoints of a provider: made, chosen, given another secret. Whoever calls holds the lock of the provider's row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::ProviderId;
use platform::error::{Kind, Problem};
use platform::sealed::{Keyring, Opened, Purpose, SealedError, random};
use sqlx::PgConnection;
use standardwebhooks::Webhook;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::Error;
use crate::channels::webhook::Target;
use crate::store::{self, WebhookEndpoint};

/// Of one provider. Enough to try a new one beside the old, for every stage of whoever runs them.
const MOST: usize = 10;
/// What shared secrets begin with (Standard Webhooks, "Signature scheme").
const PREFIX: &str = "whsec_";

/// Notices go to this address from now on, or to none where it is empty. An address that is no endpoint yet becomes
/// one, without a secret: `v1a` needs none.
pub async fn choose(
    conn: &mut PgConnection,
    keyring: &Keyring,
    now: OffsetDateTime,
    provider: &ProviderId,
    address: &str,
) -> Result<Option<Uuid>, Error> {
    let chosen = if address.is_empty() {
        None
    } else {
        let endpoints = store::webhook_endpoints(conn, provider).await?;
        let known = with_address(keyring, provider, &endpoints, address)?.map(|known| known.id);
        match known {
            Some(known) => Some(known),
            None => Some(
                keep(conn, keyring, now, provider, &endpoints, address, None)
                    .await?
                    .id,
            ),
        }
    };
    store::use_webhook_endpoint(conn, now, provider, chosen).await?;
    Ok(chosen)
}

/// A new endpoint, not in use, and its secret.
pub async fn create(
    conn: &mut PgConnection,
    keyring: &Keyring,
    now: OffsetDateTime,
    provider: &ProviderId,
    address: &str,
) -> Result<(WebhookEndpoint, String), Error> {
    let endpoints = store::webhook_endpoints(conn, provider).await?;
    if with_address(keyring, provider, &endpoints, address)?.is_some() {
        return Err(Problem::new(
            Kind::Conflict,
            "endpoint_exists",
            "There is an endpoint with this address; list your endpoints, and rotate its secret if you need another.",
        )
        .field("url")
        .into());
    }
    let secret = new_secret();
    let endpoint = keep(
        conn,
        keyring,
        now,
        provider,
        &endpoints,
        address,
        Some(&secret),
    )
    .await?;
    Ok((endpoint, secret))
}

/// Another secret for an endpoint. Messages are signed with the former one too for as long as the overlap lasts.
pub async fn rotate(
    conn: &mut PgConnection,
    keyring: &Keyring,
    now: OffsetDateTime,
    provider: &ProviderId,
    endpoint: Uuid,
    overlap: Duration,
) -> Result<(WebhookEndpoint, String), Error> {
    let secret = new_secret();
    let sealed = seal(keyring, Purpose::Secret, provider, endpoint, &secret);
    let until = overlap.is_positive().then(|| now + overlap);
    store::rotate_webhook_secret(conn, endpoint, &sealed, until).await?;
    let endpoint = store::webhook_endpoints(conn, provider)
        .await?
        .into_iter()
        .find(|row| row.id == endpoint)
        .ok_or_else(|| Error::not_found("endpoint"))?;
    Ok((endpoint, secret))
}

async fn keep(
    conn: &mut PgConnection,
    keyring: &Keyring,
    now: OffsetDateTime,
    provider: &ProviderId,
    others: &[WebhookEndpoint],
    address: &str,
    secret: Option<&str>,
) -> Result<WebhookEndpoint, Error> {
    if others.len() >= MOST {
        return Err(Problem::new(
            Kind::FailedPrecondition,
            "endpoints_full",
            format!("A provider has at most {MOST} endpoints; delete one that is not in use."),
        )
        .into());
    }
    let id = Uuid::now_v7();
    let endpoint = WebhookEndpoint {
        id,
        address: seal(keyring, Purpose::Endpoint, provider, id, address),
        secret: secret.map(|secret| seal(keyring, Purpose::Secret, provider, id, secret)),
        former_secret: None,
        former_until: None,
        in_use: false,
        created_at: now,
        gone_at: None,
    };
    store::put_webhook_endpoint(conn, provider, &endpoint).await?;
    Ok(endpoint)
}

fn with_address<'a>(
    keyring: &Keyring,
    provider: &ProviderId,
    endpoints: &'a [WebhookEndpoint],
    address: &str,
) -> Result<Option<&'a WebhookEndpoint>, Error> {
    for endpoint in endpoints {
        if open_address(keyring, provider, endpoint.id, &endpoint.address)?.text()? == address {
            return Ok(Some(endpoint));
        }
    }
    Ok(None)
}

fn seal(
    keyring: &Keyring,
    purpose: Purpose,
    provider: &ProviderId,
    endpoint: Uuid,
    value: &str,
) -> Vec<u8> {
    keyring
        .seal_provider(purpose, provider.as_str(), endpoint, value.as_bytes())
        .into_bytes()
}

/// Where an endpoint is.
pub fn open_address(
    keyring: &Keyring,
    provider: &ProviderId,
    endpoint: Uuid,
    sealed: &[u8],
) -> Result<Opened, SealedError> {
    keyring.open_provider(Purpose::Endpoint, provider.as_str(), endpoint, sealed)
}

/// An endpoint, opened: its address, and the secrets that hold now, the present one first.
pub fn target(
    keyring: &Keyring,
    provider: &ProviderId,
    endpoint: &WebhookEndpoint,
    now: OffsetDateTime,
) -> Result<Target, SealedError> {
    let former = endpoint.former_until.is_some_and(|until| now < until);
    let former = endpoint.former_secret.as_ref().filter(|_| former);
    let secrets = endpoint.secret.iter().chain(former).map(|sealed| {
        let place = (Purpose::Secret, provider.as_str(), endpoint.id);
        let secret = keyring.open_provider(place.0, place.1, place.2, sealed)?;
        Webhook::new(secret.text()?).map_err(|_| SealedError::Malformed)
    });
    Ok(Target {
        address: open_address(keyring, provider, endpoint.id, &endpoint.address)?,
        secrets: secrets.collect::<Result<_, _>>()?,
    })
}

fn new_secret() -> String {
    format!("{PREFIX}{}", STANDARD.encode(random::<32>()))
}
