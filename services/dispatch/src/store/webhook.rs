//! Where providers take webhooks. Sealed values pass through as they are.

use domain::id::ProviderId;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::Reader;
use crate::Error;

/// The row of an endpoint; its columns are explained in the migration.
#[derive(Clone)]
pub struct WebhookEndpoint {
    pub id: Uuid,
    pub address: Vec<u8>,
    pub secret: Option<Vec<u8>>,
    pub former_secret: Option<Vec<u8>>,
    pub former_until: Option<OffsetDateTime>,
    pub in_use: bool,
    pub created_at: OffsetDateTime,
    pub gone_at: Option<OffsetDateTime>,
}

/// A provider's endpoints, the newest first. The provider's row is locked where they are to be changed.
pub async fn webhook_endpoints(
    conn: &mut PgConnection,
    provider: &ProviderId,
) -> Result<Vec<WebhookEndpoint>, Error> {
    let rows = sqlx::query(
        "-- webhook_endpoints
        select endpoint_id, address, secret, former_secret, former_until, in_use, created_at, gone_at
        from webhook_endpoint
        where provider_id = $1
        order by created_at desc, endpoint_id",
    )
    .bind(provider.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(webhook_endpoint).collect()
}

/// Keeps a new endpoint, not in use.
pub async fn put_webhook_endpoint(
    conn: &mut PgConnection,
    provider: &ProviderId,
    endpoint: &WebhookEndpoint,
) -> Result<(), Error> {
    sqlx::query(
        "-- put_webhook_endpoint
        insert into webhook_endpoint (endpoint_id, provider_id, address, secret, in_use, used_since, created_at)
        values ($1, $2, $3, $4, false, $5, $5)",
    )
    .bind(endpoint.id)
    .bind(provider.as_str())
    .bind(&endpoint.address)
    .bind(&endpoint.secret)
    .bind(endpoint.created_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notices go to this endpoint of the provider from now on, or to none. One that was gone is tried again.
pub async fn use_webhook_endpoint(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    provider: &ProviderId,
    chosen: Option<Uuid>,
) -> Result<(), Error> {
    // Two statements: at no moment may two be in use.
    sqlx::query(
        "-- unuse_webhook_endpoints
        update webhook_endpoint set in_use = false
        where provider_id = $1 and in_use and endpoint_id is distinct from $2",
    )
    .bind(provider.as_str())
    .bind(chosen)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "-- use_webhook_endpoint
        update webhook_endpoint set in_use = true, used_since = $3, gone_at = null
        where provider_id = $1 and endpoint_id = $2",
    )
    .bind(provider.as_str())
    .bind(chosen)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// A new secret; the one before it goes on until then.
pub async fn rotate_webhook_secret(
    conn: &mut PgConnection,
    endpoint: Uuid,
    secret: &[u8],
    former_until: Option<OffsetDateTime>,
) -> Result<(), Error> {
    sqlx::query(
        "-- rotate_webhook_secret
        update webhook_endpoint set
            former_secret = case when $3::timestamptz is null then null else secret end,
            former_until = case when secret is null then null else $3 end,
            secret = $2
        where endpoint_id = $1",
    )
    .bind(endpoint)
    .bind(secret)
    .bind(former_until)
    .execute(conn)
    .await?;
    Ok(())
}

/// An endpoint that was gone took a message: it is not gone.
pub async fn revive_webhook_endpoint(
    conn: &mut PgConnection,
    endpoint: Uuid,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "-- revive_webhook_endpoint
        update webhook_endpoint set gone_at = null where endpoint_id = $1 and gone_at is not null",
    )
    .bind(endpoint)
    .execute(&mut *conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn delete_webhook_endpoint(conn: &mut PgConnection, endpoint: Uuid) -> Result<(), Error> {
    sqlx::query("-- delete_webhook_endpoint\ndelete from webhook_endpoint where endpoint_id = $1")
        .bind(endpoint)
        .execute(conn)
        .await?;
    Ok(())
}

/// The endpoint in use of a provider is gone, if it is still the one that was tried then; tells whether that is news.
pub async fn retire_webhook(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    provider: &str,
    tried_at: OffsetDateTime,
) -> Result<bool, Error> {
    let retired = sqlx::query(
        "-- retire_webhook
        update webhook_endpoint set gone_at = $2
        where provider_id = $1 and in_use and gone_at is null and used_since <= $3",
    )
    .bind(provider)
    .bind(now)
    .bind(tried_at)
    .execute(&mut *conn)
    .await?
    .rows_affected()
        == 1;
    if retired {
        super::directory_changed(conn).await?;
    }
    Ok(retired)
}

/// The columns of an endpoint.
pub fn webhook_endpoint(row: &PgRow) -> Result<WebhookEndpoint, Error> {
    let id: Uuid = row.try_get("endpoint_id")?;
    let r = Reader {
        table: "webhook_endpoint",
        id,
        row,
    };
    Ok(WebhookEndpoint {
        id,
        address: r.get("address")?,
        secret: r.get("secret")?,
        former_secret: r.get("former_secret")?,
        former_until: r.get("former_until")?,
        in_use: r.get("in_use")?,
        created_at: r.get("created_at")?,
        gone_at: r.get("gone_at")?,
    })
}
