//! Applies DNS results for hosts that the directory does not know by name.

use std::net::IpAddr;
use std::sync::Arc;

use domain::enums::{ContentStatus, ReviewReason};
use domain::id::CaseId;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::CommandDeps;
use super::case_batch::CaseBatch;
use super::episode::addressees;
use super::locked_case::{BatchContext, LockedCase};
use crate::Error;
use crate::directory::Provider;

/// The addresses of a case's host; empty if the name does not resolve.
#[derive(Debug, Clone)]
pub struct ResolvedHost {
    pub case_id: CaseId,
    pub addresses: Vec<IpAddr>,
}

/// Notifies the providers that were found, in the episodes that waited for a DNS lookup.
pub async fn apply_resolved_hosts(
    conn: &mut PgConnection,
    deps: &CommandDeps,
    now: OffsetDateTime,
    found: &[ResolvedHost],
) -> Result<(), Error> {
    let mut batch = CaseBatch::load(conn, deps, now, found.iter().map(|f| f.case_id)).await?;
    for host in found {
        let Some(case) = batch.cases.get_mut(&host.case_id) else {
            continue;
        };
        if case.case().resolve_at.is_none() {
            continue;
        }
        match case.case().content_status {
            ContentStatus::Online | ContentStatus::Exhausted => {}
            // Resolved again after the hold.
            ContentStatus::Held => continue,
            ContentStatus::Offline
            | ContentStatus::Watched
            | ContentStatus::Closed
            | ContentStatus::Withdrawn => {
                case.case_mut().resolve_at = None;
                continue;
            }
        }
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        for address in &host.addresses {
            let known = batch.cx.directory.by_address(*address);
            for provider in known.into_iter().flat_map(|p| addressees(&batch.cx, p)) {
                let is_new = providers.iter().all(|p| p.id != provider.id);
                if is_new && !case.is_notified(&provider.id) {
                    providers.push(provider);
                }
            }
        }
        apply_resolved(case, &batch.cx, &providers)?;
    }
    batch.store(conn).await
}

fn apply_resolved(
    case: &mut LockedCase,
    cx: &BatchContext<'_>,
    providers: &[Arc<Provider>],
) -> Result<(), Error> {
    if !providers.is_empty() {
        case.notify_hosts(cx, providers);
        return Ok(());
    }
    let first = !case.case().ladder.is_armed();
    case.case_mut().resolve_at = None;
    if first {
        case.notify_hosts(cx, &[]);
        return case.request_review(cx, ReviewReason::NoContact, None, None);
    }
    // A person has already confirmed that no provider is known.
    case.fire_remaining_rungs(cx);
    Ok(())
}
