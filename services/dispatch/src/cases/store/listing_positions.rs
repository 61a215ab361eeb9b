//! Positions in the providers' listings.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;

use crate::Error;

/// Reserves the given number of consecutive positions per provider; returns the position before the first.
/// The rows are locked in ascending order until the commit, so that positions become visible in their order.
pub async fn reserve_listing_positions(
    conn: &mut PgConnection,
    wanted: &BTreeMap<String, i64>,
) -> Result<HashMap<String, i64>, Error> {
    let providers: Vec<&str> = wanted.keys().map(String::as_str).collect();
    let counts: Vec<i64> = wanted.values().copied().collect();
    let last: Vec<(String, i64)> = sqlx::query_as(
        "-- reserve_listing_positions
        insert into provider_listing (provider_id, last_position)
        select w.provider_id, w.wanted
        from unnest($1::text[], $2::bigint[]) as w (provider_id, wanted)
        order by w.provider_id
        on conflict (provider_id) do update set last_position = provider_listing.last_position + excluded.last_position
        returning provider_id, last_position",
    )
    .bind(providers)
    .bind(counts)
    .fetch_all(conn)
    .await?;
    Ok(last
        .into_iter()
        .map(|(provider, last)| {
            let reserved = wanted.get(&provider).copied().unwrap_or_default();
            (provider, last - reserved)
        })
        .collect())
}
