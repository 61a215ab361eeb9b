//! The SQL of publishing: what a shard's owner has still to send, and how far it came.
//! Must not move `published_to` for anybody but the owner of that moment, and never back.

use sqlx::PgConnection;
use uuid::Uuid;

/// Of the shards that `owner` still holds under the given epochs, those with something unpublished: each with the
/// position to send after. Takes no lock.
pub(super) async fn waiting(
    conn: &mut PgConnection,
    owner: Uuid,
    shards: &[i16],
    epochs: &[i64],
) -> sqlx::Result<Vec<(i16, i64)>> {
    sqlx::query_as(
        "-- waiting_to_be_published
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

/// How far one round brought a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) shard: i16,
    /// The epoch under which its owner began the round.
    pub(super) epoch: i64,
    pub(super) to: i64,
}

/// Moves `published_to` of those shards that `owner` still holds under the round's epoch. Returns them.
pub(super) async fn moved(
    conn: &mut PgConnection,
    owner: Uuid,
    moved: &[Moved],
) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar(
        "-- move_published_to
        with held as (
            select s.shard, m.position
            from log_shard s
            join unnest($2::smallint[], $3::bigint[], $4::bigint[]) as m (shard, epoch, position)
                on m.shard = s.shard and m.epoch = s.epoch
            where s.owner = $1
            order by s.shard for update of s
        )
        update log_shard s set published_to = greatest(s.published_to, h.position)
        from held h where s.shard = h.shard
        returning s.shard",
    )
    .bind(owner)
    .bind(moved.iter().map(|m| m.shard).collect::<Vec<_>>())
    .bind(moved.iter().map(|m| m.epoch).collect::<Vec<_>>())
    .bind(moved.iter().map(|m| m.to).collect::<Vec<_>>())
    .fetch_all(conn)
    .await
}
