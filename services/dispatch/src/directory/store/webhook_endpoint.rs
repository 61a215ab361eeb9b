//! Rows of webhook endpoints. Sealed values pass through unopened.

use domain::id::ProviderId;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::row::RowReader;

/// The row of an endpoint; the migration explains its columns.
#[derive(Clone)]
pub struct WebhookEndpoint {
    pub id: Uuid,
    pub address: Vec<u8>,
    pub secret: Option<Vec<u8>>,
    pub previous_secret: Option<Vec<u8>>,
    pub previous_secret_until: Option<OffsetDateTime>,
    pub in_use: bool,
    pub created_at: OffsetDateTime,
    pub retired_at: Option<OffsetDateTime>,
}

/// A provider's endpoints, the newest first. A caller that changes them has locked the provider's row.
pub async fn webhook_endpoints(
    conn: &mut PgConnection,
    provider: &ProviderId,
) -> Result<Vec<WebhookEndpoint>, Error> {
    let rows = sqlx::query(
        "-- webhook_endpoints
        select endpoint_id, address, secret, previous_secret, previous_secret_until, in_use, created_at, retired_at
        from webhook_endpoint
        where provider_id = $1
        order by created_at desc, endpoint_id",
    )
    .bind(provider.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(webhook_endpoint).collect()
}

/// Inserts an endpoint that is not in use.
pub async fn insert_webhook_endpoint(
    conn: &mut PgConnection,
    provider: &ProviderId,
    endpoint: &WebhookEndpoint,
) -> Result<(), Error> {
    sqlx::query(
        "-- insert_webhook_endpoint
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

/// Sends the provider's notices to this endpoint from now on, or to none. A retired endpoint is reinstated.
pub async fn set_webhook_endpoint_in_use(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    provider: &ProviderId,
    chosen: Option<Uuid>,
) -> Result<(), Error> {
    // Two statements, because at no moment may two endpoints be in use.
    sqlx::query(
        "-- clear_webhook_endpoint_in_use
        update webhook_endpoint set in_use = false
        where provider_id = $1 and in_use and endpoint_id is distinct from $2",
    )
    .bind(provider.as_str())
    .bind(chosen)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "-- set_webhook_endpoint_in_use
        update webhook_endpoint set in_use = true, used_since = $3, retired_at = null
        where provider_id = $1 and endpoint_id = $2",
    )
    .bind(provider.as_str())
    .bind(chosen)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets a new secret; the previous one stays valid until `previous_secret_until`.
pub async fn rotate_webhook_secret(
    conn: &mut PgConnection,
    endpoint: Uuid,
    secret: &[u8],
    previous_secret_until: Option<OffsetDateTime>,
) -> Result<(), Error> {
    sqlx::query(
        "-- rotate_webhook_secret
        update webhook_endpoint set
            previous_secret = case when $3::timestamptz is null then null else secret end,
            previous_secret_until = case when secret is null then null else $3 end,
            secret = $2
        where endpoint_id = $1",
    )
    .bind(endpoint)
    .bind(secret)
    .bind(previous_secret_until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Reinstates a retired endpoint that accepted a message; returns whether it was retired.
pub async fn reinstate_webhook_endpoint(
    conn: &mut PgConnection,
    endpoint: Uuid,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "-- reinstate_webhook_endpoint
        update webhook_endpoint set retired_at = null where endpoint_id = $1 and retired_at is not null",
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

/// Retires the provider's endpoint in use, unless it came into use after the attempt at `tried_at`; returns
/// whether it was retired now.
pub async fn retire_webhook_endpoint(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    provider: &str,
    tried_at: OffsetDateTime,
) -> Result<bool, Error> {
    let retired = sqlx::query(
        "-- retire_webhook_endpoint
        update webhook_endpoint set retired_at = $2
        where provider_id = $1 and in_use and retired_at is null and used_since <= $3",
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

/// Reads the columns of an endpoint.
pub fn webhook_endpoint(row: &PgRow) -> Result<WebhookEndpoint, Error> {
    let id: Uuid = row.try_get("endpoint_id")?;
    let r = RowReader {
        table: "webhook_endpoint",
        id,
        row,
    };
    Ok(WebhookEndpoint {
        id,
        address: r.get("address")?,
        secret: r.get("secret")?,
        previous_secret: r.get("previous_secret")?,
        previous_secret_until: r.get("previous_secret_until")?,
        in_use: r.get("in_use")?,
        created_at: r.get("created_at")?,
        retired_at: r.get("retired_at")?,
    })
}
