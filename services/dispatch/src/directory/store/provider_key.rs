//! Keys of providers' own access.

use domain::id::ProviderId;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::row::RowReader;

/// The part of a key that authentication checks.
pub struct ProviderKey {
    pub provider_id: ProviderId,
    pub secret_hash: Vec<u8>,
    pub scopes: Vec<String>,
    /// MAC by which the service vouched for the key when it created it; `None` in a row that it did not
    /// create.
    pub vouched: Option<Vec<u8>>,
}

/// A key with its details.
pub struct KeyRow {
    pub key: ProviderKey,
    pub name: String,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
}

impl KeyRow {
    /// Whether the key is neither revoked nor expired.
    pub fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A valid key, for authentication.
pub async fn provider_key(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    key_id: Uuid,
) -> Result<Option<ProviderKey>, Error> {
    let row = sqlx::query(
        "-- provider_key
        select key_id, provider_id, secret_hash, scopes, vouched, name, created_at, expires_at, revoked_at
        from provider_key where key_id = $1",
    )
    .bind(key_id)
    .fetch_optional(conn)
    .await?;
    let row = row.as_ref().map(key).transpose()?;
    Ok(row
        .filter(|(_, row)| row.is_valid(now))
        .map(|(_, row)| row.key))
}

/// Locks one key.
pub async fn lock_provider_key(
    conn: &mut PgConnection,
    key_id: Uuid,
) -> Result<Option<KeyRow>, Error> {
    let row = sqlx::query(
        "-- lock_provider_key
        select key_id, provider_id, secret_hash, scopes, vouched, name, created_at, expires_at, revoked_at
        from provider_key where key_id = $1 for update",
    )
    .bind(key_id)
    .fetch_optional(conn)
    .await?;
    Ok(row.as_ref().map(key).transpose()?.map(|(_, row)| row))
}

/// The keys of a provider with their ids, the newest first.
pub async fn provider_keys(
    conn: &mut PgConnection,
    provider: &ProviderId,
) -> Result<Vec<(Uuid, KeyRow)>, Error> {
    let rows = sqlx::query(
        "-- provider_keys
        select key_id, provider_id, secret_hash, scopes, vouched, name, created_at, expires_at, revoked_at
        from provider_key where provider_id = $1
        order by created_at desc, key_id",
    )
    .bind(provider.as_str())
    .fetch_all(conn)
    .await?;
    rows.iter().map(key).collect()
}

/// Inserts a key of an existing provider.
pub async fn insert_provider_key(
    conn: &mut PgConnection,
    key_id: Uuid,
    row: &KeyRow,
    by: Uuid,
) -> Result<(), Error> {
    sqlx::query(
        "-- insert_provider_key
        insert into provider_key (key_id, provider_id, secret_hash, scopes, created_at, created_by, vouched, name)
        values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(key_id)
    .bind(row.key.provider_id.as_str())
    .bind(&row.key.secret_hash)
    .bind(&row.key.scopes)
    .bind(row.created_at)
    .bind(by)
    .bind(&row.key.vouched)
    .bind(&row.name)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a key expire at `end` at the latest.
pub async fn expire_provider_key(
    conn: &mut PgConnection,
    key_id: Uuid,
    end: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "-- expire_provider_key
        update provider_key set expires_at = least(expires_at, $2) where key_id = $1",
    )
    .bind(key_id)
    .bind(end)
    .execute(conn)
    .await?;
    Ok(())
}

/// Revokes a key. One that is revoked already keeps its time.
pub async fn revoke_provider_key(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    key_id: Uuid,
) -> Result<(), Error> {
    sqlx::query(
        "-- revoke_provider_key
        update provider_key set revoked_at = coalesce(revoked_at, $2) where key_id = $1",
    )
    .bind(key_id)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

fn key(row: &PgRow) -> Result<(Uuid, KeyRow), Error> {
    let id: Uuid = row.try_get("key_id")?;
    let r = RowReader {
        table: "provider_key",
        id,
        row,
    };
    let key = ProviderKey {
        provider_id: r.parse("provider_id")?,
        secret_hash: r.get("secret_hash")?,
        scopes: r.get("scopes")?,
        vouched: r.get("vouched")?,
    };
    let row = KeyRow {
        key,
        name: r.get("name")?,
        created_at: r.get("created_at")?,
        expires_at: r.get("expires_at")?,
        revoked_at: r.get("revoked_at")?,
    };
    Ok((id, row))
}
