//! The expected outcome of one actionable case: which providers are notified, in which order, and whether one removes.
//!
//! Providers that are notified at the same time may react in any order, and the order decides whom the hotline notifies
//! next. Therefore every order is simulated; where they differ, or where several providers act, a figure is a range.

use std::collections::HashMap;

use domain::enums::{DeliveryChannel, ProviderRole};

use super::expected_figures::CountRange;
use super::scenario::{Behaviour, ScenarioProvider};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ExpectedOutcome {
    pub(super) removed: bool,
    pub(super) false_claims: CountRange,
    pub(super) moved: CountRange,
    pub(super) reappeared: CountRange,
}

/// The outcome of a case at this host. Notifies the host (and the origin behind a CDN) first, then climbs the ladder rung
/// by rung as long as no provider acts.
pub(super) fn expected_outcome(
    providers: &HashMap<&str, &ScenarioProvider>,
    host: &str,
) -> ExpectedOutcome {
    let mut first = CaseRun {
        providers,
        notified: Vec::new(),
        moves: 0,
    };
    let Some(host) = first.find(Some(host)) else {
        return ExpectedOutcome::default();
    };
    first.notify(host, true);
    if host.role == ProviderRole::Cdn
        && let Some(origin) = first.find(host.origin.as_deref())
    {
        first.notify(origin, true);
    }
    let mut runs = Vec::new();
    first.settle(&mut runs);
    for rung in RUNGS {
        let (over, open): (Vec<_>, Vec<_>) = runs.into_iter().partition(CaseRun::is_over);
        runs = over;
        for mut run in open {
            rung(&mut run);
            run.settle(&mut runs);
        }
    }
    combine(&runs)
}

/// The outcome that covers all possible runs.
fn combine(runs: &[CaseRun<'_>]) -> ExpectedOutcome {
    let range_of = |behaviour: Behaviour| {
        let count = |run: &CaseRun<'_>| {
            let acting = run.acting().filter(|acts| *acts == behaviour);
            acting.count() as u64
        };
        // A provider that acts alone shows its behaviour for certain; one among several may act too late to show it.
        let is_certain = |run: &CaseRun<'_>| count(run) == 1 && run.acting().count() == 1;
        CountRange {
            least: u64::from(runs.iter().all(is_certain)),
            most: runs.iter().map(count).max().unwrap_or_default(),
        }
    };
    let mut false_claims = range_of(Behaviour::ClaimsFalsely);
    if false_claims.most > 0 {
        // A true claim that arrives while a false one is being checked may be refuted with it.
        let acting = runs.iter().map(|run| run.acting().count() as u64).max();
        false_claims.most = acting.unwrap_or_default();
    }
    let reappeared = range_of(Behaviour::Reappears);
    let fewest = runs.iter().map(|run| run.moves).min();
    let most = runs.iter().map(|run| run.moves).max();
    ExpectedOutcome {
        removed: runs.iter().any(CaseRun::is_over),
        false_claims,
        // A reappearance is notified to the first host again, which answers `not_ours` again.
        moved: CountRange {
            least: fewest.unwrap_or_default() * (1 + reappeared.least),
            most: most.unwrap_or_default() * (1 + reappeared.most),
        },
        reappeared,
    }
}

/// The rungs of the demo's policy, in order. Each fires after every notified provider has reacted.
const RUNGS: [fn(&mut CaseRun<'_>); 4] = [
    |run| run.remind(),
    |run| run.next_contact(),
    |run| run.escalate(upstream),
    |run| run.escalate(registrar),
];

type ChainLink = fn(&ScenarioProvider) -> Option<&str>;

fn upstream(provider: &ScenarioProvider) -> Option<&str> {
    provider.upstream.as_deref()
}

fn registrar(provider: &ScenarioProvider) -> Option<&str> {
    provider.registrar.as_deref()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    /// Not yet decided.
    Pending,
    /// Does not answer.
    Silent,
    /// Does not answer, and the ladder has passed it.
    Escalated,
    NotOurs,
    Unreachable,
    Acts,
}

#[derive(Debug, Clone, Copy)]
struct Notified<'a> {
    provider: &'a ScenarioProvider,
    /// Notified as a host of the content, not as an upstream or registrar.
    is_host: bool,
    reaction: Reaction,
}

/// One possible run of a case.
#[derive(Clone)]
struct CaseRun<'a> {
    providers: &'a HashMap<&'a str, &'a ScenarioProvider>,
    notified: Vec<Notified<'a>>,
    moves: u64,
}

impl<'a> CaseRun<'a> {
    /// Lets every pending provider react, in every possible order, and adds the resulting runs.
    fn settle(self, runs: &mut Vec<Self>) {
        let pending: Vec<usize> = self
            .indices(|notified| notified.reaction == Reaction::Pending)
            .collect();
        if pending.is_empty() {
            runs.push(self);
            return;
        }
        for n in pending {
            let mut run = self.clone();
            run.react(n);
            // The content may be removed before the other providers have reacted.
            if run.notified[n].reaction == Reaction::Acts && !run.waits_for_front() {
                runs.push(run.clone());
            }
            run.settle(runs);
        }
    }

    fn react(&mut self, n: usize) {
        let provider = self.notified[n].provider;
        let reaction = match provider.behaviour {
            Behaviour::Silent | Behaviour::Slow => Reaction::Silent,
            Behaviour::Bounces if provider.channel == DeliveryChannel::Api => Reaction::Silent,
            Behaviour::Bounces => Reaction::Unreachable,
            Behaviour::NotOurs => Reaction::NotOurs,
            Behaviour::Prompt
            | Behaviour::Disputes
            | Behaviour::NeedsInformation
            | Behaviour::Reappears
            | Behaviour::ClaimsFalsely
            | Behaviour::Down => Reaction::Acts,
        };
        self.notified[n].reaction = reaction;
        match reaction {
            Reaction::Unreachable => self.notify_next_in_chain(n),
            Reaction::NotOurs => self.redirect(n),
            Reaction::Pending | Reaction::Silent | Reaction::Escalated | Reaction::Acts => {}
        }
    }

