//! SQL of publishing: the unpublished part of each shard, and how far it was published. `published_to` is
//! advanced only by the current owner of a shard and never decreases.

use sqlx::PgConnection;
use uuid::Uuid;

/// Of the shards that `owner` still owns under the given epochs, those with unpublished events, each with the
/// position to publish after. Takes no lock.
pub(super) async fn unpublished_shards(
    conn: &mut PgConnection,
    owner: Uuid,
    shards: &[i16],
    epochs: &[i64],
) -> sqlx::Result<Vec<(i16, i64)>> {
    sqlx::query_as(
        "-- unpublished_shards
        select s.shard, greatest(s.published_to, s.floor - 1)
        from log_shard s join unnest($2::smallint[], $3::bigint[]) as h (shard, epoch)
            on h.shard = s.shard and h.epoch = s.epoch
        where s.owner = $1 and s.published_to < s.position and s.floor <= s.position
        order by s.shard",
    )
    .bind(owner)
    .bind(shards)
    .bind(epochs)
    .fetch_all(conn)
    .await
}

/// How far one round published a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublishedTo {
    pub(super) shard: i16,
    /// The owner's epoch when the round began.
    pub(super) epoch: i64,
    pub(super) position: i64,
}

/// Advances `published_to` of those shards that `owner` still owns under the round's epoch. Returns these
/// shards.
pub(super) async fn advance_published_to(
    conn: &mut PgConnection,
    owner: Uuid,
    published: &[PublishedTo],
) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar(
        "-- advance_published_to
        with owned as (
            select s.shard, m.position
            from log_shard s
            join unnest($2::smallint[], $3::bigint[], $4::bigint[]) as m (shard, epoch, position)
                on m.shard = s.shard and m.epoch = s.epoch
            where s.owner = $1
            order by s.shard for update of s
        )
        update log_shard s set published_to = greatest(s.published_to, h.position)
        from owned h where s.shard = h.shard
        returning s.shard",
    )
    .bind(owner)
    .bind(published.iter().map(|m| m.shard).collect::<Vec<_>>())
    .bind(published.iter().map(|m| m.epoch).collect::<Vec<_>>())
    .bind(published.iter().map(|m| m.position).collect::<Vec<_>>())
    .fetch_all(conn)
    .await
}
