//! Idempotency: which keys were used, for what, and what was answered.

use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

/// A key that somebody sent.
pub struct Key<'a> {
    pub id: Uuid,
    pub principal: &'a str,
    pub name: &'a str,
    pub body: &'a [u8; 32],
}

/// A key that was used before.
pub struct Used {
    pub id: Uuid,
    pub principal: String,
    pub key: String,
    pub body: Vec<u8>,
    /// Sealed.
    pub response: Vec<u8>,
}

/// Takes keys that nobody has used; `keys` is sorted. Returns the ids of those that were taken. A key that a
/// neighbour is writing is waited for.
pub async fn take(
    conn: &mut PgConnection,
    keys: &[Key<'_>],
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = keys.iter().map(|k| k.id).collect();
    let principals: Vec<&str> = keys.iter().map(|k| k.principal).collect();
    let names: Vec<&str> = keys.iter().map(|k| k.name).collect();
    let bodies: Vec<&[u8]> = keys.iter().map(|k| k.body.as_slice()).collect();
    sqlx::query_scalar(
        "-- take_keys
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
    .bind(bodies)
    .bind(now)
    .fetch_all(conn)
    .await
}

/// What was answered under these keys.
pub async fn used(conn: &mut PgConnection, keys: &[Key<'_>]) -> sqlx::Result<Vec<Used>> {
    let principals: Vec<&str> = keys.iter().map(|k| k.principal).collect();
    let names: Vec<&str> = keys.iter().map(|k| k.name).collect();
    let rows = sqlx::query(
        "-- used_keys
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
            Ok(Used {
                id: row.try_get("id")?,
                principal: row.try_get("principal")?,
                key: row.try_get("key")?,
                body: row.try_get("body_mac")?,
                response: row.try_get("response")?,
            })
        })
        .collect()
}

/// Lets go of keys (each with its principal) taken in this transaction.
pub async fn give_back(conn: &mut PgConnection, keys: &[(&str, &str)]) -> sqlx::Result<()> {
    let (principals, names): (Vec<&str>, Vec<&str>) = keys.iter().copied().unzip();
    let done = sqlx::query(
        "-- give_back_keys
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

/// Keeps the sealed answers of keys taken in this transaction.
pub async fn answer(
    conn: &mut PgConnection,
    answers: &[(Uuid, &str, &str, Vec<u8>)],
) -> sqlx::Result<()> {
    let principals: Vec<&str> = answers.iter().map(|a| a.1).collect();
    let names: Vec<&str> = answers.iter().map(|a| a.2).collect();
    let responses: Vec<&[u8]> = answers.iter().map(|a| a.3.as_slice()).collect();
    let done = sqlx::query(
        "-- answer_keys
        update submission s set response = a.response
        from unnest($1::text[], $2::text[], $3::bytea[]) as a (principal, key, response)
        where s.principal = a.principal and s.key = a.key",
    )
    .bind(principals)
    .bind(names)
    .bind(responses)
    .execute(conn)
    .await?;
    if done.rows_affected() == answers.len() as u64 {
        Ok(())
    } else {
        Err(sqlx::Error::RowNotFound)
    }
}
