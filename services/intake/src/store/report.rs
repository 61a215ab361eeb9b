//! Reports.

use domain::id::{CaseId, PartnerId, ReportId};
use domain::word::{AgeBand, Media, Outcome, ReportChannel};
use platform::sealed::Tag;
use sqlx::{PgConnection, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

/// A report to insert.
pub struct NewReport<'a> {
    pub id: ReportId,
    pub case: CaseId,
    pub reference_tag: &'a Tag,
    pub channel: ReportChannel,
    pub partner: Option<PartnerId>,
    pub external_tag: Option<&'a Tag>,
    pub sealed_external: Option<&'a [u8]>,
    pub sealed_spelling: &'a [u8],
    pub sealed_item: &'a [u8],
    pub media: Option<Media>,
    pub age_band: Option<AgeBand>,
    pub country: Option<&'a str>,
    pub received_at: OffsetDateTime,
}

/// Inserts reports.
pub async fn insert(
    conn: &mut PgConnection,
    reports: &[NewReport<'_>],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    fn column<'a, T>(reports: &'a [NewReport<'a>], get: impl Fn(&'a NewReport<'a>) -> T) -> Vec<T> {
        reports.iter().map(get).collect()
    }
    sqlx::query(
        "-- insert_reports
        insert into report (id, case_id, reference_tag, channel, partner_id, external_tag, sealed_external,
            sealed_spelling, sealed_item, media, age_band, country, received_at, accepted_at)
        select r.id, r.case_id, r.reference_tag, r.channel, r.partner_id, r.external_tag, r.sealed_external,
            r.sealed_spelling, r.sealed_item, r.media, r.age_band, r.country, r.received_at, $14
        from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::uuid[], $6::bytea[], $7::bytea[],
            $8::bytea[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::timestamptz[])
            as r (id, case_id, reference_tag, channel, partner_id, external_tag, sealed_external,
            sealed_spelling, sealed_item, media, age_band, country, received_at)",
    )
    .bind(column(reports, |r| r.id.uuid()))
    .bind(column(reports, |r| r.case.uuid()))
    .bind(column(reports, |r| r.reference_tag.bytes.as_slice()))
    .bind(column(reports, |r| r.channel.as_str()))
    .bind(column(reports, |r| r.partner.map(PartnerId::uuid)))
    .bind(column(reports, |r| {
        r.external_tag.map(|tag| tag.bytes.as_slice())
    }))
    .bind(column(reports, |r| r.sealed_external))
    .bind(column(reports, |r| r.sealed_spelling))
    .bind(column(reports, |r| r.sealed_item))
    .bind(column(reports, |r| r.media.map(Media::as_str)))
    .bind(column(reports, |r| r.age_band.map(AgeBand::as_str)))
    .bind(column(reports, |r| r.country))
    .bind(column(reports, |r| r.received_at))
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// A report as it stands.
pub struct Report {
    pub id: ReportId,
    pub case: CaseId,
    pub channel: ReportChannel,
    pub partner: Option<String>,
    pub sealed_external: Option<Vec<u8>>,
    pub media: Option<Media>,
    pub received_at: OffsetDateTime,
    pub accepted_at: OffsetDateTime,
    pub outcome: Outcome,
    pub outcome_at: OffsetDateTime,
}

fn report(row: &PgRow) -> Result<Report, Error> {
    let id: Uuid = row.try_get("id")?;
    let bad = |column| Error::BadRow {
        table: "report",
        column,
        id: id.to_string(),
    };
    let channel: &str = row.try_get("channel")?;
    let media: Option<&str> = row.try_get("media")?;
    let accepted_at: OffsetDateTime = row.try_get("accepted_at")?;
    let withdrawn_at: Option<OffsetDateTime> = row.try_get("withdrawn_at")?;
    let heard: Option<&str> = row.try_get("outcome")?;
    let heard_at: Option<OffsetDateTime> = row.try_get("outcome_at")?;
    let (outcome, outcome_at) = match (withdrawn_at, heard, heard_at) {
        (Some(at), ..) => (Outcome::Withdrawn, at),
        (None, Some(word), Some(at)) => (word.parse().map_err(|_| bad("outcome"))?, at),
        _ => (Outcome::Received, accepted_at),
    };
    Ok(Report {
        id: ReportId::new(id),
        case: CaseId::new(row.try_get("case_id")?),
        channel: channel.parse().map_err(|_| bad("channel"))?,
        partner: row.try_get("partner")?,
        sealed_external: row.try_get("sealed_external")?,
        media: media
            .map(str::parse)
            .transpose()
            .map_err(|_| bad("media"))?,
        received_at: row.try_get("received_at")?,
        accepted_at,
        outcome,
        // An outcome may be older than a report that joined the case later.
        outcome_at: outcome_at.max(accepted_at),
    })
}

/// Which reports are asked for.
pub enum Which<'a> {
    /// By tags of the reference (of every index key).
    Reference(Vec<&'a [u8]>),
    /// By tags of the sender's own number.
    External(Vec<&'a [u8]>),
    Case(CaseId),
}

/// Reports, oldest first, at most a thousand.
pub async fn find(conn: &mut PgConnection, which: &Which<'_>) -> Result<Vec<Report>, Error> {
    const BY_REFERENCE: &str = "-- find_reports_by_reference
        select r.id, r.case_id, r.channel, p.name as partner, r.sealed_external, r.media, r.received_at,
            r.accepted_at, r.withdrawn_at, o.outcome, o.at as outcome_at
        from report r left join partner p on p.id = r.partner_id left join case_outcome o on o.case_id = r.case_id
        where r.reference_tag = any($1) order by r.accepted_at, r.id limit 1000";
    const BY_EXTERNAL: &str = "-- find_reports_by_external
        select r.id, r.case_id, r.channel, p.name as partner, r.sealed_external, r.media, r.received_at,
            r.accepted_at, r.withdrawn_at, o.outcome, o.at as outcome_at
        from report r left join partner p on p.id = r.partner_id left join case_outcome o on o.case_id = r.case_id
        where r.external_tag = any($1) order by r.accepted_at, r.id limit 1000";
    const BY_CASE: &str = "-- find_reports_by_case
        select r.id, r.case_id, r.channel, p.name as partner, r.sealed_external, r.media, r.received_at,
            r.accepted_at, r.withdrawn_at, o.outcome, o.at as outcome_at
        from report r left join partner p on p.id = r.partner_id left join case_outcome o on o.case_id = r.case_id
        where r.case_id = $1 order by r.accepted_at, r.id limit 1000";
    let query = match which {
        Which::Reference(tags) => sqlx::query(BY_REFERENCE).bind(tags),
        Which::External(tags) => sqlx::query(BY_EXTERNAL).bind(tags),
        Which::Case(case) => sqlx::query(BY_CASE).bind(case.uuid()),
    };
    query.fetch_all(conn).await?.iter().map(report).collect()
}

/// Marks a report as taken back, once.
pub async fn withdraw(
    conn: &mut PgConnection,
    id: ReportId,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "-- withdraw_report
        update report set withdrawn_at = $2 where id = $1 and withdrawn_at is null",
    )
    .bind(id.uuid())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many reports have an outcome, and the oldest of them.
pub struct OutcomeCount {
    pub outcome: Outcome,
    pub reports: u64,
    pub oldest: OffsetDateTime,
}

/// All reports by outcome, and the number of cases.
pub async fn counts(conn: &mut PgConnection) -> Result<(Vec<OutcomeCount>, u64), Error> {
    let rows = sqlx::query(
        "-- count_reports
        select case when r.withdrawn_at is not null then 'withdrawn' else coalesce(o.outcome, 'received') end as outcome,
            count(*) as reports, min(r.accepted_at) as oldest
        from report r left join case_outcome o on o.case_id = r.case_id
        group by 1",
    )
    .fetch_all(&mut *conn)
    .await?;
    let counts = rows
        .iter()
        .map(|row| {
            let outcome: &str = row.try_get("outcome")?;
            Ok(OutcomeCount {
                outcome: outcome.parse()?,
                reports: row.try_get::<i64, _>("reports")?.cast_unsigned(),
                oldest: row.try_get("oldest")?,
            })
        })
        .collect::<Result<_, Error>>()?;
    let cases: i64 = sqlx::query_scalar(
        "-- count_cases
        select count(*) from case_identity",
    )
    .fetch_one(conn)
    .await?;
    Ok((counts, cases.cast_unsigned()))
}
