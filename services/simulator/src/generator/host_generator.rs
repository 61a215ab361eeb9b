//! Generates the providers of a scenario: a host for every behaviour on every delivery channel, CDNs with an origin
//! behind them, and the upstreams and registrars that a ladder contacts.

use std::net::{Ipv4Addr, Ipv6Addr};

use domain::enums::{DeliveryChannel, ProviderRole};

use super::super::scenario::{Behaviour, ScenarioProvider};
use super::rng::Rng;
use super::vocabulary::{COUNTRIES, KINDS, NAMES};

/// Blocks of the documentation networks (RFC 5737), eight addresses each.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

const CHANNELS: [DeliveryChannel; 3] = [
    DeliveryChannel::Api,
    DeliveryChannel::Webhook,
    DeliveryChannel::Email,
];

/// Upstreams of the hosts. Some remove and some do not, so that ladders end at different rungs.
const UPSTREAMS: [(Behaviour, DeliveryChannel); 4] = [
    (Behaviour::Prompt, DeliveryChannel::Webhook),
    (Behaviour::Silent, DeliveryChannel::Api),
    (Behaviour::Bounces, DeliveryChannel::Email),
    (Behaviour::Disputes, DeliveryChannel::Email),
];

const REGISTRARS: [(Behaviour, DeliveryChannel); 3] = [
    (Behaviour::Silent, DeliveryChannel::Email),
    (Behaviour::Bounces, DeliveryChannel::Webhook),
    (Behaviour::Prompt, DeliveryChannel::Api),
];

/// CDNs, each with the behaviour of the origin behind it.
const CDNS: [(Behaviour, DeliveryChannel, Behaviour); 4] = [
    (
        Behaviour::Prompt,
        DeliveryChannel::Webhook,
        Behaviour::NeedsInformation,
    ),
    (
        Behaviour::NotOurs,
        DeliveryChannel::Email,
        Behaviour::Prompt,
    ),
    (Behaviour::Silent, DeliveryChannel::Api, Behaviour::Disputes),
    (
        Behaviour::Bounces,
        DeliveryChannel::Email,
        Behaviour::Reappears,
    ),
];

/// True if reported URLs are on this provider's hosts.
pub(super) fn has_pages(provider: &ScenarioProvider) -> bool {
    matches!(provider.role, ProviderRole::Host | ProviderRole::Cdn)
}

/// Every provider. Names and countries depend on the seed; roles and behaviours do not.
pub(super) fn generate_providers(rng: &mut Rng) -> Vec<ScenarioProvider> {
    let mut names: Vec<&str> = NAMES.to_vec();
    for index in (1..names.len()).rev() {
        names.swap(index, rng.below(index + 1));
    }
    let mut providers: Vec<ScenarioProvider> = Vec::new();
    let mut add = |rng: &mut Rng, role, behaviour, channel| {
        let number = providers.len();
        providers.push(provider(
            rng,
            names[number],
            number,
            role,
            behaviour,
            channel,
        ));
        providers[number].id.clone()
    };
    let upstreams: Vec<String> = UPSTREAMS
        .iter()
        .map(|(behaviour, channel)| add(rng, ProviderRole::Upstream, *behaviour, *channel))
        .collect();
    let registrars: Vec<String> = REGISTRARS
        .iter()
        .map(|(behaviour, channel)| add(rng, ProviderRole::Registrar, *behaviour, *channel))
        .collect();
    for behaviour in Behaviour::ALL {
        for channel in CHANNELS {
            add(rng, ProviderRole::Host, behaviour, channel);
        }
    }
    for (behaviour, channel, _) in CDNS {
        add(rng, ProviderRole::Cdn, behaviour, channel);
    }
    for number in upstreams.len() + registrars.len()..providers.len() {
        providers[number].upstream = Some(upstreams[number % upstreams.len()].clone());
        providers[number].registrar = Some(registrars[number % registrars.len()].clone());
    }
    let first_cdn = providers.len() - CDNS.len();
    for (offset, (_, _, origin_behaviour)) in CDNS.into_iter().enumerate() {
        let is_origin =
            |p: &&ScenarioProvider| p.role == ProviderRole::Host && p.behaviour == origin_behaviour;
        providers[first_cdn + offset].origin =
            providers.iter().find(is_origin).map(|p| p.id.clone());
    }
    providers
}

pub(super) fn ipv4(provider: &ScenarioProvider, offset: u8) -> String {
    let base: Option<Ipv4Addr> = provider.cidrs[0]
        .split('/')
        .next()
        .and_then(|net| net.parse().ok());
    base.map_or_else(String::new, |base| {
        Ipv4Addr::from_bits(base.to_bits() + u32::from(offset % 8)).to_string()
    })
}

pub(super) fn ipv6(provider: &ScenarioProvider, offset: u16) -> String {
    let base: Option<Ipv6Addr> = provider.cidrs[1]
        .split('/')
        .next()
        .and_then(|net| net.parse().ok());
    base.map_or_else(String::new, |base| {
        Ipv6Addr::from_bits(base.to_bits() + u128::from(offset)).to_string()
    })
}

fn provider(
    rng: &mut Rng,
    name: &str,
    number: usize,
    role: ProviderRole,
    behaviour: Behaviour,
    channel: DeliveryChannel,
) -> ScenarioProvider {
    let id = format!("{name}-{}", rng.choose(&KINDS));
    let [a, b, c] = NETWORKS[number % NETWORKS.len()];
    let block = 8 * (number / NETWORKS.len());
    let mut domains = vec![format!("{id}.example")];
    if rng.in_thousand(600) {
        domains.push(format!("{}{number}.test", rng.choose(&NAMES)));
    }
    ScenarioProvider {
        abuse_contact: format!("abuse@{id}.example"),
        role,
        country: (*rng.choose(&COUNTRIES)).to_owned(),
        asn: 64_512 + number as u32,
        cidrs: vec![
            format!("{a}.{b}.{c}.{block}/29"),
            format!("2001:db8:{number:x}::/48"),
        ],
        domains,
        channel,
        behaviour,
        upstream: None,
        registrar: None,
        origin: None,
        id,
    }
}
