//! How one case ends: who is asked, in which order, and whether somebody acts.
//!
//! Who is asked at the same moment may answer in any order, and the order decides whom the hotline asks next. So every
//! order is played; where they differ, or where several act, a figure is a span.

use std::collections::HashMap;

use domain::word::{DeliveryChannel, ProviderRole};

use super::Span;
use crate::street::files::{Behaviour, Provider};

/// How one case ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) removed: bool,
    pub(super) false_claims: Span,
    pub(super) moved: Span,
    pub(super) reappeared: Span,
}

/// First whoever is asked at once; then, while nobody acts, one rung of the ladder after the other.
pub(super) fn fate(providers: &HashMap<&str, &Provider>, host: &str) -> Fate {
    let mut first = Play {
        providers,
        told: Vec::new(),
        moves: 0,
    };
    let Some(host) = first.find(Some(host)) else {
        return Fate::default();
    };
    first.tell(host, true);
    if host.role == ProviderRole::Cdn
        && let Some(origin) = first.find(host.origin.as_deref())
    {
        first.tell(origin, true);
    }
    let mut ends = Vec::new();
    first.settle(&mut ends);
    for rung in RUNGS {
        let (over, going_on): (Vec<_>, Vec<_>) = ends.into_iter().partition(Play::is_over);
        ends = over;
        for mut play in going_on {
            rung(&mut play);
            play.settle(&mut ends);
        }
    }
    weigh(&ends)
}

/// What all the ways in which it may go have in common.
fn weigh(ends: &[Play<'_>]) -> Fate {
    let count = |wanted: Behaviour| {
        let of = |play: &Play<'_>| play.acting().filter(|acts| *acts == wanted).count() as u64;
        // Whoever acts alone does what it is known for; beside others it may come too late for that.
        let surely = |play: &Play<'_>| of(play) == 1 && play.acting().count() == 1;
        Span {
            least: u64::from(ends.iter().all(surely)),
            most: ends.iter().map(of).max().unwrap_or_default(),
        }
    };
    let mut false_claims = count(Behaviour::ClaimsFalsely);
    if false_claims.most > 0 {
        // An honest claim that comes while a false one is looked into may be refuted with it.
        let several = ends.iter().map(|play| play.acting().count() as u64).max();
        false_claims.most = several.unwrap_or_default();
    }
    let reappeared = count(Behaviour::Reappears);
    let fewest = ends.iter().map(|play| play.moves).min();
    let most = ends.iter().map(|play| play.moves).max();
    Fate {
        removed: ends.iter().any(Play::is_over),
        false_claims,
        // A new appearance is told anew to whoever stands in front, who points elsewhere again.
        moved: Span {
            least: fewest.unwrap_or_default() * (1 + reappeared.least),
            most: most.unwrap_or_default() * (1 + reappeared.most),
        },
        reappeared,
    }
}

/// What the ladder does, in its order, after everybody who was asked at once has answered.
const RUNGS: [fn(&mut Play<'_>); 4] = [
    |play| play.remind(),
    |play| play.next_contact(),
    |play| play.further_up(upstream),
    |play| play.further_up(registrar),
];

type Above = fn(&Provider) -> Option<&str>;

fn upstream(provider: &Provider) -> Option<&str> {
    provider.upstream.as_deref()
}

fn registrar(provider: &Provider) -> Option<&str> {
    provider.registrar.as_deref()
}

/// Where a provider's notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It has not reacted yet.
    Asked,
    /// It has, by saying nothing.
    Quiet,
    /// And the ladder went past it.
    PassedBy,
    PointsElsewhere,
    Unreachable,
    Acts,
}

#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    provider: &'a Provider,
    /// As somebody who serves it, and not as somebody further up.
    is_host: bool,
    stands: Stands,
}

/// One way in which it may go.
#[derive(Clone)]
struct Play<'a> {
    providers: &'a HashMap<&'a str, &'a Provider>,
    told: Vec<Told<'a>>,
    moves: u64,
}

impl<'a> Play<'a> {
    /// Lets everybody who was asked react, in every order.
    fn settle(self, ends: &mut Vec<Self>) {
        let waiting: Vec<usize> = self.that(|told| told.stands == Stands::Asked).collect();
        if waiting.is_empty() {
            ends.push(self);
            return;
        }
        for n in waiting {
            let mut play = self.clone();
            play.react(n);
            // Somebody has acted: it may be over before the others have said a word.
            if play.told[n].stands == Stands::Acts && !play.front_is_to_speak() {
                ends.push(play.clone());
            }
            play.settle(ends);
        }
    }

    fn react(&mut self, n: usize) {
        let provider = self.told[n].provider;
        let stands = match provider.behaviour {
            Behaviour::Silent | Behaviour::Slow => Stands::Quiet,
            Behaviour::Bounces if provider.channel == DeliveryChannel::Api => Stands::Quiet,
            Behaviour::Bounces => Stands::Unreachable,
            Behaviour::NotOurs => Stands::PointsElsewhere,
            Behaviour::Prompt
            | Behaviour::Disputes
            | Behaviour::NeedsInformation
            | Behaviour::Reappears
            | Behaviour::ClaimsFalsely
            | Behaviour::Down => Stands::Acts,
        };
        self.told[n].stands = stands;
        match stands {
            Stands::Unreachable => self.next_in_chain(n),
            Stands::PointsElsewhere => self.follow(n),
            Stands::Asked | Stands::Quiet | Stands::PassedBy | Stands::Acts => {}
        }
    }

