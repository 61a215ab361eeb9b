//! Opens episodes of a case and the steps in them.

use std::sync::Arc;

use domain::enums::{DeliveryChannel, NoticeState, ProviderRole, ReviewReason, Rung};
use domain::id::NoticeId;
use domain::url::CanonicalUrl;
use uuid::Uuid;

use super::locked_case::{BatchContext, LockedCase, NoticeIdx};
use crate::Error;
use crate::cases::lifecycle::{ChannelSet, Message, case};
use crate::cases::store::Notice;
use crate::directory::Provider;

/// Providers that are notified at once about a site of this provider: itself and, for a CDN, the origin if it
/// is known.
pub(super) fn addressees(cx: &BatchContext<'_>, provider: &Arc<Provider>) -> Vec<Arc<Provider>> {
    let origin = match provider.role {
        ProviderRole::Cdn => provider.origin.as_ref(),
        ProviderRole::Host | ProviderRole::Registrar | ProviderRole::Upstream => None,
    };
    let origin = origin.and_then(|id| cx.directory.get(id));
    std::iter::once(provider)
        .chain(origin.filter(|origin| origin.id != provider.id))
        .cloned()
        .collect()
}

/// Whether the host can be found by DNS.
pub(super) fn is_resolvable(cx: &BatchContext<'_>, url: &CanonicalUrl) -> bool {
    cx.deps.resolve_names && url.host().domain().is_some() && !url.is_onion()
}

impl LockedCase {
    /// Opens an episode for a URL: notifies the provider from the directory; else resolves the host by DNS;
    /// else requests a review.
    pub(super) fn start(&mut self, cx: &BatchContext<'_>, url: &CanonicalUrl) -> Result<(), Error> {
        if let Some(provider) = cx.directory.by_url(url) {
            let provider = Arc::clone(provider);
            self.open_episode(cx, &addressees(cx, &provider));
            return Ok(());
        }
        if url.is_onion() {
            self.open_episode(cx, &[]);
            self.stop_checks();
            return self.request_review(cx, ReviewReason::Onion, None, None);
        }
        if is_resolvable(cx, url) {
            // The deadlines that never pause start now: a failing resolver must not delay the regulator's
            // rung.
            self.start_episode(cx, &[]);
            self.case_mut().resolve_at = Some(cx.now);
            self.schedule_check(cx.now);
            return Ok(());
        }
        self.start_without_contact(cx)
    }

    /// Opens an episode without a known provider; the last rungs of the ladder are armed nevertheless.
    pub(super) fn start_without_contact(&mut self, cx: &BatchContext<'_>) -> Result<(), Error> {
        self.open_episode(cx, &[]);
        self.request_review(cx, ReviewReason::NoContact, None, None)
    }

    fn open_episode(&mut self, cx: &BatchContext<'_>, providers: &[Arc<Provider>]) {
        self.start_episode(cx, providers);
        self.notify_hosts(cx, providers);
    }

    /// Starts the next episode; nothing of an earlier one counts for it.
    fn start_episode(&mut self, cx: &BatchContext<'_>, providers: &[Arc<Provider>]) {
        self.select_regime(cx, providers);
        let case = self.case_mut();
        case.removal.clear_claim();
        case.removal.restart_watch();
        case.ladder.start(cx.now);
        case.policy_version.clone_from(&cx.deps.policy.version);
        case.episode += 1;
        case.steps = 0;
        case.confirmed_at = None;
        case.closed_at = None;
    }

    /// The first notified provider's country selects the regime.
    fn select_regime(&mut self, cx: &BatchContext<'_>, providers: &[Arc<Provider>]) {
        let country = providers.first().map_or("", |p| p.country.as_str());
        let regime = cx.deps.policy.regime_for(country, self.case().category);
        self.case_mut().regime.clone_from(&regime.name);
    }

    /// Opens the first steps, to the hosts, and arms the ladder. Rungs that ignore pauses keep their
    /// deadlines and do not fire again if the hosts were found after the episode began.
    pub(super) fn notify_hosts(&mut self, cx: &BatchContext<'_>, providers: &[Arc<Provider>]) {
        let now = cx.now;
        if !providers.is_empty() {
            self.apply_to_case(case::Command::FindHost);
            self.select_regime(cx, providers);
            let case = self.case_mut();
            case.dispatched_at.get_or_insert(now);
            case.ladder.set_last_rung(Rung::Host);
        }
        let ladder = &self.regime(cx).ladder;
        let case = self.case_mut();
        case.resolve_at = None;
        case.ladder.arm(ladder, now);
        case.removal.clear_claim();
        for provider in providers {
            self.open_step(cx, provider, Rung::Host, None);
        }
        self.schedule_check(now);
    }

    /// Opens a step with a notice to a provider, by the given delivery channel or the one that it prefers;
    /// returns the notice's index.
    pub(super) fn open_step(
        &mut self,
        cx: &BatchContext<'_>,
        provider: &Provider,
        rung: Rung,
        channel: Option<DeliveryChannel>,
    ) -> NoticeIdx {
        let now = cx.now;
        let regime = self.regime(cx);
        let (acknowledge, remove) = (regime.acknowledge, regime.remove);
        let channel = channel
            .or_else(|| provider.channels().first().copied())
            .unwrap_or(provider.channel);
        let pulls = channel == DeliveryChannel::Api;
        let case = self.case_mut();
        case.steps += 1;
        let notice = Notice {
            id: NoticeId::new(Uuid::new_v4()),
            case_id: case.case_id,
            provider_id: provider.id.clone(),
            episode: case.episode,
            step: case.steps,
            rung,
            // A provider that pulls sees the notice in its listing from the commit on.
            state: if pulls {
                NoticeState::Sent
            } else {
                NoticeState::Queued
            },
            sequence: 1,
            message: match rung {
                Rung::Remind | Rung::NextContact => Message::Reminder,
                Rung::Host
                | Rung::Upstream
                | Rung::Registrar
                | Rung::Regulator
                | Rung::Supervisor => Message::Notice,
            },
            channel,
            channels_tried: ChannelSet::default().with(channel),
            listing_position: 0,
            opened_at: now,
            sent_at: pulls.then_some(now),
            delivered_at: None,
            acknowledged_at: None,
            removal_claimed_at: None,
            confirmed_at: None,
            acknowledge_due_at: now + acknowledge,
            due_at: now + remove,
            overdue_from: None,
            answer: None,
            granted_until: None,
            preserved_at: None,
            note: None,
            text: None,
            escalated_to: None,
            named_provider: None,
            follow_up_done: false,
            attempts: 0,
            false_claims: 0,
            last_failure: None,
            returned_at: None,
            delayed_at: None,
            auto_replied_at: None,
            replied_at: None,
        };
        let n = self.add_notice(notice);
        self.enqueue(n);
        if pulls {
            self.emit_sent(cx, n, 0);
        }
        n
    }

    /// Queues a further message about a notice, under the same id and the next sequence number.
    pub(super) fn send_message(&mut self, n: NoticeIdx, message: Message, text: Option<Vec<u8>>) {
        let notice = self.notice_mut(n);
        notice.sequence += 1;
        notice.message = message;
        notice.text = text;
        notice.returned_at = None;
        self.enqueue(n);
    }
}
