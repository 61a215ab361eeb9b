//! Who lives on a made street: a host for every behaviour on every channel, CDNs with an origin behind them, and the
//! upstreams and registrars that a ladder reaches.

use std::net::{Ipv4Addr, Ipv6Addr};

use domain::word::{DeliveryChannel, ProviderRole};

use super::super::files::{Behaviour, Provider};
use super::words::{COUNTRIES, Chance, KINDS, NAMES};

/// Blocks of the documentation networks (RFC 5737), eight addresses each.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

const CHANNELS: [DeliveryChannel; 3] = [
    DeliveryChannel::Api,
    DeliveryChannel::Webhook,
    DeliveryChannel::Email,
];

/// Behind the hosts. Some act and some do not, so that a ladder ends in every way.
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

/// CDNs, and what the origin behind each does.
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

/// Whether reports speak of this provider's addresses.
pub(super) fn has_pages(provider: &Provider) -> bool {
    matches!(provider.role, ProviderRole::Host | ProviderRole::Cdn)
}

/// All of them; the names and countries are the seed's, the roles are not.
pub(super) fn providers(chance: &mut Chance) -> Vec<Provider> {
    let mut names: Vec<&str> = NAMES.to_vec();
    for left in (1..names.len()).rev() {
        names.swap(left, chance.below(left + 1));
    }
    let mut made: Vec<Provider> = Vec::new();
    let mut add = |chance: &mut Chance, role, behaviour, channel| {
        let number = made.len();
        made.push(provider(
            chance,
            names[number],
            number,
            role,
            behaviour,
            channel,
        ));
        made[number].id.clone()
    };
    let upstreams: Vec<String> = UPSTREAMS
        .iter()
        .map(|(behaviour, channel)| add(chance, ProviderRole::Upstream, *behaviour, *channel))
        .collect();
    let registrars: Vec<String> = REGISTRARS
        .iter()
        .map(|(behaviour, channel)| add(chance, ProviderRole::Registrar, *behaviour, *channel))
        .collect();
    for behaviour in Behaviour::ALL {
        for channel in CHANNELS {
            add(chance, ProviderRole::Host, behaviour, channel);
        }
    }
    for (behaviour, channel, _) in CDNS {
        add(chance, ProviderRole::Cdn, behaviour, channel);
    }
    for number in upstreams.len() + registrars.len()..made.len() {
        made[number].upstream = Some(upstreams[number % upstreams.len()].clone());
        made[number].registrar = Some(registrars[number % registrars.len()].clone());
    }
    let first_cdn = made.len() - CDNS.len();
    for (offset, (_, _, behind)) in CDNS.into_iter().enumerate() {
        let is_origin = |p: &&Provider| p.role == ProviderRole::Host && p.behaviour == behind;
        made[first_cdn + offset].origin = made.iter().find(is_origin).map(|p| p.id.clone());
    }
    made
}

pub(super) fn ipv4(provider: &Provider, offset: u8) -> String {
    let base: Option<Ipv4Addr> = provider.cidrs[0]
        .split('/')
        .next()
        .and_then(|net| net.parse().ok());
    base.map_or_else(String::new, |base| {
        Ipv4Addr::from_bits(base.to_bits() + u32::from(offset % 8)).to_string()
    })
}

pub(super) fn ipv6(provider: &Provider, offset: u16) -> String {
    let base: Option<Ipv6Addr> = provider.cidrs[1]
        .split('/')
        .next()
        .and_then(|net| net.parse().ok());
    base.map_or_else(String::new, |base| {
        Ipv6Addr::from_bits(base.to_bits() + u128::from(offset)).to_string()
    })
}

fn provider(
    chance: &mut Chance,
    name: &str,
    number: usize,
    role: ProviderRole,
    behaviour: Behaviour,
    channel: DeliveryChannel,
) -> Provider {
    let id = format!("{name}-{}", chance.of(&KINDS));
    let [a, b, c] = NETWORKS[number % NETWORKS.len()];
    let block = 8 * (number / NETWORKS.len());
    let mut domains = vec![format!("{id}.example")];
    if chance.in_thousand(600) {
        domains.push(format!("{}{number}.test", chance.of(&NAMES)));
    }
    Provider {
        abuse_contact: format!("abuse@{id}.example"),
        role,
        country: (*chance.of(&COUNTRIES)).to_owned(),
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
