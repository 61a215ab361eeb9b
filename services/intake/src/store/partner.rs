//! Statements on partners and the usage of their quotas.

use domain::enums::ReportChannel;
use domain::id::PartnerId;
use sqlx::{PgConnection, Row, postgres::PgRow};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::error::Error;

pub struct Partner {
    pub id: PartnerId,
    pub name: String,
    pub channel: ReportChannel,
    pub daily_quota: u32,
    pub created_at: OffsetDateTime,
    pub revoked_at: Option<OffsetDateTime>,
}

fn partner(row: &PgRow) -> Result<Partner, Error> {
    let id: Uuid = row.try_get("id")?;
    let channel: &str = row.try_get("channel")?;
    let bad = |column| Error::BadRow {
        table: "partner",
        column,
        id: id.to_string(),
    };
    Ok(Partner {
        id: PartnerId::new(id),
        name: row.try_get("name")?,
        channel: channel.parse().map_err(|_| bad("channel"))?,
        daily_quota: u32::try_from(row.try_get::<i32, _>("daily_quota")?)
            .map_err(|_| bad("daily_quota"))?,
        created_at: row.try_get("created_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

/// Inserts a partner. Returns false if the name exists already.
pub async fn insert(
    conn: &mut PgConnection,
    partner: &Partner,
    key_hash: &[u8; 32],
    vouched: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "-- insert_partner
        insert into partner (id, name, channel, key_hash, daily_quota, created_at, vouched)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (name) do nothing",
    )
    .bind(partner.id.uuid())
    .bind(&partner.name)
    .bind(partner.channel.as_str())
    .bind(key_hash.as_slice())
    .bind(partner.daily_quota.cast_signed())
    .bind(partner.created_at)
    .bind(vouched)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// All partners, ordered by name.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Partner>, Error> {
    let rows = sqlx::query(
        "-- list_partners
        select id, name, channel, daily_quota, created_at, revoked_at from partner order by name",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(partner).collect()
}

/// The stored part of a partner's key.
pub struct StoredKey {
    /// SHA-256 of its secret.
    pub hash: Vec<u8>,
    /// `None` in a row that intake did not insert.
    pub vouched: Option<Vec<u8>>,
}

/// The partner with its key, unless the key is revoked.
pub async fn find_by_id(
    conn: &mut PgConnection,
    id: PartnerId,
) -> Result<Option<(Partner, StoredKey)>, Error> {
    let row = sqlx::query(
        "-- find_partner_by_id
        select id, name, channel, key_hash, daily_quota, created_at, revoked_at, vouched
        from partner where id = $1 and revoked_at is null",
    )
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let key = StoredKey {
            hash: row.try_get("key_hash")?,
            vouched: row.try_get("vouched")?,
        };
        Ok((partner(&row)?, key))
    })
    .transpose()
}

/// Revokes a partner's key. Returns false if the partner does not exist. A repeat succeeds and changes
/// nothing.
pub async fn revoke(
    conn: &mut PgConnection,
    id: PartnerId,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "-- revoke_partner
        update partner set revoked_at = coalesce(revoked_at, $2) where id = $1",
    )
    .bind(id.uuid())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Locks the partner's row of the day, inserting it if necessary, and returns the reports counted so far.
pub async fn lock_usage(conn: &mut PgConnection, id: PartnerId, day: Date) -> sqlx::Result<u32> {
    let used: i32 = sqlx::query_scalar(
        "-- lock_usage
        insert into quota_usage (partner_id, day, used) values ($1, $2, 0)
        on conflict (partner_id, day) do update set used = quota_usage.used
        returning used",
    )
    .bind(id.uuid())
    .bind(day)
    .fetch_one(conn)
    .await?;
    Ok(used.cast_unsigned())
}

/// Adds to the row that [`lock_usage`] locked.
pub async fn add_usage(
    conn: &mut PgConnection,
    id: PartnerId,
    day: Date,
    more: u32,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- add_usage
        update quota_usage set used = used + $3 where partner_id = $1 and day = $2",
    )
    .bind(id.uuid())
    .bind(day)
    .bind(more.cast_signed())
    .execute(conn)
    .await?;
    Ok(())
}
