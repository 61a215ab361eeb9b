//! Parses a request into a [`Submission`]. An invalid report does not affect the others; an error in the
//! submission itself refuses all of it.

use std::collections::BTreeSet;

use domain::enums::{AgeBand, HashKind, Media, ReportChannel};
use domain::hash::Hash;
use domain::id::{CaseId, PartnerId, Reference, ReportId, Subject};
use domain::invalid::optional_text;
use domain::url::ReportedUrl;
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
    ExternalRef, Idempotency, MAX_REPORTS, ParsedReport, Plaintext, ProvisionalCase, Reporter,
    Submission, ValidReport, seal, url_tags,
};
use crate::error::Error;

/// Maximum length of a reporter's own id, in characters.
const MAX_EXTERNAL_ID: usize = 128;
/// How far a caller's clock may be ahead of ours.
const CLOCK_SKEW: time::Duration = time::Duration::minutes(5);
const MAX_HASHES: usize = 16;

/// Parses a request.
///
/// # Errors
///
/// Refuses the whole submission. Invalid reports are not errors: they are returned with their reasons.
pub fn parse(
    request: v1::SubmitReportsRequest,
    reporter: &Reporter,
    keyring: &Keyring,
    now: OffsetDateTime,
) -> Result<Submission, Error> {
    let channel = ReportChannel::from_wire(request.channel)?;
    let (partner, daily_quota) = check_channel(reporter, channel)?;
    let idempotency = idempotency(&request, &reporter.principal, keyring)?;
    let (age_band, unique_number) = report_remove_facts(channel, request.report_remove.as_ref())?;
    let country = country(channel, &request.reporter_country)?;
    if !matches!(request.body_digest.len(), 0 | 32) {
        let detail = "`body_digest` is not a SHA-256; send its 32 octets, or leave it out";
        return Err(Invalid::new("digest_malformed", "body_digest", detail).into());
    }
    match request.reports.len() {
        0 if request.body_digest.is_empty() => return Err(Invalid::missing("reports").into()),
        0..=MAX_REPORTS => {}
        count => {
            return Err(Invalid::new(
                "too_many_reports",
                "reports",
                format!("a submission may have at most {MAX_REPORTS} reports, and this one has {count}; split it"),
            )
            .into());
        }
    }
    let reports = request
        .reports
        .into_iter()
        .enumerate()
        .map(|(index, report)| ParsedReport {
            external_id: report.external_id.chars().take(MAX_EXTERNAL_ID).collect(),
            report: parse_report(&report, unique_number.as_deref(), keyring, now)
                .map_err(|invalid| invalid.within(&format!("reports[{index}]"))),
        })
        .collect();
    Ok(Submission {
        id: Uuid::now_v7(),
        principal: reporter.principal.actor(),
        partner,
        staff: match &reporter.principal {
            Principal::Staff { subject, .. } => Some(Subject::new(*subject)),
            _ => None,
        },
        daily_quota,
        idempotency,
        channel,
        country,
        age_band,
        sees_cases: !matches!(reporter.principal, Principal::Reporter),
        traceparent: trace::current_traceparent(),
        reports,
    })
}

