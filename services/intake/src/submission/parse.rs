//! From the wire to a [`Submission`]: what is wrong with an item stays with it, what is wrong with the whole refuses it.

use std::collections::BTreeSet;

use domain::hash::Hash;
use domain::id::{CaseId, PartnerId, Reference, ReportId, Subject};
use domain::invalid::optional_text;
use domain::url::ReportedUrl;
use domain::word::{AgeBand, HashKind, Media, ReportChannel};
use domain::{Invalid, wire};
use platform::error::{Kind, Problem};
use platform::principal::{Principal, Role};
use platform::sealed::{Keyring, MacPurpose, Tag, TagPurpose, random};
use platform::trace;
use prost::Message;
use proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    External, Fresh, Idempotency, Item, MAX_ITEMS, Parsed, Plain, Sender, Submission, seal,
    url_tags,
};
use crate::error::Error;

/// The longest id that a sender may give to an item, in characters.
const MAX_EXTERNAL: usize = 128;
/// How far ahead of our clock a sender's may be.
const CLOCK_SKEW: time::Duration = time::Duration::minutes(5);
const MAX_HASHES: usize = 16;

/// Parses a request. An error refuses the whole submission; bad items are kept with their reasons.
pub fn parse(
    request: v1::SubmitReportsRequest,
    sender: &Sender,
    keyring: &Keyring,
    now: OffsetDateTime,
) -> Result<Submission, Error> {
    let channel = ReportChannel::from_wire(request.channel)?;
    let (partner, daily_quota) = allowed(sender, channel)?;
    let idempotency = idempotency(&request, &sender.principal, keyring)?;
    let (age_band, number) = facts(channel, request.report_remove.as_ref())?;
    let country = country(channel, &request.reporter_country)?;
    if !matches!(request.body_digest.len(), 0 | 32) {
        let detail = "`body_digest` is not a SHA-256; send its 32 octets, or leave it out";
        return Err(Invalid::new("digest_malformed", "body_digest", detail).into());
    }
    match request.items.len() {
        0 if request.body_digest.is_empty() => return Err(Invalid::missing("items").into()),
        0..=MAX_ITEMS => {}
        many => {
            return Err(Invalid::new(
                "too_many_items",
                "items",
                format!("a submission carries at most {MAX_ITEMS} items, this one {many}; send it in parts"),
            )
            .into());
        }
    }
    let items = request
        .items
        .into_iter()
        .enumerate()
        .map(|(index, item)| Parsed {
            external_id: item.external_id.chars().take(MAX_EXTERNAL).collect(),
            item: parse_item(&item, number.as_deref(), keyring, now)
                .map_err(|invalid| invalid.within(&format!("items[{index}]"))),
        })
        .collect();
    Ok(Submission {
        id: Uuid::now_v7(),
        principal: sender.principal.actor(),
        partner,
        staff: match &sender.principal {
            Principal::Staff { subject, .. } => Some(Subject::new(*subject)),
            _ => None,
        },
        daily_quota,
        idempotency,
        channel,
        country,
        age_band,
        sees_cases: !matches!(sender.principal, Principal::Reporter),
        traceparent: trace::current(),
        items,
    })
}

/// Which channel a sender may use.
fn allowed(sender: &Sender, channel: ReportChannel) -> Result<(Option<PartnerId>, u32), Error> {
    let refused = |code: &'static str, detail: String| {
        Err(Problem::new(Kind::Forbidden, code, detail)
            .field("channel")
            .into())
    };
    match (&sender.principal, &sender.partner) {
        (Principal::Partner { id, .. }, Some((own, quota))) if *own == channel => {
            Ok((Some(PartnerId::new(*id)), *quota))
        }
        (Principal::Partner { .. }, Some((own, _))) => refused(
            "channel_not_yours",
            format!(
                "your key is for the channel {own}; send that, or ask the hotline for another key"
            ),
        ),
        (Principal::Reporter, _) if channel == ReportChannel::Public => Ok((None, 0)),
        (Principal::Reporter, _) => refused(
            "channel_needs_key",
            format!("the channel {channel} needs a partner's key; without one, send `public`"),
        ),
        (Principal::Staff { roles, .. }, _)
            if roles.has(Role::Operator) || roles.has(Role::Analyst) =>
        {
            Ok((None, 0))
        }
        _ => refused(
            "role_required",
            "submitting reports needs the role analyst or operator, or a partner's key".into(),
        ),
    }
}

fn idempotency(
    request: &v1::SubmitReportsRequest,
    principal: &Principal,
    keyring: &Keyring,
) -> Result<Option<Idempotency>, Invalid> {
    let key = optional_text("idempotency_key", &request.idempotency_key, 128)?;
    if key.is_empty() {
        return Ok(None);
    }
    // Everybody at the public form is one principal: a key that somebody else may choose too would be theirs as well.
    if matches!(principal, Principal::Reporter) && !is_unguessable(&key) {
        return Err(Invalid::new(
            "idempotency_key_weak",
            "idempotency_key",
            "without a credential the idempotency key must be unguessable; send a random UUID, or no key",
        ));
    }
    let body = request.encode_to_vec();
    Ok(Some(Idempotency {
        key,
        mac: keyring.mac(MacPurpose::Body, &[&body]),
        body,
    }))
}

/// Long enough for 128 random bits: a UUID, 32 hexadecimal digits, or 22 characters of base64url.
fn is_unguessable(key: &str) -> bool {
    let hexadecimal = key.bytes().all(|b| b.is_ascii_hexdigit());
    let base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    Uuid::try_parse(key).is_ok()
        || key.len() >= if hexadecimal { 32 } else { 22 } && key.bytes().all(base64url)
}