    /// It is not theirs: whoever they name is asked, else who serves behind them, else the next in the chain.
    fn follow(&mut self, n: usize) {
        let provider = self.told[n].provider;
        let named = self
            .find(provider.upstream.as_deref())
            .filter(|named| named.id != provider.id);
        let is_open = |named: &Provider| {
            let told = self.told.iter().find(|told| told.provider.id == named.id);
            told.map(Told::is_open)
        };
        match named.map(is_open) {
            Some(None) => return self.move_to(named),
            // Named and told already, and still expected to answer.
            Some(Some(true)) => return,
            Some(Some(false)) | None => {}
        }
        let behind = self.find(provider.origin.as_deref());
        match behind.filter(|behind| !self.is_told(behind)) {
            Some(behind) => self.move_to(Some(behind)),
            None => self.next_in_chain(n),
        }
    }

    fn move_to(&mut self, to: Option<&'a Provider>) {
        if let Some(to) = to {
            self.moves += 1;
            self.tell(to, true);
        }
    }

    /// Somebody is out: the first who stands above them or above another host, and was not asked.
    fn next_in_chain(&mut self, n: usize) {
        let others = self.hosts(false).into_iter().chain(self.hosts(true));
        let from: Vec<usize> = std::iter::once(n)
            .chain(others.filter(|other| *other != n))
            .collect();
        for above in [upstream as Above, registrar] {
            for n in &from {
                if self.ask_above(*n, above) {
                    return;
                }
            }
        }
    }

    /// Whoever has not acted is told a second time.
    fn remind(&mut self) {
        for told in &mut self.told {
            if told.stands == Stands::Quiet && told.provider.behaviour == Behaviour::Slow {
                told.stands = Stands::Acts;
            }
        }
    }

    /// Whoever fetches nothing is written to, and that bounces.
    fn next_contact(&mut self) {
        let bounces = |told: &Told<'_>| {
            told.stands == Stands::Quiet
                && told.provider.behaviour == Behaviour::Bounces
                && !told.provider.abuse_contact.is_empty()
        };
        for n in self.that(bounces).collect::<Vec<_>>() {
            self.told[n].stands = Stands::Unreachable;
            self.next_in_chain(n);
        }
    }

    /// The rung above every host; where there is nobody, above those who pointed elsewhere.
    fn further_up(&mut self, above: Above) {
        let mut passed = self.hosts(false);
        let last = passed.last().copied();
        passed.retain(|n| self.ask_above(*n, above));
        if passed.is_empty() {
            for n in self.hosts(true) {
                if self.ask_above(n, above) {
                    passed.extend(last);
                }
            }
        }
        for n in passed {
            if self.told[n].stands == Stands::Quiet {
                self.told[n].stands = Stands::PassedBy;
            }
        }
    }

    fn ask_above(&mut self, n: usize, above: Above) -> bool {
        let next = self.find(above(self.told[n].provider));
        match next.filter(|next| !self.is_told(next)) {
            Some(next) => {
                self.tell(next, false);
                true
            }
            None => false,
        }
    }

    fn tell(&mut self, provider: &'a Provider, is_host: bool) {
        if !self.is_told(provider) {
            self.told.push(Told {
                provider,
                is_host,
                stands: Stands::Asked,
            });
        }
    }

    /// A CDN that will say that it is not theirs: whoever is behind it waits for that, see `pages`.
    fn front_is_to_speak(&self) -> bool {
        let front = self.told[0];
        front.stands == Stands::Asked
            && front.provider.behaviour == Behaviour::NotOurs
            && front.provider.origin.is_some()
    }

    /// Who serves it, as far as is known: those who have not pointed elsewhere, or those who have.
    fn hosts(&self, pointed: bool) -> Vec<usize> {
        let wanted =
            |told: &Told<'_>| told.is_host && (told.stands == Stands::PointsElsewhere) == pointed;
        self.that(wanted).collect()
    }

    fn that(&self, wanted: impl Fn(&Told<'a>) -> bool) -> impl Iterator<Item = usize> {
        (0..self.told.len()).filter(move |n| wanted(&self.told[*n]))
    }

    fn is_told(&self, provider: &Provider) -> bool {
        self.told.iter().any(|told| told.provider.id == provider.id)
    }

    fn is_over(&self) -> bool {
        self.acting().next().is_some()
    }

    fn acting(&self) -> impl Iterator<Item = Behaviour> {
        let acting = self.told.iter().filter(|told| told.stands == Stands::Acts);
        acting.map(|told| told.provider.behaviour)
    }

    fn find(&self, id: Option<&str>) -> Option<&'a Provider> {
        id.and_then(|id| self.providers.get(id).copied())
    }
}

impl Told<'_> {
    /// Whether the hotline still expects something of it.
    fn is_open(&self) -> bool {
        matches!(self.stands, Stands::Asked | Stands::Quiet | Stands::Acts)
    }
}

#[cfg(test)]
mod tests;
