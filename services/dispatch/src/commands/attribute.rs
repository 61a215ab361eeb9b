//! What DNS said about hosts that the directory does not know by name.

use std::net::IpAddr;
use std::sync::Arc;

use domain::id::CaseId;
use domain::word::{LiveState, ReviewReason};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Rules;
use super::dossier::{Context, Dossier};
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

/// Tells whoever was found in the episodes that waited for a look-up.
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
        if dossier.case.resolve_at.is_none() {
            continue;
        }
        match dossier.case.live {
            LiveState::Up | LiveState::Exhausted => {}
            // Looked up again after the hold.
            LiveState::Held => continue,
            LiveState::Gone | LiveState::Watched | LiveState::Closed | LiveState::Withdrawn => {
                dossier.case_mut().resolve_at = None;
                continue;
            }
        }
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        for address in &item.addresses {
            let known = work.cx.directory.by_address(*address);
            for provider in known.into_iter().flat_map(|p| addressees(&work.cx, p)) {
                let is_new = providers.iter().all(|p| p.id != provider.id);
                if is_new && !dossier.is_noticed(&provider.id) {
                    providers.push(provider);
                }
            }
        }
        dossier.looked_up(&work.cx, &providers)?;
    }
    work.store(conn).await
}

impl Dossier {
    fn looked_up(&mut self, cx: &Context<'_>, providers: &[Arc<Provider>]) -> Result<(), Error> {
        if !providers.is_empty() {
            self.dispatch(cx, providers);
            return Ok(());
        }
        let first = self.case.ladder_from.is_none();
        self.case_mut().resolve_at = None;
        if first {
            self.dispatch(cx, &[]);
            return self.ask_review(cx, ReviewReason::NoContact, None, None);
        }
        // A person has said already that nobody is known.
        self.give_up(cx);
        Ok(())
    }
}
