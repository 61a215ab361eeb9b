//! Pages of notices for staff.

use domain::enums::{Category, DeliveryChannel, NoticeState, Rung};
use domain::id::{CaseId, NoticeId, ProviderId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::cases::lifecycle::Message;
use crate::row::RowReader;

/// A notice as staff lists show it.
pub struct NoticeOverview {
    pub notice_id: NoticeId,
    pub case_id: CaseId,
    pub provider_id: ProviderId,
    pub episode: i32,
    pub step: i32,
    pub sequence: i32,
    pub rung: Rung,
    pub state: NoticeState,
    pub channel: DeliveryChannel,
    pub category: Category,
    pub attempts: i32,
    pub opened_at: OffsetDateTime,
    pub delivered_at: Option<OffsetDateTime>,
    pub acknowledged_at: Option<OffsetDateTime>,
    pub removal_claimed_at: Option<OffsetDateTime>,
    pub confirmed_at: Option<OffsetDateTime>,
    pub acknowledge_due_at: OffsetDateTime,
    pub due_at: OffsetDateTime,
    pub overdue_from: Option<OffsetDateTime>,
    pub received_at: OffsetDateTime,
    pub regime: String,
    /// Sealed under the case's data key.
    pub note: Option<Vec<u8>>,
    pub last_failure: Option<String>,
    pub message: Message,
}

/// Search criteria of staff.
#[derive(Default)]
pub struct NoticeSearch<'a> {
    pub provider: Option<&'a str>,
    pub case: Option<Uuid>,
    pub notice: Option<Uuid>,
    pub states: &'a [&'a str],
    /// Only notices older than this: the end of the previous page.
    pub before: Option<(OffsetDateTime, Uuid)>,
    pub limit: i64,
}

/// Notices, the newest first.
pub async fn search_notices(
    conn: &mut PgConnection,
    search: &NoticeSearch<'_>,
) -> Result<Vec<NoticeOverview>, Error> {
    let (at, id) = search.before.unzip();
    let rows = sqlx::query(
        "-- search_notices
        select n.id, n.case_id, n.provider_id, n.episode, n.step, n.sequence, n.rung, n.state, n.channel, c.category,
            n.attempts, n.opened_at, n.delivered_at, n.acknowledged_at, n.removal_claimed_at, n.confirmed_at,
            n.acknowledge_due_at, n.due_at, n.overdue_from, c.received_at, c.regime, n.note, n.last_failure,
            n.message
        from notice n
        join dispatch_case c on c.case_id = n.case_id
        where ($1::text is null or n.provider_id = $1)
          and ($2::uuid is null or n.case_id = $2)
          and (cardinality($3::text[]) = 0 or n.state = any($3))
          and ($4::timestamptz is null or (n.opened_at, n.id) < ($4, $5))
          and ($7::uuid is null or n.id = $7)
        order by n.opened_at desc, n.id desc
        limit $6",
    )
    .bind(search.provider)
    .bind(search.case)
    .bind(search.states)
    .bind(at)
    .bind(id)
    .bind(search.limit)
    .bind(search.notice)
    .fetch_all(conn)
    .await?;
    rows.iter().map(overview).collect()
}

/// Overdue notices, the longest overdue first.
pub async fn overdue_notices(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<NoticeOverview>, Error> {
    let (at, id) = after.unzip();
    let rows = sqlx::query(
        "-- overdue_notices
        select n.id, n.case_id, n.provider_id, n.episode, n.step, n.sequence, n.rung, n.state, n.channel, c.category,
            n.attempts, n.opened_at, n.delivered_at, n.acknowledged_at, n.removal_claimed_at, n.confirmed_at,
            n.acknowledge_due_at, n.due_at, n.overdue_from, c.received_at, c.regime, n.note, n.last_failure,
            n.message
        from notice n
        join dispatch_case c on c.case_id = n.case_id
        where n.overdue_from < $1
          and ($2::timestamptz is null or (n.overdue_from, n.id) > ($2, $3))
        order by n.overdue_from, n.id
        limit $4",
    )
    .bind(now)
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(overview).collect()
}

pub async fn count_overdue(conn: &mut PgConnection, now: OffsetDateTime) -> Result<i64, Error> {
    Ok(sqlx::query_scalar(
        "-- count_overdue
        select count(*) from notice where overdue_from < $1",
    )
    .bind(now)
    .fetch_one(conn)
    .await?)
}

fn overview(row: &PgRow) -> Result<NoticeOverview, Error> {
    let id: Uuid = row.try_get("id")?;
    let r = RowReader {
        table: "notice",
        id,
        row,
    };
    Ok(NoticeOverview {
        notice_id: NoticeId::new(id),
        case_id: CaseId::new(r.get("case_id")?),
        provider_id: r.parse("provider_id")?,
        episode: r.get("episode")?,
        step: r.get("step")?,
        sequence: r.get("sequence")?,
        rung: r.parse("rung")?,
        state: r.parse("state")?,
        channel: r.parse("channel")?,
        category: r.parse("category")?,
        attempts: r.get("attempts")?,
        opened_at: r.get("opened_at")?,
        delivered_at: r.get("delivered_at")?,
        acknowledged_at: r.get("acknowledged_at")?,
        removal_claimed_at: r.get("removal_claimed_at")?,
        confirmed_at: r.get("confirmed_at")?,
        acknowledge_due_at: r.get("acknowledge_due_at")?,
        due_at: r.get("due_at")?,
        overdue_from: r.get("overdue_from")?,
        received_at: r.get("received_at")?,
        regime: r.get("regime")?,
        note: r.get("note")?,
        last_failure: r.get("last_failure")?,
        message: r.parse("message")?,
    })
}
