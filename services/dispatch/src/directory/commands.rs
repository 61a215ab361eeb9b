//! Webhook endpoints of a provider: creation, selection and rotation of secrets. The caller holds the lock of
//! the provider's row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::ProviderId;
use platform::error::{Kind, Problem};
use platform::sealed::{Keyring, Purpose, SealedError, UnsealedValue, random};
use sqlx::PgConnection;
use standardwebhooks::Webhook;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::Error;
use crate::delivery::WebhookTarget;
use crate::directory::store::{self, WebhookEndpoint};

/// Maximum endpoints per provider: enough for an old and a new one in each of a provider's environments.
const MAX_ENDPOINTS: usize = 10;
/// Prefix of shared secrets (Standard Webhooks, "Signature scheme").
const SECRET_PREFIX: &str = "whsec_";

/// Sends notices to this address from now on, or to none if it is empty. An address without an endpoint gets
/// one, without a secret: `v1a` signatures need none.
pub async fn choose_endpoint(
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
        let known = find_by_address(keyring, provider, &endpoints, address)?.map(|known| known.id);
        match known {
            Some(known) => Some(known),
            None => Some(
                insert(conn, keyring, now, provider, &endpoints, address, None)
                    .await?
                    .id,
            ),
        }
    };
    store::set_webhook_endpoint_in_use(conn, now, provider, chosen).await?;
    Ok(chosen)
}

/// Creates an endpoint that is not in use; returns it with its secret.
///
/// # Errors
/// `endpoint_exists` if the address has an endpoint, `endpoints_full` at the maximum.
pub async fn create_endpoint(
    conn: &mut PgConnection,
    keyring: &Keyring,
    now: OffsetDateTime,
    provider: &ProviderId,
    address: &str,
) -> Result<(WebhookEndpoint, String), Error> {
    let endpoints = store::webhook_endpoints(conn, provider).await?;
    if find_by_address(keyring, provider, &endpoints, address)?.is_some() {
        return Err(Problem::new(
            Kind::Conflict,
            "endpoint_exists",
            "There is an endpoint with this address; list your endpoints, and rotate its secret if you need another.",
        )
        .field("url")
        .into());
    }
    let secret = new_secret();
    let endpoint = insert(
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

/// Gives an endpoint a new secret. Until the overlap ends, messages are signed with the previous one too.
pub async fn rotate_secret(
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

async fn insert(
    conn: &mut PgConnection,
    keyring: &Keyring,
    now: OffsetDateTime,
    provider: &ProviderId,
    existing: &[WebhookEndpoint],
    address: &str,
    secret: Option<&str>,
) -> Result<WebhookEndpoint, Error> {
    if existing.len() >= MAX_ENDPOINTS {
        return Err(Problem::new(
            Kind::FailedPrecondition,
            "endpoints_full",
            format!(
                "A provider has at most {MAX_ENDPOINTS} endpoints; delete one that is not in use."
            ),
        )
        .into());
    }
    let id = Uuid::now_v7();
    let endpoint = WebhookEndpoint {
        id,
        address: seal(keyring, Purpose::Endpoint, provider, id, address),
        secret: secret.map(|secret| seal(keyring, Purpose::Secret, provider, id, secret)),
        previous_secret: None,
        previous_secret_until: None,
        in_use: false,
        created_at: now,
        retired_at: None,
    };
    store::insert_webhook_endpoint(conn, provider, &endpoint).await?;
    Ok(endpoint)
}

fn find_by_address<'a>(
    keyring: &Keyring,
    provider: &ProviderId,
    endpoints: &'a [WebhookEndpoint],
    address: &str,
) -> Result<Option<&'a WebhookEndpoint>, Error> {
    for endpoint in endpoints {
        if open_endpoint_address(keyring, provider, endpoint.id, &endpoint.address)?.text()?
            == address
        {
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

/// Opens the address of an endpoint.
pub fn open_endpoint_address(
    keyring: &Keyring,
    provider: &ProviderId,
    endpoint: Uuid,
    sealed: &[u8],
) -> Result<UnsealedValue, SealedError> {
    keyring.open_provider(Purpose::Endpoint, provider.as_str(), endpoint, sealed)
}

/// Opens an endpoint: its address and its valid secrets, the current one first.
pub fn webhook_target(
    keyring: &Keyring,
    provider: &ProviderId,
    endpoint: &WebhookEndpoint,
    now: OffsetDateTime,
) -> Result<WebhookTarget, SealedError> {
    let previous = endpoint
        .previous_secret_until
        .is_some_and(|until| now < until);
    let previous = endpoint.previous_secret.as_ref().filter(|_| previous);
    let secrets = endpoint.secret.iter().chain(previous).map(|sealed| {
        let secret =
            keyring.open_provider(Purpose::Secret, provider.as_str(), endpoint.id, sealed)?;
        Webhook::new(secret.text()?).map_err(|_| SealedError::Malformed)
    });
    Ok(WebhookTarget {
        address: open_endpoint_address(keyring, provider, endpoint.id, &endpoint.address)?,
        secrets: secrets.collect::<Result<_, _>>()?,
    })
}

fn new_secret() -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(random::<32>()))
}