/// Report Remove takes three facts and no more; the other channels take none of them.
fn facts(
    channel: ReportChannel,
    facts: Option<&v1::ReportRemoveFacts>,
) -> Result<(Option<AgeBand>, Option<String>), Invalid> {
    match (channel, facts) {
        (ReportChannel::ReportRemove, None) => Err(Invalid::missing("report_remove")),
        (ReportChannel::ReportRemove, Some(facts)) => {
            if !facts.under_18 {
                return Err(Invalid::new(
                    "not_under_18",
                    "report_remove.under_18",
                    "Report Remove is for people under 18; send adults' reports by another channel",
                ));
            }
            let band = AgeBand::from_wire(facts.age_band).map_err(|i| i.within("report_remove"))?;
            let number =
                domain::invalid::text("report_remove.unique_number", &facts.unique_number, 128)?;
            Ok((Some(band), Some(number)))
        }
        (_, None) => Ok((None, None)),
        (_, Some(_)) => Err(Invalid::new(
            "report_remove_not_here",
            "report_remove",
            "these facts belong to the channel report_remove alone; leave them out",
        )),
    }
}

fn country(channel: ReportChannel, country: &str) -> Result<Option<String>, Invalid> {
    if country.is_empty() {
        return Ok(None);
    }
    if channel == ReportChannel::ReportRemove {
        return Err(Invalid::new(
            "country_not_here",
            "reporter_country",
            "Report Remove takes no country; leave it out",
        ));
    }
    if country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase()) {
        Ok(Some(country.to_owned()))
    } else {
        Err(Invalid::new(
            "country_malformed",
            "reporter_country",
            "send the country as two capital letters of ISO 3166-1, such as GB, or leave it out",
        ))
    }
}

fn parse_item(
    item: &v1::ReportItem,
    unique_number: Option<&str>,
    keyring: &Keyring,
    now: OffsetDateTime,
) -> Result<Item, Invalid> {
    let external_id = optional_text("external_id", &item.external_id, MAX_EXTERNAL)?;
    // With Report Remove the child's number is what the helpline asks by, and there is no place for a fourth fact.
    if unique_number.is_some_and(|number| !external_id.is_empty() && external_id != number) {
        return Err(Invalid::new(
            "external_id_not_here",
            "external_id",
            "Report Remove takes no id but `unique_number`; leave `external_id` out, or send the same number",
        ));
    }
    let external = unique_number
        .map(str::to_owned)
        .or((!external_id.is_empty()).then_some(external_id))
        .map(|text| External {
            tag: current(keyring.tags(TagPurpose::Reference, text.as_bytes())),
            text,
        });
    if item.url.trim().is_empty() {
        return Err(Invalid::new(
            "url_missing",
            "url",
            "a report needs a URL: a hash alone names nothing that can be taken down; send the address",
        ));
    }
    let spelling = ReportedUrl::parse(&item.url).map_err(|error| error.at("url"))?;
    let media = Media::from_wire_optional(item.media)?;
    let received_at = item
        .received_at
        .as_ref()
        .map(|at| wire::time("received_at", at))
        .transpose()?;
    if received_at.is_some_and(|at| at > now + CLOCK_SKEW) {
        return Err(Invalid::new(
            "time_in_future",
            "received_at",
            "`received_at` lies in the future; send when you received it, or leave it out",
        ));
    }
    let sealed_item = v1::SealedItem {
        url: spelling.canonical().reveal().to_owned(),
        hashes: hashes(&item.hashes)?,
    }
    .encode_to_vec();
    let tags = url_tags(keyring, spelling.canonical());
    let plain = Plain {
        spelling,
        item: sealed_item,
    };
    let (report, case) = (ReportId::new(Uuid::now_v7()), CaseId::new(Uuid::now_v7()));
    let (key, wrapped) = keyring.new_data_key(case.uuid());
    let reference = Reference::from_random(random());
    Ok(Item {
        report,
        reference_tag: current(keyring.tags(TagPurpose::Reference, reference.symbols().as_bytes())),
        reference,
        fresh: Fresh {
            case,
            sealed: seal(&key, case, report, &plain, external.as_ref()),
            wrapped,
        },
        external,
        tags,
        media,
        received_at,
        plain,
    })
}

fn current(tags: Vec<Tag>) -> Tag {
    tags.into_iter()
        .next()
        // A keyring does not open without an index key.
        .expect("a keyring has a current index key")
}

/// Normal form: parsed, one of each, sorted.
fn hashes(hashes: &[v1::Hash]) -> Result<Vec<v1::Hash>, Invalid> {
    if hashes.len() > MAX_HASHES {
        return Err(Invalid::new(
            "too_many_hashes",
            "hashes",
            format!("an item carries at most {MAX_HASHES} hashes; send the strongest of each kind"),
        ));
    }
    let mut parsed = BTreeSet::new();
    for (index, hash) in hashes.iter().enumerate() {
        let at = format!("hashes[{index}]");
        let kind = HashKind::from_wire(hash.kind).map_err(|_| {
            let detail = "send one of md5, sha1, sha256, pdq";
            Invalid::new("hash_kind", format!("{at}.kind"), detail)
        })?;
        let value = Hash::parse(kind, &hash.value).map_err(|e| e.at(format!("{at}.value")))?;
        parsed.insert((kind.wire(), value.reveal_hex()));
    }
    Ok(parsed
        .into_iter()
        .map(|(kind, value)| v1::Hash { kind, value })
        .collect())
}
