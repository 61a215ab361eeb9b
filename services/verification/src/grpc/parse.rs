//! Parses messages into domain types. A refusal names the field and what to send instead.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Invalid;
use domain::enums::{Category, HashKind, NotActionableReason, StaffRole};
use domain::hash::Hash;
use domain::invalid::{optional_text, text};
use domain::wire::{time, timestamp};
use platform::principal::{Role, Roles};
use proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::case::{CaseVerdict, SubmittedVerdict};
use crate::commands::decide::ClaimDecision;
use crate::commands::hash_lists::ImportEntry;
use crate::store::queue::QueuePosition;

const DEFAULT_PAGE_SIZE: i64 = 50;
const MAX_PAGE_SIZE: i64 = 100;
/// Characters.
const MIN_PASSWORD: usize = 12;
/// Bytes.
const MAX_PASSWORD: usize = 200;
/// Characters.
const MAX_REASON: usize = 500;
/// Bytes.
const MAX_LIST_NAME: usize = 64;

/// A new password. Only its length is checked (NIST SP 800-63B: no composition rules).
pub(super) fn new_password(password: String) -> Result<String, Invalid> {
    if password.is_empty() {
        return Err(Invalid::missing("password"));
    }
    if password.chars().count() < MIN_PASSWORD || password.len() > MAX_PASSWORD {
        return Err(Invalid::new(
            "password_length",
            "password",
            "a password has at least 12 characters and at most 200 bytes",
        ));
    }
    Ok(password)
}

/// A password or session id that is only compared. Bounded, because it is hashed.
pub(super) fn secret<'a>(field: &str, value: &'a str) -> Result<&'a str, Invalid> {
    if value.is_empty() {
        return Err(Invalid::missing(field));
    }
    if value.len() > MAX_PASSWORD {
        return Err(Invalid::new(
            "field_too_long",
            field,
            format!("`{field}` may have at most {MAX_PASSWORD} bytes"),
        ));
    }
    Ok(value)
}

pub(super) fn roles(wire: &[i32]) -> Result<Roles, Invalid> {
    if wire.is_empty() {
        return Err(Invalid::missing("roles"));
    }
    wire.iter()
        .enumerate()
        .map(|(index, number)| {
            let role = StaffRole::from_wire(*number).map_err(|mut invalid| {
                invalid.field = format!("roles[{index}]");
                invalid
            })?;
            Ok(match role {
                StaffRole::Analyst => Role::Analyst,
                StaffRole::Supervisor => Role::Supervisor,
                StaffRole::Operator => Role::Operator,
                StaffRole::Auditor => Role::Auditor,
            })
        })
        .collect()
}

/// The reason that a person gives; stored sealed.
pub(super) fn reason(value: &str) -> Result<String, Invalid> {
    text("reason", value, MAX_REASON)
}

/// The optional reason for a proposed rule; stored sealed.
pub(super) fn rule_reason(value: &str) -> Result<String, Invalid> {
    optional_text("rule.reason", value, MAX_REASON)
}

pub(super) fn too_many(field: &str, detail: &str) -> Invalid {
    Invalid::new("too_many_items", field, detail)
}

pub(super) fn claim_token(value: &str) -> Result<Uuid, Invalid> {
    if value.is_empty() {
        return Err(Invalid::missing("claim_token"));
    }
    Uuid::parse_str(value).map_err(|_| {
        Invalid::new(
            "id_malformed",
            "claim_token",
            "`claim_token` is not a UUID; send the one that came with the claim",
        )
    })
}

pub(super) fn limit(wire: u32) -> Result<i64, Invalid> {
    match wire {
        1..=100 => Ok(i64::from(wire)),
        _ => Err(Invalid::new(
            "limit_out_of_range",
            "limit",
            "`limit` is 1 to 100 if `case_id` is empty",
        )),
    }
}

pub(super) fn claim_decision(wire: &v1::DecisionItem) -> Result<ClaimDecision, Invalid> {
    Ok(ClaimDecision {
        case: wire.case_id.parse()?,
        claim_token: claim_token(&wire.claim_token)?,
        version: i64::try_from(wire.version)
            .ok()
            .filter(|version| *version > 0)
            .ok_or_else(|| Invalid::missing("version"))?,
        verdict: submitted_verdict(wire.verdict.as_ref())?,
    })
}

