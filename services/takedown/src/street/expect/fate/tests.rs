//! Streets of a few houses, and how a case on them ends. What each behaviour comes to is in the words of the street's
//! data; who is asked when, in those of the demo's policy.

use super::*;

const CHANNELS: [DeliveryChannel; 3] = [
    DeliveryChannel::Api,
    DeliveryChannel::Webhook,
    DeliveryChannel::Email,
];

fn provider(id: &str, behaviour: Behaviour, upstream: Option<&str>) -> Provider {
    Provider {
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

fn cdn(id: &str, behaviour: Behaviour, upstream: Option<&str>, origin: &str) -> Provider {
    Provider {
        role: ProviderRole::Cdn,
        origin: Some(origin.to_owned()),
        ..provider(id, behaviour, upstream)
    }
}

fn registered(provider: Provider, registrar: &str) -> Provider {
    Provider {
        registrar: Some(registrar.to_owned()),
        ..provider
    }
}

/// How a case of the first ends.
fn ends(street: &[Provider]) -> Fate {
    let providers = street.iter().map(|p| (p.id.as_str(), p)).collect();
    fate(&providers, &street[0].id)
}

const OPEN: Fate = Fate {
    removed: false,
    false_claims: exactly(0),
    moved: exactly(0),
    reappeared: exactly(0),
};

const GONE: Fate = Fate {
    removed: true,
    ..OPEN
};

const fn exactly(figure: u64) -> Span {
    Span {
        least: figure,
        most: figure,
    }
}

const fn up_to(most: u64) -> Span {
    Span { least: 0, most }
}

const fn moved(fate: Fate, moved: u64) -> Fate {
    Fate {
        moved: exactly(moved),
        ..fate
    }
}

use super::Behaviour::{
    Bounces, ClaimsFalsely, Disputes, Down, NeedsInformation, NotOurs, Prompt, Reappears, Silent,
    Slow,
};

#[test]
fn each_behaviour_alone_ends_as_the_data_says_on_every_channel() {
    for channel in CHANNELS {
        for behaviour in Behaviour::ALL {
            let mut alone = provider("alone", behaviour, None);
            alone.channel = channel;
            let wanted = match behaviour {
                Prompt | Slow | Disputes | NeedsInformation | Down => GONE,
                Silent | Bounces | NotOurs => OPEN,
                Reappears => Fate {
                    reappeared: exactly(1),
                    ..GONE
                },
                ClaimsFalsely => Fate {
                    false_claims: exactly(1),
                    ..GONE
                },
            };
            assert_eq!(ends(&[alone]), wanted, "{behaviour} by {channel}");
        }
    }
}

/// Every pair of a host and whoever stands above it, on every channel of the host's, as upstream and as registrar.
#[test]
fn whoever_stands_above_acts_where_the_host_does_not() {
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
                    let is = ends(&[host, provider("above", above, None)]);
                    let is_pulled = channel == DeliveryChannel::Api;
                    let acts = !matches!(below, Silent | Bounces | NotOurs);
                    let at_once = below == NotOurs || (below == Bounces && !is_pulled);
                    let above_acts = match above {
                        Silent | Bounces | NotOurs => false,
                        // Reminded only where it was asked at once.
                        Slow => at_once,
                        _ => true,
                    };
                    let what = format!("{below} by {channel} below {above}, {is_registrar}");
                    assert_eq!(is.removed, acts || above_acts, "{what}");
                    let actor = if acts { below } else { above };
                    let again = u64::from(actor == Reappears);
                    let lies = u64::from(actor == ClaimsFalsely);
                    let moves = u64::from(below == NotOurs && !is_registrar) * (1 + again);
                    assert_eq!(is.reappeared, exactly(again), "{what}");
                    assert_eq!(is.false_claims, exactly(lies), "{what}");
                    assert_eq!(is.moved, exactly(moves), "{what}");
                }
            }
        }
    }
}

/// Every pair of a CDN and the origin behind it.
#[test]
fn a_cdn_and_its_origin_are_asked_at_once() {
    for front in Behaviour::ALL {
        for behind in Behaviour::ALL {
            let is = ends(&[
                cdn("front", front, None, "behind"),
                provider("behind", behind, None),
            ]);
            let acting = |one: Behaviour| !matches!(one, Silent | Bounces | NotOurs);
            let what = format!("{front} before {behind}");
            assert_eq!(is.removed, acting(front) || acting(behind), "{what}");
            assert_eq!(is.moved, exactly(0), "{what}: nobody is named");
            // Whoever is slow has not been reminded when the other one acts.
            let at_once = |one: Behaviour| u8::from(acting(one) && one != Slow);
            let alone = at_once(front) + at_once(behind) == 1;
            let one = |wanted| front == wanted || behind == wanted;
            if one(Reappears) {
                let most = u64::from(front == Reappears) + u64::from(behind == Reappears);
                let surely = u64::from(alone);
                assert_eq!(
                    (is.reappeared.least, is.reappeared.most),
                    (surely, most),
                    "{what}"
                );
            }
            if one(ClaimsFalsely) {
                let surely = u64::from(alone);
                assert!(is.false_claims.has(1), "{what}");
                assert_eq!(is.false_claims.least, surely, "{what}");
            }
        }
    }
}

