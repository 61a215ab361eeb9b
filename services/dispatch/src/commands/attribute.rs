//! What DNS said about hosts that the directory does not know by name.

use std::net::IpAddr;
use std::sync::Arc;

use domain::id::CaseId;
use domain::word::LiveState;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Rules;
use super::episode::addressees;
use super::work::Work;
use crate::Error;
use crate::directory::Provider;

/// The addresses of a case's host; none where the name does not resolve.
#[derive(Debug, Clone)]
pub struct Attributed {
    pub case_id: CaseId,
    pub addresses: Vec<IpAddr>,
}

/// Opens the episodes that waited for a look-up.
pub async fn attributed(
    conn: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    found: &[Attributed],
) -> Result<(), Error> {
    let mut work = Work::load(conn, rules, now, found.iter().map(|f| f.case_id)).await?;
    for item in found {
        let Some(dossier) = work.dossiers.get_mut(&item.case_id) else {
            continue;
        };
        if dossier.case.resolve_at.is_none() || dossier.case.live != LiveState::Up {
            continue;
        }
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        for address in &item.addresses {
            let known = work.cx.directory.by_address(*address);
            for provider in known.into_iter().flat_map(|p| addressees(&work.cx, p)) {
                if providers.iter().all(|p| p.id != provider.id) {
                    providers.push(provider);
                }
            }
        }
        if providers.is_empty() {
            dossier.begin_without_contact(&work.cx)?;
        } else {
            dossier.open_episode(&work.cx, &providers);
        }
    }
    work.store(conn).await
}
