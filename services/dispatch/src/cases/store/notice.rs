//! Notice rows. Writing one requires the lock of its case.

use domain::enums::{Answer, DeliveryChannel, NoticeState, Rung};
use domain::id::{CaseId, NoticeId, ProviderId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::cases::lifecycle::{ChannelSet, Message};
use crate::row::{RowReader, column};

/// The row of a notice; the migration explains its columns.
#[derive(Clone)]
pub struct Notice {
    pub id: NoticeId,
    pub case_id: CaseId,
    pub provider_id: ProviderId,
    pub episode: i32,
    pub step: i32,
    pub rung: Rung,
    pub state: NoticeState,
    pub sequence: i32,
    pub message: Message,
    pub channel: DeliveryChannel,
    pub channels_tried: ChannelSet,
    pub listing_position: i64,
    pub opened_at: OffsetDateTime,
    pub sent_at: Option<OffsetDateTime>,
    pub delivered_at: Option<OffsetDateTime>,
    pub acknowledged_at: Option<OffsetDateTime>,
    pub removal_claimed_at: Option<OffsetDateTime>,
    pub confirmed_at: Option<OffsetDateTime>,
    pub acknowledge_due_at: OffsetDateTime,
    pub due_at: OffsetDateTime,
    pub overdue_from: Option<OffsetDateTime>,
    pub answer: Option<Answer>,
    pub granted_until: Option<OffsetDateTime>,
    pub preserved_at: Option<OffsetDateTime>,
    pub note: Option<Vec<u8>>,
    pub text: Option<Vec<u8>>,
    pub escalated_to: Option<Rung>,
    pub attempts: i32,
    pub false_claims: i32,
    pub last_failure: Option<String>,
    pub named_provider: Option<ProviderId>,
    pub follow_up_done: bool,
    pub returned_at: Option<OffsetDateTime>,
    pub delayed_at: Option<OffsetDateTime>,
    pub auto_replied_at: Option<OffsetDateTime>,
    pub replied_at: Option<OffsetDateTime>,
}

/// All notices of these cases, by case, episode and step. The caller has locked the cases.
pub async fn notices_of_cases(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> Result<Vec<Notice>, Error> {
    let rows = sqlx::query(
        "-- notices_of_cases
        select
            id, case_id, provider_id, episode, step, rung, state, sequence, message, channel, channels_tried, listing_position,
            opened_at, sent_at, delivered_at, acknowledged_at, removal_claimed_at, confirmed_at,
            acknowledge_due_at, due_at, overdue_from, answer, granted_until, preserved_at, note, text, escalated_to,
            attempts, false_claims, last_failure, named_provider_id, follow_up_done, returned_at, delayed_at, auto_replied_at, replied_at
        from notice
        where case_id = any($1)
        order by case_id, episode, step",
    )
    .bind(cases)
    .fetch_all(conn)
    .await?;
    rows.iter().map(notice).collect()
}

/// The cases of these notices. They never change, so no lock is needed.
pub async fn case_of_notices(
    conn: &mut PgConnection,
    notices: &[Uuid],
) -> Result<Vec<(NoticeId, CaseId)>, Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "-- case_of_notices
        select id, case_id from notice where id = any($1)",
    )
    .bind(notices)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, case)| (NoticeId::new(id), CaseId::new(case)))
        .collect())
}

/// The addressee of a notice, if the notice exists.
pub async fn addressee(
    conn: &mut PgConnection,
    notice: NoticeId,
) -> Result<Option<ProviderId>, Error> {
    let row = sqlx::query(
        "-- addressee
        select provider_id from notice where id = $1",
    )
    .bind(notice.uuid())
    .fetch_optional(conn)
    .await?;
    let parse = |row: &PgRow| {
        let r = RowReader {
            table: "notice",
            id: notice.uuid(),
            row,
        };
        r.parse("provider_id")
    };
    row.as_ref().map(parse).transpose()
}

