//! Keys of providers' own access.

use domain::id::ProviderId;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::Reader;
use crate::Error;

/// A key that is not revoked, as it is checked.
pub struct ProviderKey {
    pub provider_id: ProviderId,
    pub secret_hash: Vec<u8>,
    pub scopes: Vec<String>,
    /// What the service vouched for when it made the key; none in a row that it did not make.
    pub vouched: Option<Vec<u8>>,
}

pub async fn provider_key(
    conn: &mut PgConnection,
    key_id: Uuid,
) -> Result<Option<ProviderKey>, Error> {
    let row = sqlx::query(
        "-- provider_key
        select provider_id, secret_hash, scopes, vouched from provider_key where key_id = $1 and revoked_at is null",
    )
    .bind(key_id)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let r = Reader {
            table: "provider_key",
            id: key_id,
            row: &row,
        };
        Ok(ProviderKey {
            provider_id: r.parse("provider_id")?,
            secret_hash: row.try_get("secret_hash")?,
            scopes: row.try_get("scopes")?,
            vouched: row.try_get("vouched")?,
        })
    })
    .transpose()
}

/// Keeps a new key. `false` when there is no such provider.
pub async fn put_provider_key(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    key_id: Uuid,
    key: &ProviderKey,
    by: Uuid,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "-- put_provider_key
        insert into provider_key (key_id, provider_id, secret_hash, scopes, created_at, created_by, vouched)
        select $1, p.provider_id, $3, $4, $5, $6, $7 from provider p where p.provider_id = $2",
    )
    .bind(key_id)
    .bind(key.provider_id.as_str())
    .bind(&key.secret_hash)
    .bind(&key.scopes)
    .bind(now)
    .bind(by)
    .bind(&key.vouched)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// `false` when there is no such key. A key that is revoked stays as it is.
pub async fn revoke_provider_key(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    key_id: Uuid,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "-- revoke_provider_key
        update provider_key set revoked_at = coalesce(revoked_at, $2) where key_id = $1",
    )
    .bind(key_id)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
