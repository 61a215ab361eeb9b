//! Who stands above a host: upstream, then the registrar.

use std::sync::Arc;

use domain::id::ProviderId;
use domain::word::{NoticeState, Rung};
use time::OffsetDateTime;

use super::dossier::{Context, Dossier};
use crate::directory::Provider;

impl Dossier {
    /// Upstream or the registrar of whoever hosts it: those of them that were not told in this episode. Where there are
    /// none, those of whoever pointed elsewhere: the name is still theirs.
    pub(super) fn further_up(&mut self, cx: &Context<'_>, rung: Rung, due: OffsetDateTime) -> bool {
        let (hosts, pointed) = self.hosts();
        let mut fired = false;
        for host in &hosts {
            fired |= self.up_from(cx, *host, *host, rung, due);
        }
        if !fired {
            for host in pointed {
                let without_effect = hosts.last().copied().unwrap_or(host);
                fired |= self.up_from(cx, host, without_effect, rung, due);
            }
        }
        fired
    }

    /// Opens a step to whoever stands above the addressee of one notice, and goes past another.
    fn up_from(
        &mut self,
        cx: &Context<'_>,
        from: usize,
        past: usize,
        rung: Rung,
        due: OffsetDateTime,
    ) -> bool {
        let id = self.notices[from].provider_id.clone();
        let Some(next) = self.above(cx, &id, rung) else {
            return false;
        };
        let opened = self.open_step(cx, &next, rung, None);
        self.escalate(cx, past, rung, Some(opened), due);
        true
    }

    /// The newest notices to those who host it, as far as is known, and to those who said that they do not.
    fn hosts(&self) -> (Vec<usize>, Vec<usize>) {
        let is_host = |provider: &ProviderId| {
            self.current().any(|n| {
                self.notices[n].rung == Rung::Host && self.notices[n].provider_id == *provider
            })
        };
        self.branches()
            .into_iter()
            .filter(|n| is_host(&self.notices[*n].provider_id))
            .partition(|n| {
                !matches!(
                    self.notices[*n].state,
                    NoticeState::NotOurs | NoticeState::Moved
                )
            })
    }

    /// Who stands above a provider on this rung, if the directory knows and nobody told them in this episode.
    fn above(&self, cx: &Context<'_>, id: &ProviderId, rung: Rung) -> Option<Arc<Provider>> {
        let provider = cx.directory.get(id)?;
        let above = match rung {
            Rung::Upstream => provider.upstream.as_ref(),
            Rung::Registrar => provider.registrar.as_ref(),
            Rung::Host | Rung::Remind | Rung::NextContact | Rung::Regulator | Rung::Supervisor => {
                None
            }
        }?;
        let above = cx.directory.get(above)?;
        (!self.is_noticed(&above.id)).then(|| Arc::clone(above))
    }

    /// When a provider is out: the next in its chain (upstream, then registrar) is told at once. `false` when none is.
    pub(super) fn next_in_chain(&mut self, cx: &Context<'_>, n: usize) -> bool {
        let mut from = vec![n];
        let (hosts, pointed) = self.hosts();
        from.extend(hosts.into_iter().chain(pointed).filter(|host| *host != n));
        for rung in [Rung::Upstream, Rung::Registrar] {
            for branch in &from {
                let id = self.notices[*branch].provider_id.clone();
                if let Some(next) = self.above(cx, &id, rung) {
                    let opened = self.open_step(cx, &next, rung, None);
                    self.escalate(cx, n, rung, Some(opened), cx.now);
                    self.case_mut().last_rung = Some(rung);
                    return true;
                }
            }
        }
        false
    }
}
