//! Finds or opens the case of each report. A canonical URL has one case forever: a transaction that loses the
//! race to open it uses the case of the winner.

use std::collections::{BTreeMap, HashMap};

use domain::id::CaseId;
use platform::sealed::{DataKey, Keyring, Tag, WrappedKey};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::error::Error;
use crate::store;
use crate::submission::ValidReport;

/// The case of a report.
pub(super) struct AttachedCase {
    pub case: CaseId,
    pub wrapped: WrappedKey,
    /// The case's data key; `None` for the report that opened the case, because it is sealed with that key
    /// already.
    pub key: Option<DataKey>,
}

/// Finds or opens the case of each report and locks all cases in ascending order. Returns one case per
/// report, in order.
pub(super) async fn attach(
    conn: &mut PgConnection,
    keyring: &Keyring,
    reports: &[&ValidReport],
    now: OffsetDateTime,
) -> Result<Vec<AttachedCase>, Error> {
    // The first report of each URL, in ascending order of the current key's tag: every transaction inserts in
    // this order.
    let mut first_reports: BTreeMap<[u8; 32], &ValidReport> = BTreeMap::new();
    for report in reports {
        first_reports.entry(url_tag(report).bytes).or_insert(report);
    }
    let cases = resolve(conn, &first_reports).await?;
    let opened: Vec<(CaseId, &WrappedKey)> = first_reports
        .iter()
        .filter(|(tag, report)| cases.get(*tag) == Some(&report.provisional.case))
        .map(|(_, report)| (report.provisional.case, &report.provisional.wrapped))
        .collect();
    store::insert_cases(conn, &opened, now).await?;

    let mut ids: Vec<_> = cases.values().map(|case| case.uuid()).collect();
    ids.sort_unstable();
    let keys: HashMap<CaseId, WrappedKey> =
        store::lock_cases(conn, &ids).await?.into_iter().collect();
    reports
        .iter()
        .map(|report| {
            let case = *cases
                .get(&url_tag(report).bytes)
                .ok_or_else(|| missing_case(report))?;
            let wrapped = keys.get(&case).ok_or_else(|| missing_case(report))?.clone();
            let key = (case != report.provisional.case)
                .then(|| keyring.unwrap(case.uuid(), &wrapped))
                .transpose()?;
            Ok(AttachedCase { case, wrapped, key })
        })
        .collect()
}

/// The case of each tag: a known case, the provisional case of the report, or a case that a concurrent
/// transaction has just opened.
async fn resolve(
    conn: &mut PgConnection,
    first_reports: &BTreeMap<[u8; 32], &ValidReport>,
) -> Result<HashMap<[u8; 32], CaseId>, Error> {
    let all: Vec<&Tag> = first_reports
        .values()
        .flat_map(|report| &report.tags)
        .collect();
    let known: HashMap<[u8; 32], CaseId> =
        store::find_tags(conn, &all).await?.into_iter().collect();
    let mut missing = Vec::new();
    for report in first_reports.values() {
        // A case that was found by the previous key's tag also gets a tag of the current key.
        let case = report.tags.iter().find_map(|tag| known.get(&tag.bytes));
        let case = case.copied().unwrap_or(report.provisional.case);
        let new = report
            .tags
            .iter()
            .filter(|tag| !known.contains_key(&tag.bytes));
        missing.extend(new.map(|tag| (tag, case)));
    }
    if missing.is_empty() {
        return Ok(known);
    }
    missing.sort_unstable_by_key(|(tag, _)| tag.bytes);
    store::insert_tags(conn, &missing).await?;
    // Read again: `on conflict do nothing` does not return the rows of a transaction that has just committed.
    Ok(store::find_tags(conn, &all).await?.into_iter().collect())
}

fn url_tag(report: &ValidReport) -> &Tag {
    // The tag of the current key; a keyring cannot be opened without one.
    &report.tags[0]
}

fn missing_case(report: &ValidReport) -> Error {
    Error::BadRow {
        table: "case_tag",
        column: "case_id",
        id: report.id.to_string(),
    }
}
