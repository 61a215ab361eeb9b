//! Reports received from intake: each opens or joins a case, which is decided at once if a list or a rule
//! matches. A report never changes a decision or a proof.

use std::collections::HashMap;

use domain::hash::Hash;
use domain::id::{CaseId, ReportId, Subject};
use platform::batch::fold::by_key;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, ascending, verdict};
use crate::case::{Case, StoredReport};
use crate::context::{CommandContext, OpenedContent};
use crate::error::Error;
use crate::lifecycle::Command;
use crate::matching::{self, MatchKeys};
use crate::store;
use crate::store::reports::CountedReport;

/// A report from an event, with its content opened.
pub(crate) struct ReceivedReport {
    pub(crate) event: Uuid,
    pub(crate) case: CaseId,
    pub(crate) stored: StoredReport,
    pub(crate) self_reported: bool,
    pub(crate) under_13: bool,
    /// The member of staff who sent it, if one did.
    pub(crate) submitted_by: Option<Subject>,
    pub(crate) content: OpenedContent,
}

/// A case with the new reports of the batch.
struct JoinedCase<'a> {
    case: Case,
    is_new: bool,
    /// Content of the last of them.
    content: &'a OpenedContent,
    keys: MatchKeys,
}

pub(crate) async fn receive(
    conn: &mut PgConnection,
    context: &CommandContext,
    now: OffsetDateTime,
    batch: &[ReceivedReport],
) -> Result<(), Error> {
    // Before any case is locked, because loading changed lists and rules may take a while.
    let index = context.match_index.current(conn).await?;
    let ids: Vec<Uuid> = batch.iter().map(|report| report.stored.id.uuid()).collect();
    let mut known_cases: HashMap<Uuid, Case> =
        store::cases::lock(conn, &ascending(batch.iter().map(|report| report.case)))
            .await?
            .into_iter()
            .map(|case| (case.id.uuid(), case))
            .collect();
    // Each report counts once, however often its event is received.
    let mut counted = store::reports::counted(conn, &ids).await?;
    let new_reports: Vec<&ReceivedReport> = batch
        .iter()
        .filter(|report| counted.insert(report.stored.id.uuid()))
        .collect();

    let mut joined_cases: Vec<JoinedCase<'_>> = Vec::new();
    for (id, positions) in by_key(&new_reports, |report| report.case) {
        let reports: Vec<&ReceivedReport> = positions
            .into_iter()
            .map(|position| new_reports[position])
            .collect();
        joined_cases.push(join(
            context,
            known_cases.remove(&id.uuid()),
            &reports,
            index.version,
        )?);
    }

    let mut out = Outbox::new(now);
    let matchable: Vec<usize> = (0..joined_cases.len())
        .filter(|position| joined_cases[*position].case.awaits_match())
        .collect();
    let keys: Vec<&MatchKeys> = matchable
        .iter()
        .map(|position| &joined_cases[*position].keys)
        .collect();
    let found = matching::find_matches(conn, &index, &keys).await?;
    for (position, matched) in matchable.into_iter().zip(found) {
        let joined = &mut joined_cases[position];
        if let Some(matched) = matched {
            verdict::apply_match(context, &mut joined.case, joined.content, matched, &mut out)?;
        }
    }
    for joined in &mut joined_cases {
        let case = &mut joined.case;
        case.reannounce_due |= case.state.has_actionable_verdict() && case.dispatch_closed;
        verdict::emit_due_reannouncement(context, case, &mut out)?;
    }
    write(conn, joined_cases, &new_reports, out).await
}

/// Counts new reports into their case.
fn join<'a>(
    context: &CommandContext,
    known: Option<Case>,
    reports: &[&'a ReceivedReport],
    version: i64,
) -> Result<JoinedCase<'a>, Error> {
    // A group has at least one report.
    let (first, last) = (reports[0], reports[reports.len() - 1]);
    let is_new = known.is_none();
    let mut case = known.unwrap_or_else(|| {
        let mut case = Case::new(first.case, first.stored.clone(), first.event);
        case.matched_version = version;
        case
    });
    let mut keys = MatchKeys {
        url: Some(last.content.url.clone()),
        ..MatchKeys::default()
    };
    for report in reports {
        case.reports += 1;
        case.self_reported |= report.self_reported;
        case.under_13 |= report.under_13;
        if let Some(subject) = report.submitted_by
            && !case.submitted_by.contains(&subject.uuid())
        {
            case.submitted_by.push(subject.uuid());
        }
        case.hash_kinds.join(report.content.hash_kinds());
        case.apply(Command::Join)?;
        keys.add(&context.keyring, &report.content.hashes);
    }
    case.cause = last.event;
    keys.withdrawn_bases.clone_from(&case.withdrawn_bases);
    if !keys.tags.is_empty() && !case.awaits_match() {
        // Matched when the case returns to the queue.
        case.request_match();
    }
    Ok(JoinedCase {
        case,
        is_new,
        content: &last.content,
        keys,
    })
}

async fn write(
    conn: &mut PgConnection,
    joined_cases: Vec<JoinedCase<'_>>,
    new_reports: &[&ReceivedReport],
    out: Outbox,
) -> Result<(), Error> {
    let tags: Vec<(Uuid, [u8; 32])> = joined_cases
        .iter()
        .flat_map(|joined| {
            let id = joined.case.id.uuid();
            joined.keys.tags.iter().map(move |tag| (id, *tag))
        })
        .collect();
    let (new, changed): (Vec<JoinedCase<'_>>, Vec<JoinedCase<'_>>) =
        joined_cases.into_iter().partition(|joined| joined.is_new);
    let new: Vec<Case> = new.into_iter().map(|joined| joined.case).collect();
    let changed: Vec<Case> = changed.into_iter().map(|joined| joined.case).collect();
    if store::cases::insert(conn, &new).await? != new.len() {
        return Err(Error::Concurrent);
    }
    store::cases::save(conn, &changed).await?;

    let reports: Vec<CountedReport<'_>> = new_reports
        .iter()
        .map(|report| CountedReport {
            id: report.stored.id,
            case: report.case,
            sealed_content: has_pdq(&report.content)
                .then_some(report.stored.sealed_content.as_slice()),
        })
        .collect();
    store::reports::insert(conn, &reports).await?;
    store::reports::insert_tags(conn, &tags).await?;
    out.store(conn).await?;
    Ok(())
}

fn has_pdq(content: &OpenedContent) -> bool {
    content
        .hashes
        .iter()
        .any(|hash| matches!(hash, Hash::Pdq(_)))
}

/// Counts withdrawn reports. The case stays: a withdrawal does not take the URL offline.
pub(crate) async fn withdraw(
    conn: &mut PgConnection,
    batch: &[(CaseId, ReportId)],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = batch.iter().map(|(_, report)| report.uuid()).collect();
    let mut cases =
        store::cases::lock(conn, &ascending(batch.iter().map(|(case, _)| *case))).await?;
    let counted = store::reports::counted(conn, &ids).await?;
    if ids.iter().any(|id| !counted.contains(id)) {
        return Err(Error::UnprocessableEvent("withdraws an unknown report"));
    }
    for case_id in store::reports::withdraw(conn, &ids).await? {
        let case = cases
            .iter_mut()
            .find(|case| case.id.uuid() == case_id)
            .ok_or(Error::UnprocessableEvent(
                "withdraws a report of another case",
            ))?;
        case.withdrawn_reports += 1;
    }
    store::cases::save(conn, &cases).await?;
    Ok(())
}
