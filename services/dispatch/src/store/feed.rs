//! The heads of the providers' listings.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;

use crate::Error;

/// Draws so many positions for each provider; tells the last one before them. The rows stay locked until the commit,
/// ascending, so that positions are seen in the order in which they were drawn.
pub async fn draw(
    conn: &mut PgConnection,
    wanted: &BTreeMap<String, i64>,
) -> Result<HashMap<String, i64>, Error> {
    let providers: Vec<&str> = wanted.keys().map(String::as_str).collect();
    let counts: Vec<i64> = wanted.values().copied().collect();
    let heads: Vec<(String, i64)> = sqlx::query_as(
        "-- draw_feed
        insert into provider_feed (provider_id, position)
        select w.provider_id, w.wanted
        from unnest($1::text[], $2::bigint[]) as w (provider_id, wanted)
        order by w.provider_id
        on conflict (provider_id) do update set position = provider_feed.position + excluded.position
        returning provider_id, position",
    )
    .bind(providers)
    .bind(counts)
    .fetch_all(conn)
    .await?;
    Ok(heads
        .into_iter()
        .map(|(provider, head)| {
            let drawn = wanted.get(&provider).copied().unwrap_or_default();
            (provider, head - drawn)
        })
        .collect())
}