#[test]
fn an_appearance_is_moved_anew_each_time() {
    let street = [
        provider("points", NotOurs, Some("again")),
        provider("again", Reappears, None),
    ];
    let wanted = Fate {
        reappeared: exactly(1),
        ..moved(GONE, 2)
    };
    assert_eq!(ends(&street), wanted);
    let chain = [
        provider("one", NotOurs, Some("two")),
        provider("two", NotOurs, Some("three")),
        provider("three", Prompt, None),
    ];
    assert_eq!(ends(&chain), moved(GONE, 2));
}

#[test]
fn whoever_is_named_and_knows_already_is_not_moved_to() {
    let twice = |behind| {
        [
            cdn("front", NotOurs, Some("behind"), "behind"),
            provider("behind", behind, None),
        ]
    };
    assert_eq!(ends(&twice(Prompt)), GONE);
    assert_eq!(ends(&twice(Silent)), OPEN);
    let elsewhere = [
        cdn("front", NotOurs, Some("up"), "behind"),
        provider("up", Silent, None),
        provider("behind", Prompt, None),
    ];
    assert_eq!(
        ends(&elsewhere),
        moved(GONE, 1),
        "it speaks before others act"
    );
    let [_, up, behind] = elsewhere;
    let up = Provider {
        behaviour: NotOurs,
        upstream: Some("behind".to_owned()),
        ..up
    };
    let asked = [cdn("front", NotOurs, Some("up"), "behind"), up, behind];
    assert_eq!(
        ends(&asked),
        moved(GONE, 1),
        "the second move names who was told"
    );
}

#[test]
fn a_circle_ends_where_it_began() {
    let mut one = provider("one", NotOurs, Some("two"));
    let two = provider("two", NotOurs, Some("one"));
    assert_eq!(ends(&[one.clone(), two.clone()]), moved(OPEN, 1));
    let names = provider("names", Prompt, None);
    one = registered(one, "names");
    assert_eq!(ends(&[one, two, names]), moved(GONE, 1));
    let itself = provider("itself", NotOurs, Some("itself"));
    assert_eq!(ends(&[itself]), OPEN);
    // Asked as a host's upstream it names that host, which is told already: nothing moves.
    let back = [
        provider("mute", Silent, Some("points")),
        provider("points", NotOurs, Some("mute")),
    ];
    assert_eq!(ends(&back), OPEN);
}

#[test]
fn an_origin_counts_behind_a_cdn_and_where_somebody_points_behind_itself() {
    let mut host = cdn("host", Silent, None, "behind");
    host.role = ProviderRole::Host;
    let behind = provider("behind", Prompt, None);
    assert_eq!(ends(&[host.clone(), behind.clone()]), OPEN, "never asked");
    host.behaviour = NotOurs;
    assert_eq!(ends(&[host, behind]), moved(GONE, 1), "found behind it");
    let missing = [cdn("front", Prompt, None, "nobody")];
    assert_eq!(ends(&missing), GONE);
}

#[test]
fn where_nobody_is_named_the_next_in_the_chain_is_asked_at_once() {
    let street = |below| {
        [
            registered(provider("below", below, Some("unknown")), "names"),
            provider("names", Slow, None),
        ]
    };
    assert_eq!(
        ends(&street(NotOurs)),
        GONE,
        "asked at once, reminded, removed"
    );
    assert_eq!(ends(&street(Bounces)), GONE);
    assert_eq!(ends(&street(Silent)), OPEN, "asked late and once");
    // A CDN that bounces leads on to whoever stands above its origin.
    let above_origin = [
        cdn("front", Bounces, None, "behind"),
        provider("behind", Silent, Some("slow")),
        provider("slow", Slow, None),
    ];
    assert_eq!(ends(&above_origin), GONE);
    let late = [
        provider("mute", Silent, Some("points")),
        provider("points", NotOurs, Some("slow")),
        provider("slow", Slow, None),
    ];
    assert_eq!(
        ends(&late),
        moved(OPEN, 1),
        "named late is reminded as little"
    );
}

#[test]
fn two_who_act_make_a_span() {
    let street = [
        cdn("front", Prompt, None, "behind"),
        provider("behind", ClaimsFalsely, None),
    ];
    let wanted = Fate {
        false_claims: up_to(2),
        ..GONE
    };
    assert_eq!(ends(&street), wanted);
    let street = [
        cdn("front", NotOurs, Some("again"), "behind"),
        provider("again", Reappears, None),
        provider("behind", Prompt, None),
    ];
    let wanted = Fate {
        reappeared: up_to(1),
        moved: Span { least: 1, most: 2 },
        ..GONE
    };
    assert_eq!(ends(&street), wanted);
}
