//! Idempotency keys of submissions, with their stored responses.

use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

/// An idempotency key of a submission.
pub struct SubmissionKey<'a> {
    pub id: Uuid,
    pub principal: &'a str,
    pub name: &'a str,
    pub body_mac: &'a [u8; 32],
}

/// A key that was used before.
pub struct UsedKey {
    pub id: Uuid,
    pub principal: String,
    pub key: String,
    pub body_mac: Vec<u8>,
    /// Sealed for the principal.
    pub response: Vec<u8>,
}

/// Inserts the keys that are unused and returns their ids. `keys` must be sorted. Waits for a concurrent
/// transaction that inserts one of the keys.
pub async fn reserve_keys(
    conn: &mut PgConnection,
    keys: &[SubmissionKey<'_>],
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = keys.iter().map(|k| k.id).collect();
    let principals: Vec<&str> = keys.iter().map(|k| k.principal).collect();
    let names: Vec<&str> = keys.iter().map(|k| k.name).collect();
    let body_macs: Vec<&[u8]> = keys.iter().map(|k| k.body_mac.as_slice()).collect();
    sqlx::query_scalar(
        "-- reserve_keys
        insert into submission (id, principal, key, body_mac, accepted_at)
        select s.id, s.principal, s.key, s.body_mac, $5
        from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
            with ordinality as s (id, principal, key, body_mac, n)
        order by s.n
        on conflict (principal, key) do nothing
        returning id",
    )
    .bind(ids)
    .bind(principals)
    .bind(names)
    .bind(body_macs)
    .bind(now)
    .fetch_all(conn)
    .await
}

/// The keys that have a response already.
pub async fn find_used_keys(
    conn: &mut PgConnection,
    keys: &[SubmissionKey<'_>],
) -> sqlx::Result<Vec<UsedKey>> {
    let principals: Vec<&str> = keys.iter().map(|k| k.principal).collect();
    let names: Vec<&str> = keys.iter().map(|k| k.name).collect();
    let rows = sqlx::query(
        "-- find_used_keys
        select s.id, s.principal, s.key, s.body_mac, s.response
        from submission s
        join unnest($1::text[], $2::text[]) as k (principal, key) on k.principal = s.principal and k.key = s.key
        where s.response is not null",
    )
    .bind(principals)
    .bind(names)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(UsedKey {
                id: row.try_get("id")?,
                principal: row.try_get("principal")?,
                key: row.try_get("key")?,
                body_mac: row.try_get("body_mac")?,
                response: row.try_get("response")?,
            })
        })
        .collect()
}

/// Deletes keys, given as (principal, key), that were reserved in this transaction.
pub async fn release_keys(conn: &mut PgConnection, keys: &[(&str, &str)]) -> sqlx::Result<()> {
    let (principals, names): (Vec<&str>, Vec<&str>) = keys.iter().copied().unzip();
    let done = sqlx::query(
        "-- release_keys
        delete from submission s
        using unnest($1::text[], $2::text[]) as k (principal, key)
        where s.principal = k.principal and s.key = k.key",
    )
    .bind(principals)
    .bind(names)
    .execute(conn)
    .await?;
    if done.rows_affected() == keys.len() as u64 {
        Ok(())
    } else {
        Err(sqlx::Error::RowNotFound)
    }
}

/// Stores the sealed responses of keys that were reserved in this transaction, as (id, principal, key,
/// response).
pub async fn store_responses(
    conn: &mut PgConnection,
    responses: &[(Uuid, &str, &str, Vec<u8>)],
) -> sqlx::Result<()> {
    let count = responses.len() as u64;
    let principals: Vec<&str> = responses.iter().map(|r| r.1).collect();
    let names: Vec<&str> = responses.iter().map(|r| r.2).collect();
    let responses: Vec<&[u8]> = responses.iter().map(|r| r.3.as_slice()).collect();
    let done = sqlx::query(
        "-- store_responses
        update submission s set response = r.response
        from unnest($1::text[], $2::text[], $3::bytea[]) as r (principal, key, response)
        where s.principal = r.principal and s.key = r.key",
    )
    .bind(principals)
    .bind(names)
    .bind(responses)
    .execute(conn)
    .await?;
    if done.rows_affected() == count {
        Ok(())
    } else {
        Err(sqlx::Error::RowNotFound)
    }
}
