//! A provider's listing of its own notices.

use domain::id::{NoticeId, ProviderId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// A line of a provider's listing.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub notice_id: NoticeId,
    pub feed: i64,
}

/// Which lines a provider asks for.
pub struct WantedLines<'a> {
    /// None for those that wait for an answer, and further messages.
    pub states: &'a [&'a str],
    /// None for all.
    pub categories: &'a [&'a str],
    pub case: Option<Uuid>,
    pub due_before: Option<OffsetDateTime>,
    pub after: i64,
    pub limit: i64,
}

/// What of a provider's notices is new or changed since a position.
pub async fn provider_lines(
    conn: &mut PgConnection,
    provider: &ProviderId,
    wanted: &WantedLines<'_>,
) -> Result<Vec<Line>, Error> {
    let rows = sqlx::query(
        "-- provider_lines
        select n.id, n.feed
        from notice n
        where n.provider_id = $1 and n.feed > $2
          and ($5::uuid is null or n.case_id = $5)
          and ($6::timestamptz is null or n.due_at < $6)
          and (cardinality($7::text[]) = 0
            or exists (select from case_file c where c.case_id = n.case_id and c.category = any($7)))
          and case when cardinality($3::text[]) = 0
              then state in ('sent', 'delivered') or message in ('information', 'upheld', 'retraction')
                or (state = 'queued' and attempts > 0)
                or (state = 'escalated' and escalated_to not in ('remind', 'next_contact'))
              else state = any($3) end
        order by n.feed
        limit $4",
    )
    .bind(provider.as_str())
    .bind(wanted.after)
    .bind(wanted.states)
    .bind(wanted.limit)
    .bind(wanted.case)
    .bind(wanted.due_before)
    .bind(wanted.categories)
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
