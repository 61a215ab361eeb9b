//! SQL of `report` and `case_fact`: facts about reports and cases, and conservation figures.

use std::collections::BTreeMap;

use proto::v1;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{expect_rows, unsigned};
use crate::error::Error;
use crate::lifecycle::{CaseStage, Removal, State, Verdict};

/// The state of a case, and the number of its reports that are not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseFacts {
    pub state: State,
    pub reports: i32,
}

impl CaseFacts {
    /// A case without events.
    pub const NEW: Self = Self {
        state: State::NEW,
        reports: 0,
    };
}

/// Adds reports, given as (report id, case id). Returns the case id of each report that was not known.
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

/// Marks reports as withdrawn. Returns the case id of each report that was not withdrawn before.
pub async fn withdraw_reports(
    conn: &mut PgConnection,
    reports: &[Uuid],
) -> sqlx::Result<Vec<Uuid>> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "-- withdraw_reports
        update report set withdrawn = true
        where report_id = any($1) and not withdrawn
        returning case_id",
    )
    .bind(reports)
    .fetch_all(conn)
    .await
}

/// Locks the known ones of these cases, in ascending order.
pub async fn lock(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> Result<BTreeMap<Uuid, CaseFacts>, Error> {
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
            let state = parse_state(&verdict, held, &removal)
                .ok_or_else(|| Error::bad_row("case_fact", "verdict", &case))?;
            Ok((case, CaseFacts { state, reports }))
        })
        .collect()
}

/// Inserts or updates cases. The caller holds the lock of the tree, so no other transaction inserts the same
/// cases.
pub async fn save(conn: &mut PgConnection, cases: &BTreeMap<Uuid, CaseFacts>) -> Result<(), Error> {
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
    expect_rows("case_fact", saved.rows_affected(), cases.len())
}

/// The cases with the same facts, and totals.
#[derive(FromRow)]
struct FactGroup {
    verdict: Option<String>,
    held: Option<bool>,
    removal: Option<String>,
    cases: Option<i64>,
    reports: Option<i64>,
    accepted: i64,
    withdrawn: i64,
    events: i64,
}

/// Compares the accepted reports with the reports in the stages, in one snapshot.
///
/// `accepted` counts the rows of `report`. The stages are summed from `case_fact`, where each case has its
/// own number of reports, which other statements maintain. A report that joined no case, a case that was
/// lost, and a report that was counted twice therefore all make `lost` differ from 0.
pub async fn conservation(conn: &mut PgConnection) -> Result<v1::GetConservationResponse, Error> {
    // One statement is one snapshot. Without cases it returns one row with the totals.
    let rows: Vec<FactGroup> = sqlx::query_as(
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
    let mut stages: BTreeMap<CaseStage, (i64, i64)> = CaseStage::ALL
        .iter()
        .map(|stage| (*stage, (0, 0)))
        .collect();
    let (mut accepted, mut events) = (0, 0);
    for row in rows {
        (accepted, events) = (row.accepted, row.events);
        stages.insert(CaseStage::ReportWithdrawn, (row.withdrawn, 0));
        if let (Some(verdict), Some(held), Some(removal)) = (row.verdict, row.held, row.removal) {
            let state = parse_state(&verdict, held, &removal)
                .ok_or_else(|| Error::bad_row("case_fact", "verdict", "a group"))?;
            let (reports, cases) = stages.entry(state.stage()).or_default();
            *reports += row.reports.unwrap_or_default();
            *cases += row.cases.unwrap_or_default();
        }
    }
    let counted: i64 = stages.values().map(|(reports, _)| reports).sum();
    let cases: i64 = stages.values().map(|(_, cases)| cases).sum();
    Ok(v1::GetConservationResponse {
        accepted: unsigned("report", "rows", accepted)?,
        cases: unsigned("case_fact", "rows", cases)?,
        lost: accepted - counted,
        events: unsigned("tree", "size", events)?,
        gauges: Vec::new(),
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

fn parse_state(verdict: &str, held: bool, removal: &str) -> Option<State> {
    let verdict = Verdict::ALL.iter().find(|v| v.as_str() == verdict)?;
    let removal = Removal::ALL.iter().find(|r| r.as_str() == removal)?;
    Some(State {
        verdict: *verdict,
        held,
        removal: *removal,
    })
}
