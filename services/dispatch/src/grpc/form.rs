//! Providers from the wire into the directory, and back.

use domain::Invalid;
use domain::id::ProviderId;
use domain::url::DomainName;
use domain::word::{DeliveryChannel, ProviderRole};
use ipnet::IpNet;
use platform::principal::{Principal, Role};
use platform::sealed::{Keyring, Opened, Purpose, SealedError};
use proto::v1;
use uuid::Uuid;

use super::preferences::{contact, webhook};
use crate::directory::Provider;
use crate::{Error, commands};

/// Names, and networks, of one provider.
const PLACES: usize = 10_000;

/// One entry of the directory, its contact sealed, and where its webhooks go.
pub(super) struct Written {
    pub(super) provider: Provider,
    pub(super) webhook_url: String,
}

pub(super) fn read(
    keyring: &Keyring,
    text: &v1::Provider,
    plain_webhooks: bool,
) -> Result<Written, Invalid> {
    let id: ProviderId = text.provider_id.parse()?;
    let row_id = Uuid::new_v4();
    let channel = DeliveryChannel::from_wire(text.channel)?;
    let mailbox = contact(&text.abuse_contact)?;
    let webhook_url = webhook("webhook_url", &text.webhook_url, plain_webhooks)?;
    let contact = (!mailbox.is_empty()).then(|| {
        keyring
            .seal_provider(Purpose::Contact, id.as_str(), row_id, mailbox.as_bytes())
            .into_bytes()
    });
    let provider = Provider {
        role: ProviderRole::from_wire(text.role)?,
        country: country(&text.country)?,
        asn: i64::from(text.asn),
        cidrs: places("cidrs", &text.cidrs, network)?,
        domains: places("domains", &text.domains, domain)?,
        upstream: other("upstream", &text.upstream)?,
        registrar: other("registrar", &text.registrar)?,
        origin: other("origin", &text.origin)?,
        channel,
        contact,
        webhook: None,
        row_id,
        id,
    };
    Ok(Written {
        provider,
        webhook_url,
    })
}

fn country(text: &str) -> Result<String, Invalid> {
    let fits = text.is_empty()
        || (text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase()));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "country_malformed",
            "country",
            "write two capital letters of ISO 3166-1, such as NL, or nothing",
        ))
    }
}

fn places<T>(
    field: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    if texts.len() > PLACES {
        return Err(Invalid::new(
            "too_many",
            field,
            format!("`{field}` may have at most {PLACES} entries"),
        ));
    }
    texts
        .iter()
        .enumerate()
        .map(|(n, text)| {
            parse(text).map_err(|invalid| Invalid {
                field: format!("{field}[{n}]"),
                ..invalid
            })
        })
        .collect()
}

fn network(text: &str) -> Result<IpNet, Invalid> {
    text.trim()
        .parse::<IpNet>()
        .map(|net| net.trunc())
        .map_err(|_| {
            Invalid::new(
                "cidr_malformed",
                "cidrs",
                "write a network such as 192.0.2.0/24 or 2001:db8::/32",
            )
        })
}

fn domain(text: &str) -> Result<DomainName, Invalid> {
    DomainName::parse(text).map_err(|_| {
        Invalid::new(
            "domain_malformed",
            "domains",
            "write a name with at least one dot, such as host.example",
        )
    })
}

fn other(field: &str, text: &str) -> Result<Option<ProviderId>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|invalid: Invalid| Invalid {
        field: field.to_owned(),
        ..invalid
    })
}

/// As staff see it; where it is reached, operators only.
pub(super) fn show(
    keyring: &Keyring,
    provider: &Provider,
    principal: &Principal,
) -> Result<v1::Provider, Error> {
    let name = |id: &Option<ProviderId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
    let operator = principal.require_role(Role::Operator).is_ok();
    let reached = if operator {
        reached(keyring, provider)?
    } else {
        Reached::default()
    };
    Ok(v1::Provider {
        provider_id: provider.id.to_string(),
        role: provider.role.wire(),
        country: provider.country.clone(),
        asn: u32::try_from(provider.asn).unwrap_or_default(),
        cidrs: provider.cidrs.iter().map(ToString::to_string).collect(),
        domains: provider
            .domains
            .iter()
            .map(|domain| domain.reveal().to_owned())
            .collect(),
        upstream: name(&provider.upstream),
        registrar: name(&provider.registrar),
        origin: name(&provider.origin),
        channel: provider.channel.wire(),
        abuse_contact: reached.contact,
        webhook_url: reached.webhook,
    })
}

/// Where a provider is reached, opened; empty where it is not.
#[derive(Default)]
pub(super) struct Reached {
    pub(super) contact: String,
    pub(super) webhook: String,
}

pub(super) fn reached(keyring: &Keyring, provider: &Provider) -> Result<Reached, Error> {
    let contact = provider.contact.as_ref().map(|sealed| {
        let (id, row) = (provider.id.as_str(), provider.row_id);
        keyring.open_provider(Purpose::Contact, id, row, sealed)
    });
    let webhook = provider.webhook.as_ref().map(|at| {
        commands::webhook::open_address(keyring, &provider.id, at.endpoint_id, &at.address)
    });
    let text = |opened: Option<Result<Opened, SealedError>>| match opened {
        Some(opened) => Ok::<_, Error>(opened?.text()?.to_owned()),
        None => Ok(String::new()),
    };
    Ok(Reached {
        contact: text(contact)?,
        webhook: text(webhook)?,
    })
}
