//! Statements on reports.

use domain::enums::{AgeBand, Media, Outcome, ReportChannel};
use domain::id::{CaseId, PartnerId, ReportId};
use platform::sealed::Tag;
use sqlx::{PgConnection, Row, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

/// A report to insert.
pub struct NewReportRow<'a> {
    pub id: ReportId,
    pub case: CaseId,
    pub reference_tag: &'a Tag,
    pub channel: ReportChannel,
    pub partner: Option<PartnerId>,
    pub external_ref_tag: Option<&'a Tag>,
    pub sealed_external_ref: Option<&'a [u8]>,
    pub sealed_reported_url: &'a [u8],
    pub sealed_content: &'a [u8],
    pub media: Option<Media>,
    pub age_band: Option<AgeBand>,
    pub country: Option<&'a str>,
    pub received_at: OffsetDateTime,
}

pub async fn insert(
    conn: &mut PgConnection,
    reports: &[NewReportRow<'_>],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    fn column<'a, T>(
        reports: &'a [NewReportRow<'a>],
        get: impl Fn(&'a NewReportRow<'a>) -> T,
    ) -> Vec<T> {
        reports.iter().map(get).collect()
    }
    sqlx::query(
        "-- insert_reports
        insert into report (id, case_id, reference_tag, channel, partner_id, external_ref_tag, sealed_external_ref,
            sealed_reported_url, sealed_content, media, age_band, country, received_at, accepted_at)
        select r.id, r.case_id, r.reference_tag, r.channel, r.partner_id, r.external_ref_tag, r.sealed_external_ref,
            r.sealed_reported_url, r.sealed_content, r.media, r.age_band, r.country, r.received_at, $14
        from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::uuid[], $6::bytea[], $7::bytea[],
            $8::bytea[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::timestamptz[])
            as r (id, case_id, reference_tag, channel, partner_id, external_ref_tag, sealed_external_ref,
            sealed_reported_url, sealed_content, media, age_band, country, received_at)",
    )
    .bind(column(reports, |r| r.id.uuid()))
    .bind(column(reports, |r| r.case.uuid()))
    .bind(column(reports, |r| r.reference_tag.bytes.as_slice()))
    .bind(column(reports, |r| r.channel.as_str()))
    .bind(column(reports, |r| r.partner.map(PartnerId::uuid)))
    .bind(column(reports, |r| {
        r.external_ref_tag.map(|tag| tag.bytes.as_slice())
    }))
    .bind(column(reports, |r| r.sealed_external_ref))
    .bind(column(reports, |r| r.sealed_reported_url))
    .bind(column(reports, |r| r.sealed_content))
    .bind(column(reports, |r| r.media.map(Media::as_str)))
    .bind(column(reports, |r| r.age_band.map(AgeBand::as_str)))
    .bind(column(reports, |r| r.country))
    .bind(column(reports, |r| r.received_at))
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// A report with its current outcome.
pub struct StoredReport {
    pub id: ReportId,
    pub case: CaseId,
    pub channel: ReportChannel,
    pub partner: Option<String>,
    pub sealed_external_ref: Option<Vec<u8>>,
    pub media: Option<Media>,
    pub received_at: OffsetDateTime,
    pub accepted_at: OffsetDateTime,
    pub outcome: Outcome,
    pub outcome_at: OffsetDateTime,
}

fn report(row: &PgRow) -> Result<StoredReport, Error> {
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
    let case_outcome: Option<&str> = row.try_get("outcome")?;
    let changed_at: Option<OffsetDateTime> = row.try_get("outcome_at")?;
    let (outcome, outcome_at) = match (withdrawn_at, case_outcome, changed_at) {
        (Some(at), ..) => (Outcome::Withdrawn, at),
        (None, Some(outcome), Some(at)) => (outcome.parse().map_err(|_| bad("outcome"))?, at),
        _ => (Outcome::Received, accepted_at),
    };
    Ok(StoredReport {
        id: ReportId::new(id),
        case: CaseId::new(row.try_get("case_id")?),
        channel: channel.parse().map_err(|_| bad("channel"))?,
        partner: row.try_get("partner")?,
        sealed_external_ref: row.try_get("sealed_external_ref")?,
        media: media
            .map(str::parse)
            .transpose()
            .map_err(|_| bad("media"))?,
        received_at: row.try_get("received_at")?,
        accepted_at,
        outcome,
        // The outcome may be older than a report that was attached to the case later.
        outcome_at: outcome_at.max(accepted_at),
    })
}

/// Selects reports.
pub enum ReportFilter<'a> {
    /// By the tags of the reference, one per index key.
    Reference(Vec<&'a [u8]>),
    /// By the tags of the reporter's own id, one per index key.
    ExternalRef(Vec<&'a [u8]>),
    Case(CaseId),
}

/// The selected reports, oldest first, at most a thousand.
pub async fn find(
    conn: &mut PgConnection,
    filter: &ReportFilter<'_>,
) -> Result<Vec<StoredReport>, Error> {
    const BY_REFERENCE: &str = "-- find_reports_by_reference
        select r.id, r.case_id, r.channel, p.name as partner, r.sealed_external_ref, r.media, r.received_at,
            r.accepted_at, r.withdrawn_at, o.outcome, o.changed_at as outcome_at
        from report r left join partner p on p.id = r.partner_id left join case_outcome o on o.case_id = r.case_id
        where r.reference_tag = any($1) order by r.accepted_at, r.id limit 1000";
    const BY_EXTERNAL_REF: &str = "-- find_reports_by_external_ref
        select r.id, r.case_id, r.channel, p.name as partner, r.sealed_external_ref, r.media, r.received_at,
            r.accepted_at, r.withdrawn_at, o.outcome, o.changed_at as outcome_at
        from report r left join partner p on p.id = r.partner_id left join case_outcome o on o.case_id = r.case_id
        where r.external_ref_tag = any($1) order by r.accepted_at, r.id limit 1000";
    const BY_CASE: &str = "-- find_reports_by_case
        select r.id, r.case_id, r.channel, p.name as partner, r.sealed_external_ref, r.media, r.received_at,
            r.accepted_at, r.withdrawn_at, o.outcome, o.changed_at as outcome_at
        from report r left join partner p on p.id = r.partner_id left join case_outcome o on o.case_id = r.case_id
        where r.case_id = $1 order by r.accepted_at, r.id limit 1000";
    let query = match filter {
        ReportFilter::Reference(tags) => sqlx::query(BY_REFERENCE).bind(tags),
        ReportFilter::ExternalRef(tags) => sqlx::query(BY_EXTERNAL_REF).bind(tags),
        ReportFilter::Case(case) => sqlx::query(BY_CASE).bind(case.uuid()),
    };
    query.fetch_all(conn).await?.iter().map(report).collect()
}

/// Withdraws a report. Returns false if it was withdrawn before.
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

pub struct OutcomeCount {
    pub outcome: Outcome,
    pub reports: u64,
    /// When the oldest of these reports was accepted.
    pub oldest: OffsetDateTime,
}

/// The number of reports by outcome, and the number of cases.
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
