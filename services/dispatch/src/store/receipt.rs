//! What was answered under an idempotency key.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::Error;

/// A reply that was given.
pub struct Receipt {
    pub actor: String,
    pub key: String,
    pub body_mac: Vec<u8>,
    pub reply: Vec<u8>,
}

/// The receipts under these (actor, key).
pub async fn receipts(
    conn: &mut PgConnection,
    actors: &[&str],
    keys: &[&str],
) -> Result<Vec<Receipt>, Error> {
    let rows: Vec<(String, String, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "-- receipts
        select r.actor, r.key, r.body_mac, r.reply
        from unnest($1::text[], $2::text[]) as k (actor, key)
        join answer_receipt r on r.actor = k.actor and r.key = k.key",
    )
    .bind(actors)
    .bind(keys)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(actor, key, body_mac, reply)| Receipt {
            actor,
            key,
            body_mac,
            reply,
        })
        .collect())
}

/// Keeps receipts. One that a neighbour wrote meanwhile stays: the work is the same, and so is the answer.
pub async fn put_receipts(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    receipts: &[Receipt],
) -> Result<(), Error> {
    if receipts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- put_receipts
        insert into answer_receipt (actor, key, body_mac, reply, given_at)
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

/// Drops up to `limit` receipts given before `before`; tells how many.
pub async fn drop_receipts(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, Error> {
    let done = sqlx::query(
        "-- drop_receipts
        delete from answer_receipt
        where (actor, key) in (
            select actor, key from answer_receipt where given_at < $1 order by given_at limit $2
        )",
    )
    .bind(before)
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Holds these keys until the end of the transaction, in one order for everybody.
pub async fn lock_keys(
    conn: &mut PgConnection,
    actors: &[&str],
    keys: &[&str],
) -> Result<(), Error> {
    if actors.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- lock_keys
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
