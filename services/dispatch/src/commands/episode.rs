//! Opening: a new appearance of a case, and each step of it.

use std::sync::Arc;

use domain::id::NoticeId;
use domain::url::CanonicalUrl;
use domain::word::{DeliveryChannel, NoticeState, ProviderRole, ReviewReason, Rung};
use uuid::Uuid;

use super::dossier::{Context, Dossier};
use crate::Error;
use crate::directory::Provider;
use crate::lifecycle::{Message, case};
use crate::policy::RungRule;
use crate::store::Notice;

/// The bit of a channel in `notice.tried`.
pub(super) const fn bit(channel: DeliveryChannel) -> i16 {
    match channel {
        DeliveryChannel::Api => 1,
        DeliveryChannel::Webhook => 2,
        DeliveryChannel::Email => 4,
    }
}

/// Whom a notice about this provider's site goes to at once: a CDN and, where it is known, who serves behind it.
pub(super) fn addressees(cx: &Context<'_>, provider: &Arc<Provider>) -> Vec<Arc<Provider>> {
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

/// Whether DNS can tell who hosts it.
pub(super) fn can_be_looked_up(cx: &Context<'_>, url: &CanonicalUrl) -> bool {
    cx.rules.resolve_names && url.host().domain().is_some() && !url.is_onion()
}

impl Dossier {
    /// A new episode for a URL: to whom the directory names, else by DNS, else verification is asked.
    pub(super) fn begin(&mut self, cx: &Context<'_>, url: &CanonicalUrl) -> Result<(), Error> {
        if let Some(provider) = cx.directory.by_url(url) {
            let provider = Arc::clone(provider);
            self.open_episode(cx, &addressees(cx, &provider));
            return Ok(());
        }
        if url.is_onion() {
            self.open_episode(cx, &[]);
            self.look_no_more();
            return self.ask_review(cx, ReviewReason::Onion, None, None);
        }
        if can_be_looked_up(cx, url) {
            // The clock that nothing stops begins here: a resolver that is down for a week delays no regulator.
            self.start_episode(cx, &[]);
            self.case_mut().resolve_at = Some(cx.now);
            self.look_at(cx.now);
            return Ok(());
        }
        self.begin_without_contact(cx)
    }

    /// Nobody is known to tell: the ladder's last rungs are armed all the same.
    pub(super) fn begin_without_contact(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        self.open_episode(cx, &[]);
        self.ask_review(cx, ReviewReason::NoContact, None, None)
    }

    fn open_episode(&mut self, cx: &Context<'_>, providers: &[Arc<Provider>]) {
        self.start_episode(cx, providers);
        self.dispatch(cx, providers);
    }

    /// Nothing of an earlier appearance counts for this one.
    fn start_episode(&mut self, cx: &Context<'_>, providers: &[Arc<Provider>]) {
        self.take_regime(cx, providers);
        self.forget_claim();
        let case = self.case_mut();
        case.policy_version.clone_from(&cx.rules.policy.version);
        case.episode += 1;
        case.steps = 0;
        case.episode_at = Some(cx.now);
        case.ladder_from = None;
        case.rungs_fired = 0;
        case.fired = Some(String::new());
        case.last_rung = None;
        case.pauses = 0;
        case.paused_ms = 0;
        case.pause = None;
        case.confirmed_at = None;
        case.closed_at = None;
        case.flagged_at = None;
        case.watch_step = 0;
        case.hurried_to = None;
    }

    /// The law that holds is that of the first who is told.
    fn take_regime(&mut self, cx: &Context<'_>, providers: &[Arc<Provider>]) {
        let country = providers.first().map_or("", |p| p.country.as_str());
        let regime = cx.rules.policy.regime_for(country, self.case.category);
        self.case_mut().regime.clone_from(&regime.name);
    }

    /// Opens the first steps towards whoever hosts it and arms the ladder. Where they were found later than the episode
    /// began, the clock that never pauses goes on, with what it has fired.
    pub(super) fn dispatch(&mut self, cx: &Context<'_>, providers: &[Arc<Provider>]) {
        let now = cx.now;
        if !providers.is_empty() {
            self.put_case(case::Command::Find);
            self.take_regime(cx, providers);
            let case = self.case_mut();
            case.dispatched_at.get_or_insert(now);
            case.last_rung = Some(Rung::Host);
        }
        self.keep_fired(cx, RungRule::never_pauses);
        let case = self.case_mut();
        case.resolve_at = None;
        case.ladder_from = Some(now);
        self.forget_claim();
        for provider in providers {
            self.open_step(cx, provider, Rung::Host, None);
        }
        self.look_at(now);
    }

    /// A new step: to a provider, by its chosen channel or another.
    pub(super) fn open_step(
        &mut self,
        cx: &Context<'_>,
        provider: &Provider,
        rung: Rung,
        channel: Option<DeliveryChannel>,
    ) -> usize {
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
            // Who pulls has it before it in the listing from the commit on.
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
            tried: bit(channel),
            feed: 0,
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
            until: None,
            preserved_at: None,
            note: None,
            text: None,
            escalated_to: None,
            named: None,
            followed: false,
            attempts: 0,
            false_claims: 0,
            last_failure: None,
            returned_at: None,
            delayed_at: None,
            auto_replied_at: None,
            replied_at: None,
        };
        self.notices.push(notice);
        let n = self.notices.len() - 1;
        self.enqueue(n);
        if pulls {
            self.say_sent(cx, n, 0);
        }
        n
    }

    /// A further message about a notice: the same id, the next sequence.
    pub(super) fn send_message(&mut self, n: usize, message: Message, text: Option<Vec<u8>>) {
        let notice = self.notice_mut(n);
        notice.sequence += 1;
        notice.message = message;
        notice.text = text;
        notice.returned_at = None;
        self.enqueue(n);
    }
}
