//! SQL of shard ownership and of assigning positions. The relay decides when to run it. Shard rows are always
//! locked in ascending order.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::failpoint::{self, Failpoint};

/// Selects between two forms of a statement that finds events without a position. The second is a fail point:
/// it takes the highest `seq` seen so far for the end of what is committed, and so loses events.
macro_rules! unless_failpoint {
    ($before:literal, $after:literal) => {
        if failpoint::is_active(Failpoint::NaiveCursor) {
            concat!(
                $before,
                " and e.seq > coalesce((select h.seq from event h
                    join log_shard l on l.shard = h.shard and l.position = h.position where l.shard = e.shard), 0)",
                $after
            )
        } else {
            concat!($before, $after)
        }
    };
}

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

/// Those of `shards` that have events without a position. Takes no lock, so an idle relay blocks nothing.
pub(super) async fn unpositioned(
    conn: &mut PgConnection,
    shards: &[i16],
) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar(unless_failpoint!(
        "-- unpositioned
        select s.shard from unnest($1::smallint[]) as s (shard)
        cross join lateral (
            select from event e where e.shard = s.shard and e.position is null",
        " limit 1
        ) e"
    ))
    .bind(shards)
    .fetch_all(conn)
    .await
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

/// Result of one batch of assigned positions.
pub(super) struct AssignedPositions {
    /// Sum of the positions by which the heads advanced.
    pub(super) moved: i64,
    /// Events by kind.
    pub(super) kinds: Vec<(String, i64)>,
}

impl AssignedPositions {
    pub(super) fn events(&self) -> i64 {
        self.kinds.iter().map(|(_, count)| count).sum()
    }
}

/// Assigns the next positions to at most `limit` events of each locked shard, in order of `seq`, and advances
/// the heads. `heads` is the result of [`lock_owned`].
pub(super) async fn assign_positions(
    conn: &mut PgConnection,
    heads: &[(i16, i64)],
    limit: i64,
) -> sqlx::Result<AssignedPositions> {
    let (shards, positions): (Vec<i16>, Vec<i64>) = heads.iter().copied().unzip();
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(unless_failpoint!(
        "-- assign_positions
        with picked as (
            select e.shard, e.seq, e.inserted_at,
                h.position + row_number() over (partition by e.shard order by e.seq) as position
            from unnest($1::smallint[], $2::bigint[]) as h (shard, position)
            cross join lateral (
                select e.shard, e.seq, e.inserted_at from event e
                where e.shard = h.shard and e.position is null",
        "
                order by e.seq limit $3
            ) e
        ), assigned as (
            update event e set position = p.position
            from picked p
            where e.shard = p.shard and e.seq = p.seq and e.inserted_at = p.inserted_at and e.position is null
            returning e.shard, e.position, e.id, e.kind
        ), moved as (
            update log_shard s set position = t.position, event_id = t.id
            from (select distinct on (shard) shard, position, id from assigned order by shard, position desc) t
            where s.shard = t.shard
            returning s.shard, s.position
        )
        select kind, count(*),
            (select coalesce(sum(m.position - h.position), 0)::bigint
             from moved m join unnest($1::smallint[], $2::bigint[]) as h (shard, position) on h.shard = m.shard)
        from assigned group by kind"
    ))
    .bind(shards)
    .bind(positions)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(AssignedPositions {
        moved: rows.first().map_or(0, |(.., moved)| *moved),
        kinds: rows
            .into_iter()
            .map(|(kind, count, _)| (kind, count))
            .collect(),
    })
}
