//! Who stamps which shard: the SQL of shard leases and of stamping.
//! Must not decide when to run; the relay does. Shard rows are always locked in ascending order.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::plant::{self, Plant};

/// One of the two statements that find what has no position yet; the second is the plant, which takes the highest `seq`
/// it has seen for the end of what was committed.
macro_rules! unless_planted {
    ($before:literal, $after:literal) => {
        if plant::is(Plant::NaiveCursor) {
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

/// Shards that a relay holds, each with the epoch under which it took it.
pub(super) type Held = BTreeMap<i16, i64>;

#[derive(sqlx::FromRow)]
pub(super) struct ShardLease {
    pub(super) shard: i16,
    pub(super) owner: Option<Uuid>,
    pub(super) epoch: i64,
    pub(super) lease_until: Option<OffsetDateTime>,
}

pub(super) async fn lock_all(conn: &mut PgConnection) -> sqlx::Result<Vec<ShardLease>> {
    sqlx::query_as(
        "-- lock_all
        select shard, owner, epoch, lease_until from log_shard order by shard for update",
    )
    .fetch_all(conn)
    .await
}

/// Says that `owner` is alive until `until`, and returns how many relays are alive at `now`.
pub(super) async fn report_alive(
    conn: &mut PgConnection,
    owner: Uuid,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<i64> {
    sqlx::query(
        "-- report_alive
        insert into log_relay (owner, seen_until) values ($1, $2)
        on conflict (owner) do update set seen_until = excluded.seen_until",
    )
    .bind(owner)
    .bind(until)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "-- forget_gone_relays
        delete from log_relay where seen_until < $1 and owner <> $2",
    )
    .bind(now)
    .bind(owner)
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "-- count_alive_relays
        select count(*) from log_relay",
    )
    .fetch_one(conn)
    .await
}

pub(super) async fn report_gone(conn: &mut PgConnection, owner: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "-- report_gone
        delete from log_relay where owner = $1",
    )
    .bind(owner)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes leases under the locks of [`lock_all`].
pub(super) async fn take(
    conn: &mut PgConnection,
    owner: Uuid,
    held: &Held,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    let (shards, epochs): (Vec<i16>, Vec<i64>) = held.iter().unzip();
    sqlx::query(
        "-- take
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

/// Gives shards back; those that another relay has taken meanwhile stay its own.
pub(super) async fn release(
    conn: &mut PgConnection,
    owner: Uuid,
    shards: &[i16],
) -> sqlx::Result<()> {
    sqlx::query(
        "-- release
        update log_shard set owner = null, lease_until = null where owner = $1 and shard = any($2)",
    )
    .bind(owner)
    .bind(shards)
    .execute(conn)
    .await?;
    Ok(())
}

/// Those of `shards` that have something to stamp. Takes no lock: an idle relay disturbs nobody.
pub(super) async fn unstamped(conn: &mut PgConnection, shards: &[i16]) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar(unless_planted!(
        "-- unstamped
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

/// Locks those of the given shards that `owner` still holds under the given epochs.
pub(super) async fn lock_held(
    conn: &mut PgConnection,
    owner: Uuid,
    shards: &[i16],
    epochs: &[i64],
) -> sqlx::Result<Vec<(i16, i64)>> {
    sqlx::query_as(
        "-- lock_held
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

/// What got its position.
pub(super) struct Stamped {
    /// How far the heads moved, together.
    pub(super) moved: i64,
    /// Events by kind.
    pub(super) kinds: Vec<(String, i64)>,
}

impl Stamped {
    pub(super) fn events(&self) -> i64 {
        self.kinds.iter().map(|(_, count)| count).sum()
    }
}

/// Gives the next positions to at most `limit` events of each locked shard, by `seq`, and moves the heads.
/// `heads` are the shards and positions that [`lock_held`] returned.
pub(super) async fn stamp(
    conn: &mut PgConnection,
    heads: &[(i16, i64)],
    limit: i64,
) -> sqlx::Result<Stamped> {
    let (shards, positions): (Vec<i16>, Vec<i64>) = heads.iter().copied().unzip();
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(unless_planted!(
        "-- stamp
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
        ), stamped as (
            update event e set position = p.position
            from picked p
            where e.shard = p.shard and e.seq = p.seq and e.inserted_at = p.inserted_at and e.position is null
            returning e.shard, e.position, e.id, e.kind
        ), moved as (
            update log_shard s set position = t.position, event_id = t.id
            from (select distinct on (shard) shard, position, id from stamped order by shard, position desc) t
            where s.shard = t.shard
            returning s.shard, s.position
        )
        select kind, count(*),
            (select coalesce(sum(m.position - h.position), 0)::bigint
             from moved m join unnest($1::smallint[], $2::bigint[]) as h (shard, position) on h.shard = m.shard)
        from stamped group by kind"
    ))
    .bind(shards)
    .bind(positions)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(Stamped {
        moved: rows.first().map_or(0, |(.., moved)| *moved),
        kinds: rows
            .into_iter()
            .map(|(kind, count, _)| (kind, count))
            .collect(),
    })
}
