//! SQL of shard ownership. The relay decides when to run it. Shard rows are always locked in ascending order.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Shards that a relay owns, each with the epoch under which it took it.
pub(super) type ShardEpochs = BTreeMap<i16, i64>;

#[derive(sqlx::FromRow)]
pub(super) struct ShardLease {
    pub(super) shard: i16,
    pub(super) owner: Option<Uuid>,
    pub(super) epoch: i64,
    pub(super) lease_until: Option<OffsetDateTime>,
}

pub(super) async fn lock_all(conn: &mut PgConnection) -> sqlx::Result<Vec<ShardLease>> {
    sqlx::query_as(
        "-- lock_all_shards
        select shard, owner, epoch, lease_until from log_shard order by shard for update",
    )
    .fetch_all(conn)
    .await
}

/// Marks `owner` as running until `until`, and returns how many relays are running at `now`.
pub(super) async fn mark_alive(
    conn: &mut PgConnection,
    owner: Uuid,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<i64> {
    sqlx::query(
        "-- mark_alive
        insert into log_relay (owner, alive_until) values ($1, $2)
        on conflict (owner) do update set alive_until = excluded.alive_until",
    )
    .bind(owner)
    .bind(until)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "-- delete_expired_relays
        delete from log_relay where alive_until < $1 and owner <> $2",
    )
    .bind(now)
    .bind(owner)
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "-- count_relays
        select count(*) from log_relay",
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn remove_relay(conn: &mut PgConnection, owner: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "-- remove_relay
        delete from log_relay where owner = $1",
    )
    .bind(owner)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes leases. The caller holds the locks of [`lock_all`].
pub(super) async fn take(
    conn: &mut PgConnection,
    owner: Uuid,
    shards: &ShardEpochs,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    let (shards, epochs): (Vec<i16>, Vec<i64>) = shards.iter().unzip();
    sqlx::query(
        "-- take_shards
        update log_shard s set owner = $1, epoch = h.epoch, lease_until = $4
        from unnest($2::smallint[], $3::bigint[]) as h (shard, epoch)
        where s.shard = h.shard",
    )
    .bind(owner)
    .bind(shards)
    .bind(epochs)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Releases shards; those that another relay has taken meanwhile are left alone.
pub(super) async fn release(
    conn: &mut PgConnection,
    owner: Uuid,
    shards: &[i16],
) -> sqlx::Result<()> {
    sqlx::query(
        "-- release_shards
        update log_shard set owner = null, lease_until = null where owner = $1 and shard = any($2)",
    )
    .bind(owner)
    .bind(shards)
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks those of the given shards that `owner` still owns under the given epochs. Returns their heads.
pub(super) async fn lock_owned(
    conn: &mut PgConnection,
    owner: Uuid,
    shards: &[i16],
    epochs: &[i64],
) -> sqlx::Result<Vec<(i16, i64)>> {
    sqlx::query_as(
        "-- lock_owned_shards
        select s.shard, s.position
        from log_shard s join unnest($2::smallint[], $3::bigint[]) as h (shard, epoch)
            on h.shard = s.shard and h.epoch = s.epoch
        where s.owner = $1
        order by s.shard for update of s",
    )
    .bind(owner)
    .bind(shards)
    .bind(epochs)
    .fetch_all(conn)
    .await
}
