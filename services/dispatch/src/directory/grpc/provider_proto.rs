//! Conversion of providers between protobuf and the directory.

use domain::Invalid;
use domain::enums::{DeliveryChannel, ProviderRole};
use domain::id::ProviderId;
use domain::url::DomainName;
use ipnet::IpNet;
use platform::principal::{Principal, Role};
use platform::sealed::{Keyring, Purpose, SealedError, UnsealedValue};
use proto::v1;
use uuid::Uuid;

use super::preferences::parse_mailbox;
use super::preferences::parse_webhook_url;
use crate::Error;
use crate::directory::commands;
use crate::directory::snapshot::Provider;

/// Maximum domains, and maximum networks, of one provider.
const MAX_ENTRIES: usize = 10_000;

/// One entry of the directory with its contact sealed, and its webhook URL.
pub(super) struct ParsedProvider {
    pub(super) provider: Provider,
    pub(super) webhook_url: String,
}

pub(super) fn parse_provider(
    keyring: &Keyring,
    input: &v1::Provider,
    http_webhooks: bool,
) -> Result<ParsedProvider, Invalid> {
    let id: ProviderId = input.provider_id.parse()?;
    let row_id = Uuid::new_v4();
    let channel = DeliveryChannel::from_wire(input.channel)?;
    let mailbox = parse_mailbox(&input.abuse_contact)?;
    let webhook_url = parse_webhook_url("webhook_url", &input.webhook_url, http_webhooks)?;
    let contact = (!mailbox.is_empty()).then(|| {
        keyring
            .seal_provider(Purpose::Contact, id.as_str(), row_id, mailbox.as_bytes())
            .into_bytes()
    });
    let provider = Provider {
        role: ProviderRole::from_wire(input.role)?,
        country: parse_country(&input.country)?,
        asn: i64::from(input.asn),
        cidrs: parse_all("cidrs", &input.cidrs, parse_network)?,
        domains: parse_all("domains", &input.domains, parse_domain)?,
        upstream: parse_related("upstream", &input.upstream)?,
        registrar: parse_related("registrar", &input.registrar)?,
        origin: parse_related("origin", &input.origin)?,
        channel,
        contact,
        webhook: None,
        row_id,
        id,
    };
    Ok(ParsedProvider {
        provider,
        webhook_url,
    })
}

fn parse_country(text: &str) -> Result<String, Invalid> {
    let is_valid = text.is_empty()
        || (text.len() == 2 && text.bytes().all(|symbol| symbol.is_ascii_uppercase()));
    if is_valid {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(
            "country_malformed",
            "country",
            "send two capital letters of ISO 3166-1, such as NL, or nothing",
        ))
    }
}

fn parse_all<T>(
    field: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    if texts.len() > MAX_ENTRIES {
        return Err(Invalid::new(
            "too_many",
            field,
            format!("`{field}` may have at most {MAX_ENTRIES} entries"),
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

fn parse_network(text: &str) -> Result<IpNet, Invalid> {
    text.trim()
        .parse::<IpNet>()
        .map(|net| net.trunc())
        .map_err(|_| {
            Invalid::new(
                "cidr_malformed",
                "cidrs",
                "send a network such as 192.0.2.0/24 or 2001:db8::/32",
            )
        })
}

fn parse_domain(text: &str) -> Result<DomainName, Invalid> {
    DomainName::parse(text).map_err(|_| {
        Invalid::new(
            "domain_malformed",
            "domains",
            "send a name with at least one dot, such as host.example",
        )
    })
}

fn parse_related(field: &str, text: &str) -> Result<Option<ProviderId>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|invalid: Invalid| Invalid {
        field: field.to_owned(),
        ..invalid
    })
}

/// The provider as staff see it; only operators see its mailbox and webhook URL.
pub(super) fn provider_to_proto(
    keyring: &Keyring,
    provider: &Provider,
    principal: &Principal,
) -> Result<v1::Provider, Error> {
    let name = |id: &Option<ProviderId>| id.as_ref().map(ToString::to_string).unwrap_or_default();
    let is_operator = principal.require_role(Role::Operator).is_ok();
    let contacts = if is_operator {
        open_contacts(keyring, provider)?
    } else {
        OpenedContacts::default()
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
        abuse_contact: contacts.mailbox,
        webhook_url: contacts.webhook_url,
    })
}

/// A provider's contacts, unsealed; empty where it has none.
#[derive(Default)]
pub(super) struct OpenedContacts {
    pub(super) mailbox: String,
    pub(super) webhook_url: String,
}

pub(super) fn open_contacts(
    keyring: &Keyring,
    provider: &Provider,
) -> Result<OpenedContacts, Error> {
    let mailbox = provider.contact.as_ref().map(|sealed| {
        let (id, row) = (provider.id.as_str(), provider.row_id);
        keyring.open_provider(Purpose::Contact, id, row, sealed)
    });
    let webhook_url = provider.webhook.as_ref().map(|active| {
        commands::open_endpoint_address(keyring, &provider.id, active.endpoint_id, &active.address)
    });
    let text = |opened: Option<Result<UnsealedValue, SealedError>>| match opened {
        Some(opened) => Ok::<_, Error>(opened?.text()?.to_owned()),
        None => Ok(String::new()),
    };
    Ok(OpenedContacts {
        mailbox: text(mailbox)?,
        webhook_url: text(webhook_url)?,
    })
}