    /// After `not_ours`: notifies the named provider, otherwise the origin, otherwise the next in the chain.
    fn redirect(&mut self, n: usize) {
        let provider = self.notified[n].provider;
        let named = self
            .find(provider.upstream.as_deref())
            .filter(|named| named.id != provider.id);
        let is_open = |named: &ScenarioProvider| {
            let mut notified = self.notified.iter();
            let known = notified.find(|notified| notified.provider.id == named.id);
            known.map(Notified::is_open)
        };
        match named.map(is_open) {
            Some(None) => return self.move_to(named),
            // Already notified, and still expected to answer.
            Some(Some(true)) => return,
            Some(Some(false)) | None => {}
        }
        let origin = self.find(provider.origin.as_deref());
        match origin.filter(|origin| !self.is_notified(origin)) {
            Some(origin) => self.move_to(Some(origin)),
            None => self.notify_next_in_chain(n),
        }
    }

    fn move_to(&mut self, to: Option<&'a ScenarioProvider>) {
        if let Some(to) = to {
            self.moves += 1;
            self.notify(to, true);
        }
    }

    /// Provider `n` cannot act: notifies the first upstream or registrar, of `n` or else of another host, that is not yet
    /// notified.
    fn notify_next_in_chain(&mut self, n: usize) {
        let others = self.hosts(false).into_iter().chain(self.hosts(true));
        let candidates: Vec<usize> = std::iter::once(n)
            .chain(others.filter(|other| *other != n))
            .collect();
        for link in [upstream as ChainLink, registrar] {
            for n in &candidates {
                if self.notify_linked(*n, link) {
                    return;
                }
            }
        }
    }

    /// The first rung: a slow provider acts on the reminder.
    fn remind(&mut self) {
        for notified in &mut self.notified {
            if notified.reaction == Reaction::Silent
                && notified.provider.behaviour == Behaviour::Slow
            {
                notified.reaction = Reaction::Acts;
            }
        }
    }

    /// The second rung: a provider that does not poll is sent a mail, which bounces.
    fn next_contact(&mut self) {
        let bounces = |notified: &Notified<'_>| {
            notified.reaction == Reaction::Silent
                && notified.provider.behaviour == Behaviour::Bounces
                && !notified.provider.abuse_contact.is_empty()
        };
        for n in self.indices(bounces).collect::<Vec<_>>() {
            self.notified[n].reaction = Reaction::Unreachable;
            self.notify_next_in_chain(n);
        }
    }

    /// Escalates every host; where that notifies no provider, those that answered `not_ours`.
    fn escalate(&mut self, link: ChainLink) {
        let mut passed = self.hosts(false);
        let last = passed.last().copied();
        passed.retain(|n| self.notify_linked(*n, link));
        if passed.is_empty() {
            for n in self.hosts(true) {
                if self.notify_linked(n, link) {
                    passed.extend(last);
                }
            }
        }
        for n in passed {
            if self.notified[n].reaction == Reaction::Silent {
                self.notified[n].reaction = Reaction::Escalated;
            }
        }
    }

    fn notify_linked(&mut self, n: usize, link: ChainLink) -> bool {
        let next = self.find(link(self.notified[n].provider));
        match next.filter(|next| !self.is_notified(next)) {
            Some(next) => {
                self.notify(next, false);
                true
            }
            None => false,
        }
    }

    fn notify(&mut self, provider: &'a ScenarioProvider, is_host: bool) {
        if !self.is_notified(provider) {
            self.notified.push(Notified {
                provider,
                is_host,
                reaction: Reaction::Pending,
            });
        }
    }

    /// True while a CDN has yet to answer `not_ours`: the origin behind it acts only afterwards, see `pages`.
    fn waits_for_front(&self) -> bool {
        let front = self.notified[0];
        front.reaction == Reaction::Pending
            && front.provider.behaviour == Behaviour::NotOurs
            && front.provider.origin.is_some()
    }

    /// The hosts of the content: those that did not answer `not_ours`, or those that did.
    fn hosts(&self, not_ours: bool) -> Vec<usize> {
        self.indices(|notified| {
            notified.is_host && (notified.reaction == Reaction::NotOurs) == not_ours
        })
        .collect()
    }

    fn indices(&self, filter: impl Fn(&Notified<'a>) -> bool) -> impl Iterator<Item = usize> {
        (0..self.notified.len()).filter(move |n| filter(&self.notified[*n]))
    }

    fn is_notified(&self, provider: &ScenarioProvider) -> bool {
        self.notified
            .iter()
            .any(|notified| notified.provider.id == provider.id)
    }

    fn is_over(&self) -> bool {
        self.acting().next().is_some()
    }

    fn acting(&self) -> impl Iterator<Item = Behaviour> {
        let acting = self
            .notified
            .iter()
            .filter(|notified| notified.reaction == Reaction::Acts);
        acting.map(|notified| notified.provider.behaviour)
    }

    fn find(&self, id: Option<&str>) -> Option<&'a ScenarioProvider> {
        id.and_then(|id| self.providers.get(id).copied())
    }
}

impl Notified<'_> {
    /// True if the hotline still expects an answer or a removal.
    fn is_open(&self) -> bool {
        matches!(
            self.reaction,
            Reaction::Pending | Reaction::Silent | Reaction::Acts
        )
    }
}

#[cfg(test)]
mod tests;