/// As [`case_of_notices`], but only for notices that are addressed to the provider at the same index.
pub async fn owned_notices(
    conn: &mut PgConnection,
    notices: &[Uuid],
    providers: &[&str],
) -> Result<Vec<(NoticeId, CaseId)>, Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "-- owned_notices
        select n.id, n.case_id
        from unnest($1::uuid[], $2::text[]) as o (id, provider_id)
        join notice n on n.id = o.id and n.provider_id = o.provider_id",
    )
    .bind(notices)
    .bind(providers)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, case)| (NoticeId::new(id), CaseId::new(case)))
        .collect())
}

/// Inserts or updates rows, each once.
pub async fn upsert_notices(conn: &mut PgConnection, rows: &[&Notice]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let written = sqlx::query(
        "-- upsert_notices
        insert into notice (
            id, case_id, provider_id, episode, step, rung, state, sequence, message, channel, channels_tried, listing_position,
            opened_at, sent_at, delivered_at, acknowledged_at, removal_claimed_at, confirmed_at,
            acknowledge_due_at, due_at, overdue_from, answer, granted_until, preserved_at, note, text, escalated_to,
            attempts, false_claims, last_failure, named_provider_id, follow_up_done, returned_at, delayed_at, auto_replied_at, replied_at)
        select
            r.id, r.case_id, r.provider_id, r.episode, r.step, r.rung, r.state, r.sequence, r.message,
            r.channel, r.channels_tried, r.listing_position, r.opened_at, r.sent_at, r.delivered_at, r.acknowledged_at,
            r.removal_claimed_at, r.confirmed_at, r.acknowledge_due_at, r.due_at, r.overdue_from, r.answer,
            r.granted_until, r.preserved_at, r.note, r.text, r.escalated_to, r.attempts, r.false_claims, r.last_failure,
            r.named_provider_id, r.follow_up_done, r.returned_at, r.delayed_at, r.auto_replied_at, r.replied_at
        from unnest(
            $1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::text[], $7::text[],
            $8::integer[], $9::text[], $10::text[], $11::smallint[], $12::bigint[], $13::timestamptz[],
            $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[],
            $19::timestamptz[], $20::timestamptz[], $21::timestamptz[], $22::text[], $23::timestamptz[],
            $24::timestamptz[], $25::bytea[], $26::bytea[], $27::text[], $28::integer[], $29::integer[],
            $30::text[], $31::text[], $32::boolean[], $33::timestamptz[], $34::timestamptz[], $35::timestamptz[],
            $36::timestamptz[]) as r (
            id, case_id, provider_id, episode, step, rung, state, sequence, message, channel, channels_tried, listing_position,
            opened_at, sent_at, delivered_at, acknowledged_at, removal_claimed_at, confirmed_at,
            acknowledge_due_at, due_at, overdue_from, answer, granted_until, preserved_at, note, text, escalated_to,
            attempts, false_claims, last_failure, named_provider_id, follow_up_done, returned_at, delayed_at, auto_replied_at, replied_at)
        order by r.id
        on conflict (id) do update set
            state = excluded.state, sequence = excluded.sequence, message = excluded.message,
            channel = excluded.channel, channels_tried = excluded.channels_tried, listing_position = excluded.listing_position,
            sent_at = excluded.sent_at, delivered_at = excluded.delivered_at,
            acknowledged_at = excluded.acknowledged_at, removal_claimed_at = excluded.removal_claimed_at,
            confirmed_at = excluded.confirmed_at, acknowledge_due_at = excluded.acknowledge_due_at,
            due_at = excluded.due_at, overdue_from = excluded.overdue_from, answer = excluded.answer,
            granted_until = excluded.granted_until, preserved_at = excluded.preserved_at, note = excluded.note,
            text = excluded.text, escalated_to = excluded.escalated_to, attempts = excluded.attempts,
            false_claims = excluded.false_claims, last_failure = excluded.last_failure,
            named_provider_id = excluded.named_provider_id, follow_up_done = excluded.follow_up_done, returned_at = excluded.returned_at,
            delayed_at = excluded.delayed_at, auto_replied_at = excluded.auto_replied_at,
            replied_at = excluded.replied_at",
    )
    .bind(column(rows, |n| n.id.uuid()))
    .bind(column(rows, |n| n.case_id.uuid()))
    .bind(column(rows, |n| n.provider_id.as_str()))
    .bind(column(rows, |n| n.episode))
    .bind(column(rows, |n| n.step))
    .bind(column(rows, |n| n.rung.as_str()))
    .bind(column(rows, |n| n.state.as_str()))
    .bind(column(rows, |n| n.sequence))
    .bind(column(rows, |n| n.message.as_str()))
    .bind(column(rows, |n| n.channel.as_str()))
    .bind(column(rows, |n| n.channels_tried.bits()))
    .bind(column(rows, |n| n.listing_position))
    .bind(column(rows, |n| n.opened_at))
    .bind(column(rows, |n| n.sent_at))
    .bind(column(rows, |n| n.delivered_at))
    .bind(column(rows, |n| n.acknowledged_at))
    .bind(column(rows, |n| n.removal_claimed_at))
    .bind(column(rows, |n| n.confirmed_at))
    .bind(column(rows, |n| n.acknowledge_due_at))
    .bind(column(rows, |n| n.due_at))
    .bind(column(rows, |n| n.overdue_from))
    .bind(column(rows, |n| n.answer.map(Answer::as_str)))
    .bind(column(rows, |n| n.granted_until))
    .bind(column(rows, |n| n.preserved_at))
    .bind(column(rows, |n| n.note.as_deref()))
    .bind(column(rows, |n| n.text.as_deref()))
    .bind(column(rows, |n| n.escalated_to.map(Rung::as_str)))
    .bind(column(rows, |n| n.attempts))
    .bind(column(rows, |n| n.false_claims))
    .bind(column(rows, |n| n.last_failure.as_deref()))
    .bind(column(rows, |n| n.named_provider.as_ref().map(ProviderId::as_str)))
    .bind(column(rows, |n| n.follow_up_done))
    .bind(column(rows, |n| n.returned_at))
    .bind(column(rows, |n| n.delayed_at))
    .bind(column(rows, |n| n.auto_replied_at))
    .bind(column(rows, |n| n.replied_at))
    .execute(conn)
    .await?
    .rows_affected();
    if written == rows.len() as u64 {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol("notice: unexpected number of rows written".into()).into())
    }
}

