//! Partners, and what they have used of their quotas.

use domain::id::PartnerId;
use domain::word::ReportChannel;
use sqlx::{PgConnection, Row, postgres::PgRow};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::error::Error;

/// A partner as staff see it.
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

/// Writes a new partner. False when the name is taken.
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

/// All partners, by name.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Partner>, Error> {
    let rows = sqlx::query(
        "-- list_partners
        select id, name, channel, daily_quota, created_at, revoked_at from partner order by name",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(partner).collect()
}

/// How a partner's key is known again.
pub struct Kept {
    /// Of its secret.
    pub hash: Vec<u8>,
    /// None in a row that intake did not make.
    pub vouched: Option<Vec<u8>>,
}

/// The partner that a key names, if the key is not revoked.
pub async fn by_key(
    conn: &mut PgConnection,
    id: PartnerId,
) -> Result<Option<(Partner, Kept)>, Error> {
    let row = sqlx::query(
        "-- partner_by_key
        select id, name, channel, key_hash, daily_quota, created_at, revoked_at, vouched
        from partner where id = $1 and revoked_at is null",
    )
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let kept = Kept {
            hash: row.try_get("key_hash")?,
            vouched: row.try_get("vouched")?,
        };
        Ok((partner(&row)?, kept))
    })
    .transpose()
}

/// Ends a partner's key. False when there is no such partner; a second time is success.
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

/// Locks the day's row of a partner and gives what it has used so far.
pub async fn lock_use(conn: &mut PgConnection, id: PartnerId, day: Date) -> sqlx::Result<u32> {
    let used: i32 = sqlx::query_scalar(
        "-- lock_use
        insert into quota_use (partner_id, day, used) values ($1, $2, 0)
        on conflict (partner_id, day) do update set used = quota_use.used
        returning used",
    )
    .bind(id.uuid())
    .bind(day)
    .fetch_one(conn)
    .await?;
    Ok(used.cast_unsigned())
}

/// Adds to the locked row.
pub async fn add_use(
    conn: &mut PgConnection,
    id: PartnerId,
    day: Date,
    more: u32,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- add_use
        update quota_use set used = used + $3 where partner_id = $1 and day = $2",
    )
    .bind(id.uuid())
    .bind(day)
    .bind(more.cast_signed())
    .execute(conn)
    .await?;
    Ok(())
}
