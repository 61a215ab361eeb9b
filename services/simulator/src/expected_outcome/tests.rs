//! Scenarios with a few providers, and the expected outcome of a case in them. The effect of each behaviour follows the
//! scenario's data; who is notified when follows the demo's policy.

use super::*;

const CHANNELS: [DeliveryChannel; 3] = [
    DeliveryChannel::Api,
    DeliveryChannel::Webhook,
    DeliveryChannel::Email,
];

fn provider(id: &str, behaviour: Behaviour, upstream: Option<&str>) -> ScenarioProvider {
    ScenarioProvider {
        id: id.to_owned(),
        role: ProviderRole::Host,
        country: String::new(),
        asn: 0,
        cidrs: Vec::new(),
        domains: Vec::new(),
        abuse_contact: format!("abuse@{id}.example"),
        channel: DeliveryChannel::Webhook,
        behaviour,
        upstream: upstream.map(str::to_owned),
        registrar: None,
        origin: None,
    }
}

fn cdn(id: &str, behaviour: Behaviour, upstream: Option<&str>, origin: &str) -> ScenarioProvider {
    ScenarioProvider {
        role: ProviderRole::Cdn,
        origin: Some(origin.to_owned()),
        ..provider(id, behaviour, upstream)
    }
}

fn with_registrar(provider: ScenarioProvider, registrar: &str) -> ScenarioProvider {
    ScenarioProvider {
        registrar: Some(registrar.to_owned()),
        ..provider
    }
}

/// The expected outcome of a case at the first provider.
fn outcome(scenario: &[ScenarioProvider]) -> ExpectedOutcome {
    let providers = scenario.iter().map(|p| (p.id.as_str(), p)).collect();
    expected_outcome(&providers, &scenario[0].id)
}

const OPEN: ExpectedOutcome = ExpectedOutcome {
    removed: false,
    false_claims: CountRange::exactly(0),
    moved: CountRange::exactly(0),
    reappeared: CountRange::exactly(0),
};

const REMOVED: ExpectedOutcome = ExpectedOutcome {
    removed: true,
    ..OPEN
};

const fn up_to(most: u64) -> CountRange {
    CountRange { least: 0, most }
}

const fn moved(outcome: ExpectedOutcome, moved: u64) -> ExpectedOutcome {
    ExpectedOutcome {
        moved: CountRange::exactly(moved),
        ..outcome
    }
}

use super::Behaviour::{
    Bounces, ClaimsFalsely, Disputes, Down, NeedsInformation, NotOurs, Prompt, Reappears, Silent,
    Slow,
};

#[test]
fn each_behaviour_alone_has_its_outcome_on_every_channel() {
    for channel in CHANNELS {
        for behaviour in Behaviour::ALL {
            let mut alone = provider("alone", behaviour, None);
            alone.channel = channel;
            let wanted = match behaviour {
                Prompt | Slow | Disputes | NeedsInformation | Down => REMOVED,
                Silent | Bounces | NotOurs => OPEN,
                Reappears => ExpectedOutcome {
                    reappeared: CountRange::exactly(1),
                    ..REMOVED
                },
                ClaimsFalsely => ExpectedOutcome {
                    false_claims: CountRange::exactly(1),
                    ..REMOVED
                },
            };
            assert_eq!(outcome(&[alone]), wanted, "{behaviour} by {channel}");
        }
    }
}

/// Every pair of a host and its upstream or registrar, on every channel of the host.
#[test]
fn an_upstream_or_registrar_acts_where_the_host_does_not() {
    for channel in CHANNELS {
        for below in Behaviour::ALL {
            for above in Behaviour::ALL {
                for is_registrar in [false, true] {
                    let mut host = provider("below", below, None);
                    host.channel = channel;
                    let next = Some("above".to_owned());
                    if is_registrar {
                        host.registrar = next;
                    } else {
                        host.upstream = next;
                    }
                    let actual = outcome(&[host, provider("above", above, None)]);
                    let is_pulled = channel == DeliveryChannel::Api;
                    let acts = !matches!(below, Silent | Bounces | NotOurs);
                    let at_once = below == NotOurs || (below == Bounces && !is_pulled);
                    let above_acts = match above {
                        Silent | Bounces | NotOurs => false,
                        // Reminded only if it was notified at once.
                        Slow => at_once,
                        _ => true,
                    };
                    let what = format!("{below} by {channel} below {above}, {is_registrar}");
                    assert_eq!(actual.removed, acts || above_acts, "{what}");
                    let actor = if acts { below } else { above };
                    let again = u64::from(actor == Reappears);
                    let lies = u64::from(actor == ClaimsFalsely);
                    let moves = u64::from(below == NotOurs && !is_registrar) * (1 + again);
                    assert_eq!(actual.reappeared, CountRange::exactly(again), "{what}");
                    assert_eq!(actual.false_claims, CountRange::exactly(lies), "{what}");
                    assert_eq!(actual.moved, CountRange::exactly(moves), "{what}");
                }
            }
        }
    }
}

