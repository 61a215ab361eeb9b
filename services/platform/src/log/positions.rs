//! SQL that assigns events their positions. The relay decides when to run it, and for which shards.

use fail::fail_point;
use sqlx::PgConnection;

/// Selects between two forms of a statement that finds events without a position. The second is a fail point:
/// it takes the highest `seq` seen so far for the end of what is committed, and so loses events.
macro_rules! unless_failpoint {
    ($before:literal, $after:literal) => {
        if is_naive() {
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

fn is_naive() -> bool {
    fail_point!("naive-cursor", |_| true);
    false
}

/// Those of `shards` that have events without a position. Takes no lock, so an idle relay blocks nothing.
pub(super) async fn unpositioned_shards(
    conn: &mut PgConnection,
    shards: &[i16],
) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar(unless_failpoint!(
        "-- unpositioned_shards
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
/// the heads. `heads` is the result of `shards::lock_owned`.
pub(super) async fn assign(
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
