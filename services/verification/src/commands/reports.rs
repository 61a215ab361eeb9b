//! Reports heard from intake: a case is opened or joined, and decided at once where a list or a rule knows it.
//! A report never disturbs a decision or a proof.

use std::collections::HashMap;

use domain::hash::Hash;
use domain::id::{CaseId, ReportId, Subject};
use platform::batch::fold::by_key;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Outbox, ascending, verdict};
use crate::case::{Case, Item};
use crate::error::Error;
use crate::lifecycle::Command;
use crate::matching::{self, Marks};
use crate::means::{Means, OpenItem};
use crate::store;
use crate::store::reports::NewReport;

/// A report as the event tells it, already opened.
pub(crate) struct Received {
    pub(crate) event: Uuid,
    pub(crate) case: CaseId,
    pub(crate) item: Item,
    pub(crate) self_reported: bool,
    pub(crate) under_13: bool,
    /// A member of staff who reported it.
    pub(crate) submitted_by: Option<Subject>,
    pub(crate) open: OpenItem,
}

/// A case of the batch while it is worked on.
struct Work<'a> {
    case: Case,
    is_new: bool,
    /// The last of its new reports.
    open: &'a OpenItem,
    marks: Marks,
}

pub(crate) async fn receive(
    conn: &mut PgConnection,
    means: &Means,
    now: OffsetDateTime,
    batch: &[Received],
) -> Result<(), Error> {
    // Before any case is locked: reading the approved lists and rules again may take a while.
    let held = means.library.current(conn).await?;
    let ids: Vec<Uuid> = batch
        .iter()
        .map(|report| report.item.report.uuid())
        .collect();
    let mut known_cases: HashMap<Uuid, Case> =
        store::cases::lock(conn, &ascending(batch.iter().map(|report| report.case)))
            .await?
            .into_iter()
            .map(|case| (case.id.uuid(), case))
            .collect();
    // A report that was heard before counts once.
    let mut heard = store::reports::known(conn, &ids).await?;
    let fresh: Vec<&Received> = batch
        .iter()
        .filter(|report| heard.insert(report.item.report.uuid()))
        .collect();

    let mut works: Vec<Work<'_>> = Vec::new();
    for (id, places) in by_key(&fresh, |report| report.case) {
        let reports: Vec<&Received> = places.into_iter().map(|place| fresh[place]).collect();
        works.push(join(
            means,
            known_cases.remove(&id.uuid()),
            &reports,
            held.epoch,
        )?);
    }

    let mut out = Outbox::new(now);
    let asked: Vec<usize> = (0..works.len())
        .filter(|place| works[*place].case.waits_for_match())
        .collect();
    let marks: Vec<&Marks> = asked.iter().map(|place| &works[*place].marks).collect();
    let found = matching::known(conn, &held, &marks).await?;
    for (place, known) in asked.into_iter().zip(found) {
        let work = &mut works[place];
        if let Some(known) = known {
            verdict::apply_known(means, &mut work.case, work.open, known, &mut out)?;
        }
    }
    for work in &mut works {
        let case = &mut work.case;
        case.announce_due |= case.state.stands() && case.dispatch_closed;
        verdict::announce_what_is_due(means, case, &mut out)?;
    }
    write(conn, works, &fresh, out).await
}

/// Counts new reports into their case.
fn join<'a>(
    means: &Means,
    known: Option<Case>,
    reports: &[&'a Received],
    epoch: i64,
) -> Result<Work<'a>, Error> {
    // A group has at least one member.
    let (first, last) = (reports[0], reports[reports.len() - 1]);
    let is_new = known.is_none();
    let mut case = known.unwrap_or_else(|| {
        let mut case = Case::opened(first.case, first.item.clone(), first.event);
        case.matched_epoch = epoch;
        case
    });
    let mut marks = Marks {
        url: Some(last.open.url.clone()),
        ..Marks::default()
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
        case.hash_kinds.join(report.open.kinds());
        case.apply(Command::Join)?;
        marks.add(&means.keyring, &report.open.hashes);
    }
    case.cause = last.event;
    marks.withdrawn.clone_from(&case.withdrawn);
    if !marks.tags.is_empty() && !case.waits_for_match() {
        // Matched when it comes back to the queue.
        case.unmatch();
    }
    Ok(Work {
        case,
        is_new,
        open: &last.open,
        marks,
    })
}

async fn write(
    conn: &mut PgConnection,
    works: Vec<Work<'_>>,
    fresh: &[&Received],
    out: Outbox,
) -> Result<(), Error> {
    let tags: Vec<(Uuid, [u8; 32])> = works
        .iter()
        .flat_map(|work| {
            let id = work.case.id.uuid();
            work.marks.tags.iter().map(move |tag| (id, *tag))
        })
        .collect();
    let (new, changed): (Vec<Work<'_>>, Vec<Work<'_>>) =
        works.into_iter().partition(|work| work.is_new);
    let new: Vec<Case> = new.into_iter().map(|work| work.case).collect();
    let changed: Vec<Case> = changed.into_iter().map(|work| work.case).collect();
    if store::cases::open(conn, &new).await? != new.len() {
        return Err(Error::Raced);
    }
    store::cases::save(conn, &changed).await?;

    let reports: Vec<NewReport<'_>> = fresh
        .iter()
        .map(|report| NewReport {
            id: report.item.report,
            case: report.case,
            sealed_item: has_near(&report.open).then_some(report.item.sealed.as_slice()),
        })
        .collect();
    store::reports::insert(conn, &reports).await?;
    store::reports::insert_tags(conn, &tags).await?;
    out.write(conn).await?;
    Ok(())
}

fn has_near(open: &OpenItem) -> bool {
    open.hashes.iter().any(|hash| matches!(hash, Hash::Pdq(_)))
}

/// A reporter took a report back. The case stays: the URL is no less there.
pub(crate) async fn withdraw(
    conn: &mut PgConnection,
    batch: &[(CaseId, ReportId)],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = batch.iter().map(|(_, report)| report.uuid()).collect();
    let mut cases =
        store::cases::lock(conn, &ascending(batch.iter().map(|(case, _)| *case))).await?;
    let known = store::reports::known(conn, &ids).await?;
    if ids.iter().any(|id| !known.contains(id)) {
        return Err(Error::Rotten("withdraws a report that was never heard"));
    }
    for case_id in store::reports::withdraw(conn, &ids).await? {
        let case = cases
            .iter_mut()
            .find(|case| case.id.uuid() == case_id)
            .ok_or(Error::Rotten("withdraws a report of another case"))?;
        case.withdrawn_reports += 1;
    }
    store::cases::save(conn, &cases).await?;
    Ok(())
}