fn submitted_verdict(wire: Option<&v1::Verdict>) -> Result<SubmittedVerdict, Invalid> {
    use v1::verdict::Verdict as Wire;
    let missing = || {
        Invalid::new(
            "verdict_missing",
            "verdict",
            "send one verdict: actionable with a category, not_actionable with a reason, second_opinion, needs_information, uphold, offline or withdraw",
        )
    };
    let within = |invalid: Invalid| invalid.within("verdict");
    match wire
        .and_then(|verdict| verdict.verdict)
        .ok_or_else(missing)?
    {
        Wire::Actionable(category) => Category::from_wire(category)
            .map(SubmittedVerdict::Actionable)
            .map_err(within),
        Wire::NotActionable(reason) => NotActionableReason::from_wire(reason)
            .map(SubmittedVerdict::NotActionable)
            .map_err(within),
        Wire::SecondOpinion(true) => Ok(SubmittedVerdict::SecondOpinion),
        Wire::NeedsInformation(true) => Ok(SubmittedVerdict::NeedsInformation),
        Wire::Uphold(true) => Ok(SubmittedVerdict::Uphold),
        Wire::Withdraw(true) => Ok(SubmittedVerdict::Withdraw),
        Wire::Offline(true) => Ok(SubmittedVerdict::Offline),
        Wire::SecondOpinion(false)
        | Wire::NeedsInformation(false)
        | Wire::Uphold(false)
        | Wire::Withdraw(false)
        | Wire::Offline(false) => Err(missing()),
    }
}

/// The version of a list or a rule that the caller read.
pub(super) fn version(wire: u32) -> Result<i32, Invalid> {
    i32::try_from(wire)
        .ok()
        .filter(|version| *version > 0)
        .ok_or_else(|| Invalid::missing("version"))
}

pub(super) fn list_name(value: &str) -> Result<String, Invalid> {
    if value.is_empty() {
        return Err(Invalid::missing("list"));
    }
    let fits =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if value.len() > MAX_LIST_NAME || !value.chars().all(fits) {
        return Err(Invalid::new(
            "list_malformed",
            "list",
            "the name of a list has 1 to 64 lower-case letters, digits, `-`, `_` and `.`",
        ));
    }
    Ok(value.to_owned())
}

pub(super) fn import_entry(index: usize, wire: &v1::HashEntry) -> Result<ImportEntry, Invalid> {
    use v1::hash_entry::Verdict as Wire;
    let hash = wire.hash.as_ref().ok_or_else(|| Invalid::missing("hash"))?;
    let kind = HashKind::from_wire(hash.kind).map_err(|mut invalid| {
        "hash.kind".clone_into(&mut invalid.field);
        invalid
    })?;
    let hash = Hash::parse(kind, &hash.value).map_err(|e| e.into_invalid("hash.value"))?;
    let verdict = match wire.verdict {
        Some(Wire::Actionable(category)) => Some(Ok(category)),
        Some(Wire::NotActionable(reason)) => Some(Err(reason)),
        None => None,
    };
    Ok(ImportEntry {
        hash,
        verdict: self::case_verdict(verdict)?,
        index,
    })
}

/// The verdict of a list entry or a rule: a category (`Ok`) or a reason (`Err`).
pub(super) fn case_verdict(wire: Option<Result<i32, i32>>) -> Result<CaseVerdict, Invalid> {
    match wire {
        Some(Ok(category)) => Category::from_wire(category).map(CaseVerdict::Actionable),
        Some(Err(reason)) => NotActionableReason::from_wire(reason).map(CaseVerdict::NotActionable),
        None => Err(Invalid::new(
            "verdict_missing",
            "verdict",
            "send one verdict: actionable with a category, or not_actionable with a reason",
        )),
    }
}

pub(super) fn page_size(page_size: i32) -> Result<i64, Invalid> {
    match i64::from(page_size) {
        ..0 => Err(Invalid::new(
            "page_size_negative",
            "page_size",
            "send a positive page_size, or leave it out",
        )),
        0 => Ok(DEFAULT_PAGE_SIZE),
        size => Ok(size.min(MAX_PAGE_SIZE)),
    }
}

pub(super) fn page_token(text: &str) -> Result<Option<QueuePosition>, Invalid> {
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let position = bytes.as_deref().and_then(queue_position);
    position.map(Some).ok_or_else(bad_page_token)
}

fn bad_page_token() -> Invalid {
    Invalid::new(
        "page_token_malformed",
        "page_token",
        "send the next_page_token of the previous response unchanged, or none for the first page",
    )
}

/// The page token of a list that is sorted by id.
pub(super) fn id_page_token(text: &str) -> Result<Option<Uuid>, Invalid> {
    match text {
        "" => Ok(None),
        text => Uuid::parse_str(text)
            .map(Some)
            .map_err(|_| bad_page_token()),
    }
}

fn queue_position(bytes: &[u8]) -> Option<QueuePosition> {
    let (priority, rest) = bytes.split_first_chunk::<4>()?;
    let (nanos, rest) = rest.split_first_chunk::<16>()?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from_be_bytes(*nanos)).ok()?;
    Some(QueuePosition {
        priority: i32::from_be_bytes(*priority),
        // Rejects times outside the range of the database; a token that we issued never has one.
        received_at: time("page_token", &timestamp(at)).ok()?,
        case_id: Uuid::from_slice(rest).ok()?,
    })
}

pub(super) fn write_page_token(position: QueuePosition) -> String {
    let mut bytes = position.priority.to_be_bytes().to_vec();
    bytes.extend_from_slice(&position.received_at.unix_timestamp_nanos().to_be_bytes());
    bytes.extend_from_slice(position.case_id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}
