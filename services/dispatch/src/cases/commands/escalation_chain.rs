//! The escalation chain above a host: its upstream provider, then its registrar.

use std::sync::Arc;

use domain::enums::{NoticeState, Rung};
use domain::id::ProviderId;
use time::OffsetDateTime;

use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::directory::Provider;

impl LockedCase {
    /// Notifies the upstream providers or registrars of the hosts that were not notified in this episode. If
    /// there are none, those of the providers that denied hosting: their domain or network still carries the
    /// URL. Returns whether any was.
    pub(super) fn escalate_upstream(
        &mut self,
        cx: &BatchContext<'_>,
        rung: Rung,
        due: OffsetDateTime,
    ) -> bool {
        let (hosts, denied) = self.host_notices();
        let mut fired = false;
        for host in &hosts {
            fired |= self.escalate_from(cx, *host, *host, rung, due);
        }
        if !fired {
            for host in denied {
                let escalated = hosts.last().copied().unwrap_or(host);
                fired |= self.escalate_from(cx, host, escalated, rung, due);
            }
        }
        fired
    }

    /// Opens a step to the party above the addressee of notice `from`, and escalates past notice `past`.
    fn escalate_from(
        &mut self,
        cx: &BatchContext<'_>,
        from: NoticeIdx,
        past: NoticeIdx,
        rung: Rung,
        due: OffsetDateTime,
    ) -> bool {
        let id = self.notice(from).provider_id.clone();
        let Some(next) = self.next_party(cx, &id, rung) else {
            return false;
        };
        let opened = self.open_step(cx, &next, rung, None);
        self.escalate(cx, past, rung, Some(opened), due);
        true
    }

    /// Indices of the newest notices to the known hosts, and of those to providers that denied hosting.
    fn host_notices(&self) -> (Vec<NoticeIdx>, Vec<NoticeIdx>) {
        let is_host = |provider: &ProviderId| {
            self.current_notices().any(|n| {
                self.notice(n).rung == Rung::Host && self.notice(n).provider_id == *provider
            })
        };
        self.newest_by_provider()
            .into_iter()
            .filter(|n| is_host(&self.notice(*n).provider_id))
            .partition(|n| {
                !matches!(
                    self.notice(*n).state,
                    NoticeState::NotOurs | NoticeState::Moved
                )
            })
    }

    /// The party above a provider on this rung, if the directory knows it and it was not notified in this
    /// episode.
    fn next_party(
        &self,
        cx: &BatchContext<'_>,
        id: &ProviderId,
        rung: Rung,
    ) -> Option<Arc<Provider>> {
        let provider = cx.directory.get(id)?;
        let above = match rung {
            Rung::Upstream => provider.upstream.as_ref(),
            Rung::Registrar => provider.registrar.as_ref(),
            Rung::Host | Rung::Remind | Rung::NextContact | Rung::Regulator | Rung::Supervisor => {
                None
            }
        }?;
        let above = cx.directory.get(above)?;
        (!self.is_notified(&above.id)).then(|| Arc::clone(above))
    }

    /// Notifies the next party in the chain (upstream, then registrar) at once, after a provider bounced or
    /// declined. Returns `false` if there is none.
    pub(super) fn notify_next_in_chain(&mut self, cx: &BatchContext<'_>, n: NoticeIdx) -> bool {
        let mut from = vec![n];
        let (hosts, denied) = self.host_notices();
        from.extend(hosts.into_iter().chain(denied).filter(|host| *host != n));
        for rung in [Rung::Upstream, Rung::Registrar] {
            for notice in &from {
                let id = self.notice(*notice).provider_id.clone();
                if let Some(next) = self.next_party(cx, &id, rung) {
                    let opened = self.open_step(cx, &next, rung, None);
                    self.escalate(cx, n, rung, Some(opened), cx.now);
                    self.case_mut().ladder.set_last_rung(rung);
                    return true;
                }
            }
        }
        false
    }
}
