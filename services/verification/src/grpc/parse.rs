//! From the wire into our own types; what does not fit is refused with its place and what to send instead.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Invalid;
use domain::hash::Hash;
use domain::invalid::{optional_text, text};
use domain::wire::{time, timestamp};
use domain::word::{Category, HashKind, NotActionableReason, StaffRole};
use platform::principal::{Role, Roles};
use proto::v1;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::case::Finding;
use crate::commands::decide::{Item, Verdict};
use crate::commands::lists::Line;
use crate::store::queue::Place;

const PAGE: u32 = 50;
const MAX_PAGE: u32 = 100;
/// In a staff token a name has at most 200 bytes, and a character up to four.
const MAX_NAME: usize = 50;
const MIN_PASSWORD: usize = 12;
const MAX_PASSWORD: usize = 200;
const MAX_REASON: usize = 500;
const MAX_LIST: usize = 64;

pub(crate) fn staff_name(name: &str) -> Result<String, Invalid> {
    text("name", name, MAX_NAME)
}

/// A new password. It is long or refused; what is in it is its owner's business.
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

/// A password or session that is only compared: bounded, so that nobody makes us hash a book.
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
        .map(|(place, number)| {
            let role = StaffRole::from_wire(*number).map_err(|mut invalid| {
                invalid.field = format!("roles[{place}]");
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

/// A person's reason, kept sealed.
pub(super) fn reason(value: &str) -> Result<String, Invalid> {
    text("reason", value, MAX_REASON)
}

/// Why somebody proposes a rule, if they say so; kept sealed.
pub(super) fn rule_reason(value: &str) -> Result<String, Invalid> {
    optional_text("rule.reason", value, MAX_REASON)
}

pub(super) fn too_many(field: &str, detail: &str) -> Invalid {
    Invalid::new("too_many_items", field, detail)
}

pub(super) fn token(value: &str) -> Result<Uuid, Invalid> {
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
            "`limit` is 1 to 100 where no case is named",
        )),
    }
}

pub(super) fn item(wire: &v1::DecisionItem) -> Result<Item, Invalid> {
    Ok(Item {
        case: wire.case_id.parse()?,
        token: token(&wire.claim_token)?,
        version: i64::try_from(wire.version)
            .ok()
            .filter(|version| *version > 0)
            .ok_or_else(|| Invalid::missing("version"))?,
        verdict: verdict(wire.verdict.as_ref())?,
    })
}

fn verdict(wire: Option<&v1::Verdict>) -> Result<Verdict, Invalid> {
    use v1::verdict::Verdict as Wire;
    let missing = || {
        Invalid::new(
            "verdict_missing",
            "verdict",
            "send one verdict: actionable with a category, not_actionable with a reason, second_look, needs_information, uphold, gone or withdraw",
        )
    };
    let within = |invalid: Invalid| invalid.within("verdict");
    match wire
        .and_then(|verdict| verdict.verdict)
        .ok_or_else(missing)?
    {
        Wire::Actionable(category) => Category::from_wire(category)
            .map(Verdict::Actionable)
            .map_err(within),
        Wire::NotActionable(reason) => NotActionableReason::from_wire(reason)
            .map(Verdict::NotActionable)
            .map_err(within),
        Wire::SecondLook(true) => Ok(Verdict::SecondLook),
        Wire::NeedsInformation(true) => Ok(Verdict::NeedsInformation),
        Wire::Uphold(true) => Ok(Verdict::Uphold),
        Wire::Withdraw(true) => Ok(Verdict::Withdraw),
        Wire::Gone(true) => Ok(Verdict::Gone),
        Wire::SecondLook(false)
        | Wire::NeedsInformation(false)
        | Wire::Uphold(false)
        | Wire::Withdraw(false)
        | Wire::Gone(false) => Err(missing()),
    }
}

/// The version of a list or a rule that somebody read.
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
    if value.len() > MAX_LIST || !value.chars().all(fits) {
        return Err(Invalid::new(
            "list_malformed",
            "list",
            "the name of a list has 1 to 64 lower-case letters, digits, `-`, `_` and `.`",
        ));
    }
    Ok(value.to_owned())
}

pub(super) fn line(place: usize, wire: &v1::HashEntry) -> Result<Line, Invalid> {
    use v1::hash_entry::Verdict as Wire;
    let hash = wire.hash.as_ref().ok_or_else(|| Invalid::missing("hash"))?;
    let kind = HashKind::from_wire(hash.kind).map_err(|mut invalid| {
        "hash.kind".clone_into(&mut invalid.field);
        invalid
    })?;
    let hash = Hash::parse(kind, &hash.value).map_err(|e| e.at("hash.value"))?;
    let finding = match wire.verdict {
        Some(Wire::Actionable(category)) => Some(Ok(category)),
        Some(Wire::NotActionable(reason)) => Some(Err(reason)),
        None => None,
    };
    Ok(Line {
        hash,
        finding: self::finding(finding)?,
        place,
    })
}

/// What a list or a rule decides: a category (`Ok`) or a reason (`Err`).
pub(super) fn finding(wire: Option<Result<i32, i32>>) -> Result<Finding, Invalid> {
    match wire {
        Some(Ok(category)) => Category::from_wire(category).map(Finding::Actionable),
        Some(Err(reason)) => NotActionableReason::from_wire(reason).map(Finding::NotActionable),
        None => Err(Invalid::new(
            "verdict_missing",
            "verdict",
            "send one verdict: actionable with a category, or not_actionable with a reason",
        )),
    }
}

pub(super) fn page_size(page: Option<&v1::Page>) -> u32 {
    match page.map_or(0, |page| page.size) {
        0 => PAGE,
        size => size.min(MAX_PAGE),
    }
}

pub(super) fn cursor(page: Option<&v1::Page>) -> Result<Option<Place>, Invalid> {
    let text = page.map_or("", |page| page.cursor.as_str());
    if text.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let place = bytes.as_deref().and_then(place);
    place.map(Some).ok_or_else(bad_cursor)
}

fn bad_cursor() -> Invalid {
    Invalid::new(
        "cursor_malformed",
        "page.cursor",
        "send the cursor of the previous answer as it was, or none for the first page",
    )
}

/// The cursor of a list that is in the order of its ids.
pub(super) fn id_cursor(page: Option<&v1::Page>) -> Result<Option<Uuid>, Invalid> {
    match page.map_or("", |page| page.cursor.as_str()) {
        "" => Ok(None),
        text => Uuid::parse_str(text).map(Some).map_err(|_| bad_cursor()),
    }
}

fn place(bytes: &[u8]) -> Option<Place> {
    let (priority, rest) = bytes.split_first_chunk::<4>()?;
    let (nanos, rest) = rest.split_first_chunk::<16>()?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from_be_bytes(*nanos)).ok()?;
    Some(Place {
        priority: i32::from_be_bytes(*priority),
        // No time that we gave out lies beyond these bounds, and the database has others than the calendar.
        received_at: time("page.cursor", &timestamp(at)).ok()?,
        case_id: Uuid::from_slice(rest).ok()?,
    })
}

pub(super) fn write_cursor(place: Place) -> String {
    let mut bytes = place.priority.to_be_bytes().to_vec();
    bytes.extend_from_slice(&place.received_at.unix_timestamp_nanos().to_be_bytes());
    bytes.extend_from_slice(place.case_id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}
