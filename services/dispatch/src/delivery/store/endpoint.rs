//! Statements about endpoints: their contacts, their health, and the messages that wait for them.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::delivery::breaker::EndpointHealth;
use crate::delivery::endpoint_slots::EndpointKey;
use crate::directory::{WebhookEndpoint, webhook_endpoint};

/// The health of these endpoints, locked, in their order; the default (healthy) where none is stored.
pub(in crate::delivery) async fn lock_health(
    conn: &mut PgConnection,
    endpoints: &[EndpointKey],
) -> sqlx::Result<Vec<EndpointHealth>> {
    let providers: Vec<&str> = endpoints.iter().map(|(p, _)| p.as_str()).collect();
    let channels: Vec<&str> = endpoints.iter().map(|(_, c)| c.as_str()).collect();
    let rows = sqlx::query(
        "-- lock_health
        select h.provider_id, h.channel, h.failures, h.open_until, h.retry_after
        from endpoint_health h
        join unnest($1::text[], $2::text[]) as l (provider_id, channel) using (provider_id, channel)
        order by h.provider_id, h.channel
        for update of h",
    )
    .bind(providers)
    .bind(channels)
    .fetch_all(conn)
    .await?;
    let mut known: HashMap<(&str, &str), EndpointHealth> = HashMap::new();
    for row in &rows {
        let health = EndpointHealth {
            failures: row.try_get::<i32, _>("failures")?.cast_unsigned(),
            open_until: row.try_get("open_until")?,
            retry_after: row.try_get("retry_after")?,
        };
        known.insert(
            (row.try_get("provider_id")?, row.try_get("channel")?),
            health,
        );
    }
    Ok(endpoints
        .iter()
        .map(|(p, c)| known.remove(&(p.as_str(), c.as_str())).unwrap_or_default())
        .collect())
}

pub(in crate::delivery) async fn store_health(
    conn: &mut PgConnection,
    rows: &[(EndpointKey, EndpointHealth)],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let providers: Vec<&str> = rows.iter().map(|((p, _), _)| p.as_str()).collect();
    let channels: Vec<&str> = rows.iter().map(|((_, c), _)| c.as_str()).collect();
    let failures: Vec<i32> = rows.iter().map(|(_, h)| h.failures.cast_signed()).collect();
    let open: Vec<_> = rows.iter().map(|(_, h)| h.open_until).collect();
    let retry_after: Vec<_> = rows.iter().map(|(_, h)| h.retry_after).collect();
    sqlx::query(
        "-- store_health
        insert into endpoint_health (provider_id, channel, failures, open_until, retry_after)
        select provider_id, channel, failures, open_until, retry_after
        from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::timestamptz[])
            as n (provider_id, channel, failures, open_until, retry_after)
        order by provider_id, channel
        on conflict (provider_id, channel) do update set
            failures = excluded.failures, open_until = excluded.open_until, retry_after = excluded.retry_after",
    )
    .bind(providers)
    .bind(channels)
    .bind(failures)
    .bind(open)
    .bind(retry_after)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the messages that wait for a recovered endpoint due at once. Runs in its own transaction because it
/// locks rows of any case: rows locked by another transaction keep their due time.
pub(in crate::delivery) async fn make_due(
    pool: &PgPool,
    endpoint: &EndpointKey,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- make_due
        update delivery set due_at = $3
        where notice_id in (
            select notice_id from delivery
            where provider_id = $1 and channel = $2 and due_at > $3 and lease_token is null and attempts > 0
            for update skip locked)",
    )
    .bind(endpoint.0.as_str())
    .bind(endpoint.1.as_str())
    .bind(now)
    .execute(pool)
    .await?;
    Ok(())
}

/// A provider's contacts as stored.
pub(in crate::delivery) struct EndpointRow {
    pub(in crate::delivery) row_id: Uuid,
    pub(in crate::delivery) contact: Option<Vec<u8>>,
    pub(in crate::delivery) webhook: Option<WebhookEndpoint>,
}

pub(in crate::delivery) async fn load_endpoints(
    conn: &mut PgConnection,
    providers: &[&str],
) -> Result<HashMap<String, EndpointRow>, Error> {
    let rows = sqlx::query(
        "-- load_endpoints
        select p.provider_id, p.row_id, p.contact, e.endpoint_id, e.address, e.secret, e.previous_secret, e.previous_secret_until,
            e.in_use, e.created_at, e.retired_at
        from provider p
        left join webhook_endpoint e on e.provider_id = p.provider_id and e.in_use and e.retired_at is null
        where p.provider_id = any($1)",
    )
    .bind(providers)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let has_webhook = row.try_get::<Option<Uuid>, _>("endpoint_id")?.is_some();
            let endpoint = EndpointRow {
                row_id: row.try_get("row_id")?,
                contact: row.try_get("contact")?,
                webhook: has_webhook.then(|| webhook_endpoint(row)).transpose()?,
            };
            Ok((row.try_get("provider_id")?, endpoint))
        })
        .collect()
}
