//! What was heard of reports and cases, and how many stand where.

use std::collections::BTreeMap;

use proto::v1;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{all_hit, unsigned};
use crate::error::Error;
use crate::lifecycle::{Removal, Stage, State, Verdict};

/// A case, and how many of its reports were not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub state: State,
    pub reports: i32,
}

impl Facts {
    /// Of a case that nobody has spoken of.
    pub const NEW: Self = Self {
        state: State::NEW,
        reports: 0,
    };
}

/// Adds (report, case); returns the cases of those that are new, one for each report.
pub async fn add_reports(
    conn: &mut PgConnection,
    reports: &[(Uuid, Uuid)],
) -> sqlx::Result<Vec<Uuid>> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "-- add_reports
        insert into report (report_id, case_id, withdrawn)
        select r.report_id, r.case_id, false
        from unnest($1::uuid[], $2::uuid[]) as r (report_id, case_id)
        order by r.report_id
        on conflict do nothing
        returning case_id",
    )
    .bind(
        reports
            .iter()
            .map(|(report, _)| *report)
            .collect::<Vec<_>>(),
    )
    .bind(reports.iter().map(|(_, case)| *case).collect::<Vec<_>>())
    .fetch_all(conn)
    .await
}

/// Marks reports as taken back; returns the cases of those that were not, one for each report.
pub async fn take_back(conn: &mut PgConnection, reports: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "-- take_back
        update report set withdrawn = true
        where report_id = any($1) and not withdrawn
        returning case_id",
    )
    .bind(reports)
    .fetch_all(conn)
    .await
}

/// Locks the cases of which something was heard, ascending.
pub async fn lock(conn: &mut PgConnection, cases: &[Uuid]) -> Result<BTreeMap<Uuid, Facts>, Error> {
    let rows: Vec<(Uuid, String, bool, String, i32)> = sqlx::query_as(
        "-- lock_facts
        select case_id, verdict, held, removal, reports from case_fact
        where case_id = any($1) order by case_id for update",
    )
    .bind(cases)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(case, verdict, held, removal, reports)| {
            let state = state(&verdict, held, &removal)
                .ok_or_else(|| Error::bad_row("case_fact", "verdict", &case))?;
            Ok((case, Facts { state, reports }))
        })
        .collect()
}

/// Writes cases, new ones too. The tree's lock is held, so nobody inserts the same ones.
pub async fn save(conn: &mut PgConnection, cases: &BTreeMap<Uuid, Facts>) -> Result<(), Error> {
    let facts = || cases.values();
    let saved = sqlx::query(
        "-- save_facts
        insert into case_fact (case_id, verdict, held, removal, reports)
        select f.case_id, f.verdict, f.held, f.removal, f.reports
        from unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[], $5::integer[])
            as f (case_id, verdict, held, removal, reports)
        on conflict (case_id) do update set
            verdict = excluded.verdict, held = excluded.held, removal = excluded.removal, reports = excluded.reports",
    )
    .bind(cases.keys().copied().collect::<Vec<_>>())
    .bind(facts().map(|f| f.state.verdict.as_str()).collect::<Vec<_>>())
    .bind(facts().map(|f| f.state.held).collect::<Vec<_>>())
    .bind(facts().map(|f| f.state.removal.as_str()).collect::<Vec<_>>())
    .bind(facts().map(|f| f.reports).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    all_hit("case_fact", saved.rows_affected(), cases.len())
}

/// Cases with the same facts, and totals beside them.
#[derive(FromRow)]
struct Standing {
    verdict: Option<String>,
    held: Option<bool>,
    removal: Option<String>,
    cases: Option<i64>,
    reports: Option<i64>,
    accepted: i64,
    withdrawn: i64,
    events: i64,
}

/// Reports that were accepted against reports that stand somewhere, both of one moment.
///
/// `accepted` counts the report rows, one for each report that was ever heard of. The stages are summed from the case
/// rows, where each case carries its own number of reports, moved by other statements as reports join and leave it.
/// So a report that joined no case, a case that vanished on its way, and one that is counted twice all show as a
/// `lost` that is not 0.
pub async fn conservation(conn: &mut PgConnection) -> Result<v1::GetConservationResponse, Error> {
    // One statement: one snapshot. Where there are no cases, one row of totals.
    let rows: Vec<Standing> = sqlx::query_as(
        "-- conservation
        select f.verdict, f.held, f.removal, f.cases, f.reports, r.accepted, r.withdrawn, t.size as events
        from tree t
        cross join (select count(*) as accepted, count(*) filter (where withdrawn) as withdrawn from report) r
        left join (
            select verdict, held, removal, count(*) as cases, sum(reports) as reports
            from case_fact group by verdict, held, removal
        ) f on true",
    )
    .fetch_all(conn)
    .await?;
    let mut stages: BTreeMap<Stage, (i64, i64)> =
        Stage::ALL.iter().map(|stage| (*stage, (0, 0))).collect();
    let (mut accepted, mut events) = (0, 0);
    for row in rows {
        (accepted, events) = (row.accepted, row.events);
        stages.insert(Stage::ReportWithdrawn, (row.withdrawn, 0));
        if let (Some(verdict), Some(held), Some(removal)) = (row.verdict, row.held, row.removal) {
            let state = state(&verdict, held, &removal)
                .ok_or_else(|| Error::bad_row("case_fact", "verdict", "a group"))?;
            let (reports, cases) = stages.entry(state.stage()).or_default();
            *reports += row.reports.unwrap_or_default();
            *cases += row.cases.unwrap_or_default();
        }
    }
    let standing: i64 = stages.values().map(|(reports, _)| reports).sum();
    let cases: i64 = stages.values().map(|(_, cases)| cases).sum();
    Ok(v1::GetConservationResponse {
        accepted: unsigned("report", "rows", accepted)?,
        cases: unsigned("case_fact", "rows", cases)?,
        lost: accepted - standing,
        events: unsigned("tree", "size", events)?,
        signs: Vec::new(),
        stages: stages
            .into_iter()
            .map(|(stage, (reports, cases))| {
                Ok(v1::ConservationStage {
                    stage: stage.as_str().to_owned(),
                    reports: unsigned("case_fact", "reports", reports)?,
                    cases: unsigned("case_fact", "rows", cases)?,
                })
            })
            .collect::<Result<_, Error>>()?,
    })
}

fn state(verdict: &str, held: bool, removal: &str) -> Option<State> {
    let verdict = Verdict::ALL.iter().find(|v| v.as_str() == verdict)?;
    let removal = Removal::ALL.iter().find(|r| r.as_str() == removal)?;
    Some(State {
        verdict: *verdict,
        held,
        removal: *removal,
    })
}
