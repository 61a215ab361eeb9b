//! Replies given under idempotency keys.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::Error;

/// A stored reply.
pub struct IdempotencyReceipt {
    pub actor: String,
    pub key: String,
    pub body_mac: Vec<u8>,
    pub reply: Vec<u8>,
}

/// The receipts of these (actor, key) pairs.
pub async fn receipts(
    conn: &mut PgConnection,
    actors: &[&str],
    keys: &[&str],
) -> Result<Vec<IdempotencyReceipt>, Error> {
    let rows: Vec<(String, String, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "-- receipts
        select r.actor, r.key, r.body_mac, r.reply
        from unnest($1::text[], $2::text[]) as k (actor, key)
        join idempotency_receipt r on r.actor = k.actor and r.key = k.key",
    )
    .bind(actors)
    .bind(keys)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(actor, key, body_mac, reply)| IdempotencyReceipt {
            actor,
            key,
            body_mac,
            reply,
        })
        .collect())
}

/// Inserts receipts. A receipt that a concurrent call inserted stays: both did the same work and have the
/// same reply.
pub async fn insert_receipts(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    receipts: &[IdempotencyReceipt],
) -> Result<(), Error> {
    if receipts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- insert_receipts
        insert into idempotency_receipt (actor, key, body_mac, reply, replied_at)
        select r.actor, r.key, r.body_mac, r.reply, $5
        from unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[]) as r (actor, key, body_mac, reply)
        order by r.actor, r.key
        on conflict (actor, key) do nothing",
    )
    .bind(receipts.iter().map(|r| r.actor.as_str()).collect::<Vec<_>>())
    .bind(receipts.iter().map(|r| r.key.as_str()).collect::<Vec<_>>())
    .bind(
        receipts
            .iter()
            .map(|r| r.body_mac.as_slice())
            .collect::<Vec<_>>(),
    )
    .bind(
        receipts
            .iter()
            .map(|r| r.reply.as_slice())
            .collect::<Vec<_>>(),
    )
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes up to `limit` receipts from before `before`; returns how many.
pub async fn drop_receipts(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, Error> {
    let done = sqlx::query(
        "-- drop_receipts
        delete from idempotency_receipt
        where (actor, key) in (
            select actor, key from idempotency_receipt where replied_at < $1 order by replied_at limit $2
        )",
    )
    .bind(before)
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Locks these keys until the end of the transaction. Every caller locks in the same order, which prevents
/// deadlocks.
pub async fn lock_idempotency_keys(
    conn: &mut PgConnection,
    actors: &[&str],
    keys: &[&str],
) -> Result<(), Error> {
    if actors.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- lock_idempotency_keys
        select pg_advisory_xact_lock(k.lock)
        from (
            select distinct hashtextextended(a.actor || chr(10) || a.key, 0) as lock
            from unnest($1::text[], $2::text[]) as a (actor, key)
            order by 1
        ) k",
    )
    .bind(actors)
    .bind(keys)
    .execute(conn)
    .await?;
    Ok(())
}