/// Checks that the caller may use the channel; returns the partner and its daily quota.
fn check_channel(
    reporter: &Reporter,
    channel: ReportChannel,
) -> Result<(Option<PartnerId>, u32), Error> {
    let refusal = |code: &'static str, detail: String| {
        Err(Problem::new(Kind::Forbidden, code, detail)
            .field("channel")
            .into())
    };
    match (&reporter.principal, &reporter.partner) {
        (Principal::Partner { id, .. }, Some((own, quota))) if *own == channel => {
            Ok((Some(PartnerId::new(*id)), *quota))
        }
        (Principal::Partner { .. }, Some((own, _))) => refusal(
            "channel_not_yours",
            format!(
                "your key is for the channel {own}; send `{own}`, or ask the hotline for another key"
            ),
        ),
        (Principal::Reporter, _) if channel == ReportChannel::Public => Ok((None, 0)),
        (Principal::Reporter, _) => refusal(
            "channel_needs_key",
            format!("the channel {channel} requires a partner's key; without one, send `public`"),
        ),
        (Principal::Staff { roles, .. }, _)
            if roles.has(Role::Operator) || roles.has(Role::Analyst) =>
        {
            Ok((None, 0))
        }
        _ => refusal(
            "role_required",
            "submitting reports requires the role analyst or operator, or a partner's key".into(),
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
    // All public callers are one principal, so two of them could choose the same key unless it is
    // unguessable.
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

/// True if the key can contain 128 random bits: a UUID, 32 hexadecimal digits, or 22 characters of base64url.
fn is_unguessable(key: &str) -> bool {
    let hexadecimal = key.bytes().all(|b| b.is_ascii_hexdigit());
    let base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    Uuid::try_parse(key).is_ok()
        || key.len() >= if hexadecimal { 32 } else { 22 } && key.bytes().all(base64url)
}

/// Report Remove requires three facts and accepts no others; the other channels accept none of them.
fn report_remove_facts(
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
                    "Report Remove is for people under 18; submit adults' reports by another channel",
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
            "these facts are accepted only with the channel `report_remove`; leave them out",
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
            "Report Remove accepts no country; leave it out",
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

fn parse_report(
    report: &v1::NewReport,
    unique_number: Option<&str>,
    keyring: &Keyring,
    now: OffsetDateTime,
) -> Result<ValidReport, Invalid> {
    let external_id = optional_text("external_id", &report.external_id, MAX_EXTERNAL_ID)?;
    // With Report Remove the unique number is the external id, because a different id would be a fourth fact.
    if unique_number.is_some_and(|number| !external_id.is_empty() && external_id != number) {
        return Err(Invalid::new(
            "external_id_not_here",
            "external_id",
            "Report Remove accepts no id but `unique_number`; leave `external_id` out, or send the same number",
        ));
    }
    let external_ref = unique_number
        .map(str::to_owned)
        .or((!external_id.is_empty()).then_some(external_id))
        .map(|text| ExternalRef {
            tag: current_tag(keyring.tags(TagPurpose::Reference, text.as_bytes())),
            text,
        });
    if report.url.trim().is_empty() {
        return Err(Invalid::new(
            "url_missing",
            "url",
            "a report needs a URL, because a hash does not identify content that can be taken down; send the URL",
        ));
    }
    let reported_url =
        ReportedUrl::parse(&report.url).map_err(|error| error.into_invalid("url"))?;
    let media = Media::from_wire_optional(report.media)?;
    let received_at = report
        .received_at
        .as_ref()
        .map(|at| wire::time("received_at", at))
        .transpose()?;
    if received_at.is_some_and(|at| at > now + CLOCK_SKEW) {
        return Err(Invalid::new(
            "time_in_future",
            "received_at",
            "`received_at` is in the future; send the time when you received the report, or leave it out",
        ));
    }
    let content = v1::CaseContent {
        url: reported_url.canonical().reveal().to_owned(),
        hashes: hashes(&report.hashes)?,
    }
    .encode_to_vec();
    let tags = url_tags(keyring, reported_url.canonical());
    let plaintext = Plaintext {
        reported_url,
        content,
    };
    let (id, case) = (ReportId::new(Uuid::now_v7()), CaseId::new(Uuid::now_v7()));
    let (key, wrapped) = keyring.new_data_key(case.uuid());
    let reference = Reference::from_random(random());
    Ok(ValidReport {
        id,
        reference_tag: current_tag(
            keyring.tags(TagPurpose::Reference, reference.symbols().as_bytes()),
        ),
        reference,
        provisional: ProvisionalCase {
            case,
            sealed: seal(&key, case, id, &plaintext, external_ref.as_ref()),
            wrapped,
        },
        external_ref,
        tags,
        media,
        received_at,
        plaintext,
    })
}

fn current_tag(tags: Vec<Tag>) -> Tag {
    tags.into_iter()
        .next()
        // A keyring cannot be opened without an index key.
        .expect("a keyring has a current index key")
}

/// Validates the hashes, sorts them and removes duplicates.
fn hashes(hashes: &[v1::Hash]) -> Result<Vec<v1::Hash>, Invalid> {
    if hashes.len() > MAX_HASHES {
        return Err(Invalid::new(
            "too_many_hashes",
            "hashes",
            format!("a report may have at most {MAX_HASHES} hashes; leave some out"),
        ));
    }
    let mut parsed = BTreeSet::new();
    for (index, hash) in hashes.iter().enumerate() {
        let path = format!("hashes[{index}]");
        let kind = HashKind::from_wire(hash.kind).map_err(|_| {
            let detail = "send one of md5, sha1, sha256, pdq";
            Invalid::new("hash_kind", format!("{path}.kind"), detail)
        })?;
        let value =
            Hash::parse(kind, &hash.value).map_err(|e| e.into_invalid(format!("{path}.value")))?;
        parsed.insert((kind.wire(), value.reveal_hex()));
    }
    Ok(parsed
        .into_iter()
        .map(|(kind, value)| v1::Hash { kind, value })
        .collect())
}
