//! A provider's listing of its own notices.

use domain::id::{NoticeId, ProviderId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};

use crate::Error;

/// A line of a provider's listing.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub notice_id: NoticeId,
    pub feed: i64,
}

/// What of a provider's notices is new or changed since `after`. Without states: those that wait for an answer, and
/// further messages.
pub async fn provider_lines(
    conn: &mut PgConnection,
    provider: &ProviderId,
    states: &[&str],
    after: i64,
    limit: i64,
) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query(
        "-- provider_lines
        select id, feed
        from notice
        where provider_id = $1 and feed > $2
          and case when cardinality($3::text[]) = 0
              then state in ('sent', 'delivered') or message in ('information', 'upheld', 'retraction')
                or (state = 'queued' and attempts > 0)
                or (state = 'escalated' and escalated_to not in ('remind', 'next_contact'))
              else state = any($3) end
        order by feed
        limit $4",
    )
    .bind(provider.as_str())
    .bind(after)
    .bind(states)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows.iter().map(line).collect::<sqlx::Result<_>>()?)
}

/// One notice, if it is this provider's.
pub async fn provider_line(
    conn: &mut PgConnection,
    provider: &ProviderId,
    notice: NoticeId,
) -> Result<Option<Line>, Error> {
    let row = sqlx::query(
        "-- provider_line
        select id, feed from notice where id = $1 and provider_id = $2",
    )
    .bind(notice.uuid())
    .bind(provider.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(row.as_ref().map(line).transpose()?)
}

fn line(row: &PgRow) -> sqlx::Result<Line> {
    Ok(Line {
        notice_id: NoticeId::new(row.try_get("id")?),
        feed: row.try_get("feed")?,
    })
}