fn notice(row: &PgRow) -> Result<Notice, Error> {
    let id: Uuid = row.try_get("id")?;
    let r = RowReader {
        table: "notice",
        id,
        row,
    };
    Ok(Notice {
        id: NoticeId::new(id),
        case_id: CaseId::new(r.get("case_id")?),
        provider_id: r.parse("provider_id")?,
        episode: r.get("episode")?,
        step: r.get("step")?,
        rung: r.parse("rung")?,
        state: r.parse("state")?,
        sequence: r.get("sequence")?,
        message: r.parse("message")?,
        channel: r.parse("channel")?,
        channels_tried: ChannelSet::from_bits(r.get("channels_tried")?)
            .ok_or_else(|| r.damaged("channels_tried"))?,
        listing_position: r.get("listing_position")?,
        opened_at: r.get("opened_at")?,
        sent_at: r.get("sent_at")?,
        delivered_at: r.get("delivered_at")?,
        acknowledged_at: r.get("acknowledged_at")?,
        removal_claimed_at: r.get("removal_claimed_at")?,
        confirmed_at: r.get("confirmed_at")?,
        acknowledge_due_at: r.get("acknowledge_due_at")?,
        due_at: r.get("due_at")?,
        overdue_from: r.get("overdue_from")?,
        answer: r.parse_optional("answer")?,
        granted_until: r.get("granted_until")?,
        preserved_at: r.get("preserved_at")?,
        note: r.get("note")?,
        text: r.get("text")?,
        escalated_to: r.parse_optional("escalated_to")?,
        attempts: r.get("attempts")?,
        false_claims: r.get("false_claims")?,
        last_failure: r.get("last_failure")?,
        named_provider: r.parse_optional("named_provider_id")?,
        follow_up_done: r.get("follow_up_done")?,
        returned_at: r.get("returned_at")?,
        delayed_at: r.get("delayed_at")?,
        auto_replied_at: r.get("auto_replied_at")?,
        replied_at: r.get("replied_at")?,
    })
}