/// Every pair of a CDN and the origin behind it.
#[test]
fn a_cdn_and_its_origin_are_notified_at_once() {
    for front in Behaviour::ALL {
        for behind in Behaviour::ALL {
            let actual = outcome(&[
                cdn("front", front, None, "behind"),
                provider("behind", behind, None),
            ]);
            let acting = |one: Behaviour| !matches!(one, Silent | Bounces | NotOurs);
            let what = format!("{front} before {behind}");
            assert_eq!(actual.removed, acting(front) || acting(behind), "{what}");
            assert_eq!(
                actual.moved,
                CountRange::exactly(0),
                "{what}: no provider is named"
            );
            // A slow provider has not been reminded when the other one acts.
            let at_once = |one: Behaviour| u8::from(acting(one) && one != Slow);
            let alone = at_once(front) + at_once(behind) == 1;
            let one = |wanted| front == wanted || behind == wanted;
            if one(Reappears) {
                let most = u64::from(front == Reappears) + u64::from(behind == Reappears);
                let surely = u64::from(alone);
                assert_eq!(
                    (actual.reappeared.least, actual.reappeared.most),
                    (surely, most),
                    "{what}"
                );
            }
            if one(ClaimsFalsely) {
                let surely = u64::from(alone);
                assert!(actual.false_claims.contains(1), "{what}");
                assert_eq!(actual.false_claims.least, surely, "{what}");
            }
        }
    }
}

#[test]
fn every_episode_is_moved_again() {
    let scenario = [
        provider("points", NotOurs, Some("again")),
        provider("again", Reappears, None),
    ];
    let wanted = ExpectedOutcome {
        reappeared: CountRange::exactly(1),
        ..moved(REMOVED, 2)
    };
    assert_eq!(outcome(&scenario), wanted);
    let chain = [
        provider("one", NotOurs, Some("two")),
        provider("two", NotOurs, Some("three")),
        provider("three", Prompt, None),
    ];
    assert_eq!(outcome(&chain), moved(REMOVED, 2));
}

#[test]
fn a_case_is_not_moved_to_a_provider_that_is_already_notified() {
    let twice = |behind| {
        [
            cdn("front", NotOurs, Some("behind"), "behind"),
            provider("behind", behind, None),
        ]
    };
    assert_eq!(outcome(&twice(Prompt)), REMOVED);
    assert_eq!(outcome(&twice(Silent)), OPEN);
    let elsewhere = [
        cdn("front", NotOurs, Some("up"), "behind"),
        provider("up", Silent, None),
        provider("behind", Prompt, None),
    ];
    assert_eq!(
        outcome(&elsewhere),
        moved(REMOVED, 1),
        "the front answers before the others act"
    );
    let [_, up, behind] = elsewhere;
    let up = ScenarioProvider {
        behaviour: NotOurs,
        upstream: Some("behind".to_owned()),
        ..up
    };
    let known = [cdn("front", NotOurs, Some("up"), "behind"), up, behind];
    assert_eq!(
        outcome(&known),
        moved(REMOVED, 1),
        "the second answer names a notified provider"
    );
}

#[test]
fn a_circle_of_redirections_ends_at_its_first_provider() {
    let mut one = provider("one", NotOurs, Some("two"));
    let two = provider("two", NotOurs, Some("one"));
    assert_eq!(outcome(&[one.clone(), two.clone()]), moved(OPEN, 1));
    let names = provider("names", Prompt, None);
    one = with_registrar(one, "names");
    assert_eq!(outcome(&[one, two, names]), moved(REMOVED, 1));
    let itself = provider("itself", NotOurs, Some("itself"));
    assert_eq!(outcome(&[itself]), OPEN);
    // Notified as a host's upstream, it names that host, which is notified already: nothing moves.
    let back = [
        provider("mute", Silent, Some("points")),
        provider("points", NotOurs, Some("mute")),
    ];
    assert_eq!(outcome(&back), OPEN);
}

#[test]
fn an_origin_is_notified_behind_a_cdn_and_after_not_ours() {
    let mut host = cdn("host", Silent, None, "behind");
    host.role = ProviderRole::Host;
    let behind = provider("behind", Prompt, None);
    assert_eq!(
        outcome(&[host.clone(), behind.clone()]),
        OPEN,
        "never notified"
    );
    host.behaviour = NotOurs;
    assert_eq!(
        outcome(&[host, behind]),
        moved(REMOVED, 1),
        "found by its origin"
    );
    let missing = [cdn("front", Prompt, None, "unknown")];
    assert_eq!(outcome(&missing), REMOVED);
}

#[test]
fn without_a_named_provider_the_next_in_the_chain_is_notified_at_once() {
    let scenario = |below| {
        [
            with_registrar(provider("below", below, Some("unknown")), "names"),
            provider("names", Slow, None),
        ]
    };
    assert_eq!(
        outcome(&scenario(NotOurs)),
        REMOVED,
        "notified at once, reminded, removed"
    );
    assert_eq!(outcome(&scenario(Bounces)), REMOVED);
    assert_eq!(outcome(&scenario(Silent)), OPEN, "notified late and once");
    // A CDN that bounces leads to the upstream of its origin.
    let above_origin = [
        cdn("front", Bounces, None, "behind"),
        provider("behind", Silent, Some("slow")),
        provider("slow", Slow, None),
    ];
    assert_eq!(outcome(&above_origin), REMOVED);
    let late = [
        provider("mute", Silent, Some("points")),
        provider("points", NotOurs, Some("slow")),
        provider("slow", Slow, None),
    ];
    assert_eq!(
        outcome(&late),
        moved(OPEN, 1),
        "a provider named late is not reminded"
    );
}

#[test]
fn two_acting_providers_make_a_range() {
    let scenario = [
        cdn("front", Prompt, None, "behind"),
        provider("behind", ClaimsFalsely, None),
    ];
    let wanted = ExpectedOutcome {
        false_claims: up_to(2),
        ..REMOVED
    };
    assert_eq!(outcome(&scenario), wanted);
    let scenario = [
        cdn("front", NotOurs, Some("again"), "behind"),
        provider("again", Reappears, None),
        provider("behind", Prompt, None),
    ];
    let wanted = ExpectedOutcome {
        reappeared: up_to(1),
        moved: CountRange { least: 1, most: 2 },
        ..REMOVED
    };
    assert_eq!(outcome(&scenario), wanted);
}
