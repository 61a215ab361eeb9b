//! How one case ends: who is asked, in which order, and whether somebody acts.

use std::collections::{BTreeSet, HashMap};

use domain::word::DeliveryChannel;

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

/// First whoever is asked at once; then, if nobody acts, each further rung.
pub(super) fn fate(providers: &HashMap<&str, &Provider>, host: &str) -> Fate {
    let mut asked = Asked {
        providers,
        seen: BTreeSet::new(),
        hosts: Vec::new(),
        acting: Vec::new(),
        moves: 0,
    };
    let Some(host) = asked.find(Some(host)) else {
        return Fate::default();
    };
    asked.ask_host(host);
    if let Some(origin) = asked.find(host.origin.as_deref()) {
        asked.ask_host(origin);
    }
    let first_moves = asked.moves;
    for above in ABOVE {
        if !asked.acting.is_empty() {
            break;
        }
        asked.further_up(above);
    }
    let several = asked.acting.len() > 1;
    let has = |behaviour| asked.acting.contains(&behaviour);
    let when = |holds: bool| match (holds, several) {
        (false, _) => Span::NONE,
        (true, false) => Span::ONE,
        (true, true) => Span::ONE.perhaps(),
    };
    Fate {
        removed: !asked.acting.is_empty(),
        false_claims: when(has(Behaviour::ClaimsFalsely)),
        reappeared: when(has(Behaviour::Reappears)),
        // Whoever stands at the front of a page is heard before others act on it; further moves race with removal.
        moved: Span {
            least: first_moves.min(1),
            most: asked.moves,
        },
    }
}

/// Who stands above a provider, by rung.
const ABOVE: [fn(&Provider) -> Option<&str>; 2] = [
    |provider| provider.upstream.as_deref(),
    |provider| provider.registrar.as_deref(),
];

struct Asked<'a> {
    providers: &'a HashMap<&'a str, &'a Provider>,
    seen: BTreeSet<&'a str>,
    /// Who was asked as a host, and whether it pointed elsewhere.
    hosts: Vec<(&'a Provider, bool)>,
    /// What those do who take it down.
    acting: Vec<Behaviour>,
    moves: u64,
}

impl<'a> Asked<'a> {
    fn ask_host(&mut self, provider: &'a Provider) {
        if !self.seen.contains(provider.id.as_str()) {
            self.hosts
                .push((provider, provider.behaviour == Behaviour::NotOurs));
        }
        self.ask(provider, true);
    }

    /// Who is asked first is reminded later; a contact further up is asked once.
    fn ask(&mut self, provider: &'a Provider, is_reminded: bool) {
        if !self.seen.insert(&provider.id) {
            return;
        }
        match provider.behaviour {
            Behaviour::Silent => {}
            Behaviour::Slow if !is_reminded => {}
            Behaviour::NotOurs => {
                if let Some(named) = self.find(provider.upstream.as_deref()) {
                    self.moves += 1;
                    self.ask_host(named);
                }
            }
            Behaviour::Bounces if provider.channel == DeliveryChannel::Api => {}
            Behaviour::Bounces => {
                let hosts: Vec<_> = self.hosts.iter().map(|(host, _)| *host).collect();
                for above in ABOVE {
                    for from in std::iter::once(provider).chain(hosts.iter().copied()) {
                        let next = self.find(above(from));
                        if let Some(next) =
                            next.filter(|next| !self.seen.contains(next.id.as_str()))
                        {
                            return self.ask(next, is_reminded);
                        }
                    }
                }
            }
            acts => self.acting.push(acts),
        }
    }

    /// The rung above every host; where there is nobody, above those who pointed elsewhere.
    fn further_up(&mut self, above: fn(&Provider) -> Option<&str>) {
        for pointed_elsewhere in [false, true] {
            let hosts = self
                .hosts
                .iter()
                .filter(|(_, pointed)| *pointed == pointed_elsewhere);
            let hosts: Vec<_> = hosts.map(|(host, _)| *host).collect();
            let mut fired = false;
            for host in hosts {
                let next = self.find(above(host));
                if let Some(next) = next.filter(|next| !self.seen.contains(next.id.as_str())) {
                    self.ask(next, false);
                    fired = true;
                }
            }
            if fired {
                return;
            }
        }
    }

    fn find(&self, id: Option<&str>) -> Option<&'a Provider> {
        id.and_then(|id| self.providers.get(id).copied())
    }
}

#[cfg(test)]
mod tests {
    use domain::word::ProviderRole;

    use super::*;

    fn provider(id: &str, behaviour: Behaviour, upstream: Option<&str>) -> Provider {
        Provider {
            id: id.to_owned(),
            role: ProviderRole::Host,
            country: String::new(),
            asn: 0,
            cidrs: Vec::new(),
            domains: Vec::new(),
            abuse_contact: String::new(),
            channel: DeliveryChannel::Webhook,
            behaviour,
            upstream: upstream.map(str::to_owned),
            registrar: None,
            origin: None,
        }
    }

    fn ends(street: &[Provider], host: &str) -> Fate {
        let providers = street.iter().map(|p| (p.id.as_str(), p)).collect();
        fate(&providers, host)
    }

    #[test]
    fn each_behaviour_ends_as_it_should() {
        let street = [
            provider("acts", Behaviour::Prompt, None),
            provider("mute", Behaviour::Silent, None),
            provider("liar", Behaviour::ClaimsFalsely, None),
            provider("again", Behaviour::Reappears, None),
            provider("points-up", Behaviour::NotOurs, Some("acts")),
            provider("points-nowhere", Behaviour::NotOurs, None),
            provider("mute-below", Behaviour::Silent, Some("acts")),
            provider("bounces-below", Behaviour::Bounces, Some("liar")),
            provider("slow", Behaviour::Slow, None),
            provider("mute-below-slow", Behaviour::Silent, Some("slow")),
        ];
        let removed = Fate {
            removed: true,
            ..Fate::default()
        };
        assert_eq!(ends(&street, "acts"), removed);
        assert_eq!(ends(&street, "mute"), Fate::default());
        assert_eq!(
            ends(&street, "liar"),
            Fate {
                false_claims: Span::ONE,
                ..removed
            }
        );
        assert_eq!(
            ends(&street, "again"),
            Fate {
                reappeared: Span::ONE,
                ..removed
            }
        );
        assert_eq!(
            ends(&street, "points-up"),
            Fate {
                moved: Span::ONE,
                ..removed
            }
        );
        assert_eq!(ends(&street, "points-nowhere"), Fate::default());
        assert_eq!(ends(&street, "mute-below"), removed);
        assert_eq!(
            ends(&street, "bounces-below"),
            Fate {
                false_claims: Span::ONE,
                ..removed
            }
        );
        assert_eq!(ends(&street, "slow"), removed);
        assert_eq!(
            ends(&street, "mute-below-slow"),
            Fate::default(),
            "asked once"
        );
    }

    #[test]
    fn two_who_are_asked_at_once_make_a_span() {
        let mut edge = provider("edge", Behaviour::Prompt, None);
        edge.origin = Some("liar".to_owned());
        let street = [edge, provider("liar", Behaviour::ClaimsFalsely, None)];
        let fate = ends(&street, "edge");
        assert!(fate.removed && fate.false_claims.has(0) && fate.false_claims.has(1));
    }
}
