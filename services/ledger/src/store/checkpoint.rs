//! SQL of `checkpoint`.

use domain::wire::timestamp;
use proto::v1;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use super::unsigned;
use crate::error::Error;
use crate::note::CheckpointBody;

#[derive(FromRow)]
struct CheckpointRow {
    size: i64,
    root: Vec<u8>,
    note: String,
    made_at: OffsetDateTime,
}

impl CheckpointRow {
    fn into_proto(self) -> Result<v1::Checkpoint, Error> {
        Ok(v1::Checkpoint {
            note: self.note,
            size: unsigned("checkpoint", "size", self.size)?,
            root: self.root.into(),
            made_at: Some(timestamp(self.made_at)),
        })
    }
}

/// Inserts a checkpoint. Returns false if there is already one of this size.
pub async fn insert(
    conn: &mut PgConnection,
    body: &CheckpointBody,
    note: &str,
    made_at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query(
        "-- insert_checkpoint
        insert into checkpoint (size, root, note, made_at) values ($1, $2, $3, $4)
        on conflict do nothing",
    )
    .bind(body.size as i64)
    .bind(&body.root[..])
    .bind(note)
    .bind(made_at)
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Size of the newest checkpoint; 0 if there is none.
pub async fn newest_size(conn: &mut PgConnection) -> Result<u64, Error> {
    let size: i64 = sqlx::query_scalar(
        "-- newest_checkpoint_size
        select coalesce(max(size), 0) from checkpoint",
    )
    .fetch_one(conn)
    .await?;
    unsigned("checkpoint", "size", size)
}

/// The newest checkpoint.
pub async fn newest(conn: &mut PgConnection) -> Result<Option<v1::Checkpoint>, Error> {
    let row: Option<CheckpointRow> = sqlx::query_as(
        "-- newest_checkpoint
        select size, root, note, made_at from checkpoint order by size desc limit 1",
    )
    .fetch_optional(conn)
    .await?;
    row.map(CheckpointRow::into_proto).transpose()
}

/// Up to `limit` checkpoints of at least the size `from`, the smallest first.
pub async fn page(
    conn: &mut PgConnection,
    from: u64,
    limit: i64,
) -> Result<Vec<v1::Checkpoint>, Error> {
    let rows: Vec<CheckpointRow> = sqlx::query_as(
        "-- page_of_checkpoints
        select size, root, note, made_at from checkpoint where size >= $1 order by size limit $2",
    )
    .bind(from as i64)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(CheckpointRow::into_proto).collect()
}
