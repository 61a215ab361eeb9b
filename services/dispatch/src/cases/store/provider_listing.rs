//! A provider's listing of its own notices.

use domain::id::{NoticeId, ProviderId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// An entry of a provider's listing.
#[derive(Debug, Clone, Copy)]
pub struct ListingEntry {
    pub notice_id: NoticeId,
    pub listing_position: i64,
}

/// Which entries to list.
pub struct ListingQuery<'a> {
    /// Empty for notices that wait for an answer and those with a further message.
    pub states: &'a [&'a str],
    /// Empty for all.
    pub categories: &'a [&'a str],
    pub case: Option<Uuid>,
    pub due_before: Option<OffsetDateTime>,
    pub after: i64,
    pub limit: i64,
}

/// Notices of a provider that are new or changed since a listing position.
pub async fn list_provider_notices(
    conn: &mut PgConnection,
    provider: &ProviderId,
    wanted: &ListingQuery<'_>,
) -> Result<Vec<ListingEntry>, Error> {
    let rows = sqlx::query(
        "-- list_provider_notices
        select n.id, n.listing_position
        from notice n
        where n.provider_id = $1 and n.listing_position > $2
          and ($5::uuid is null or n.case_id = $5)
          and ($6::timestamptz is null or n.due_at < $6)
          and (cardinality($7::text[]) = 0
            or exists (select from dispatch_case c where c.case_id = n.case_id and c.category = any($7)))
          and case when cardinality($3::text[]) = 0
              then state in ('sent', 'delivered') or message in ('information', 'upheld', 'retraction')
                or (state = 'queued' and attempts > 0)
                or (state = 'escalated' and escalated_to not in ('remind', 'next_contact'))
              else state = any($3) end
        order by n.listing_position
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
    Ok(rows.iter().map(entry).collect::<sqlx::Result<_>>()?)
}

/// One notice, if it is addressed to this provider.
pub async fn find_provider_notice(
    conn: &mut PgConnection,
    provider: &ProviderId,
    notice: NoticeId,
) -> Result<Option<ListingEntry>, Error> {
    let row = sqlx::query(
        "-- find_provider_notice
        select id, listing_position from notice where id = $1 and provider_id = $2",
    )
    .bind(notice.uuid())
    .bind(provider.as_str())
    .fetch_optional(conn)
    .await?;
    Ok(row.as_ref().map(entry).transpose()?)
}

fn entry(row: &PgRow) -> sqlx::Result<ListingEntry> {
    Ok(ListingEntry {
        notice_id: NoticeId::new(row.try_get("id")?),
        listing_position: row.try_get("listing_position")?,
    })
}
