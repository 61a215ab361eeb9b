//! Parses a policy and reports every mistake at once, with its line and field.

use std::fmt;

use domain::enums::{Category, Rung};
use serde_saphyr::{Location, Spanned};
use time::Duration;

use super::text::{PolicyText, RegimeText, RungText};
use super::{CheckPolicy, Ladder, MAX_RUNGS, PausePolicy, Policy, Regime, RungCondition, RungRule};

/// Maximum duration in a policy: longer than any deadline, and short enough that adding it to a time cannot
/// overflow.
const MAX_DURATION: Duration = Duration::days(3650);
/// Maximum number of checks or pauses.
const MAX_COUNT: i32 = 1000;

/// One mistake in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// Line number from 1; 0 if the parser does not know it.
    pub line: u64,
    /// Path such as `regimes[2].ladder[0].after`; empty for the whole text.
    pub field: String,
    /// What to write instead.
    pub detail: String,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.detail),
            field => write!(f, "line {}: {field}: {}", self.line, self.detail),
        }
    }
}

/// Every mistake in a policy; empty for a valid one.
pub fn lint(yaml: &str) -> Vec<PolicyFault> {
    parse(yaml).err().unwrap_or_default()
}

/// Parses a policy.
///
/// # Errors
/// Every mistake in it, by line.
pub fn parse(yaml: &str) -> Result<Policy, Vec<PolicyFault>> {
    let text: PolicyText = serde_saphyr::from_str(yaml).map_err(|error| {
        vec![PolicyFault {
            line: error.location().map_or(0, |at| at.line()),
            field: String::new(),
            detail: error.without_snippet().to_string(),
        }]
    })?;
    let mut faults = FaultList::default();
    let policy = policy(&text, &mut faults);
    if faults.0.is_empty() {
        Ok(policy)
    } else {
        faults.0.sort_by_key(|fault| fault.line);
        Err(faults.0)
    }
}

#[derive(Default)]
struct FaultList(Vec<PolicyFault>);

impl FaultList {
    fn add(&mut self, at: Location, field: &str, detail: impl Into<String>) {
        self.0.push(PolicyFault {
            line: at.line(),
            field: field.to_owned(),
            detail: detail.into(),
        });
    }

    /// Parses a positive duration. Otherwise adds a fault and returns a placeholder, so that parsing
    /// continues.
    fn duration(&mut self, field: &str, text: &Spanned<String>) -> Duration {
        match duration(&text.value) {
            Some(length) if length.is_positive() && length <= MAX_DURATION => length,
            _ => {
                self.add(
                    text.referenced,
                    field,
                    "write a duration above zero, such as 90s, 15m, 4h or 7d, and at most ten years",
                );
                Duration::SECOND
            }
        }
    }

    fn text(&mut self, field: &str, text: &Spanned<String>) -> String {
        if text.value.trim().is_empty() {
            self.add(text.referenced, field, "it must not be empty");
        }
        text.value.trim().to_owned()
    }

    fn at_least(&mut self, field: &str, number: &Spanned<i32>, least: i32) -> i32 {
        if !(least..=MAX_COUNT).contains(&number.value) {
            self.add(
                number.referenced,
                field,
                format!("write a number from {least} to {MAX_COUNT}"),
            );
        }
        number.value
    }
}

/// Parses a number with one of the units `ms`, `s`, `m`, `h`, `d`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => return Some(Duration::milliseconds(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::seconds)
}

fn policy(text: &PolicyText, faults: &mut FaultList) -> Policy {
    let checks = CheckPolicy {
        min_agreeing: faults.at_least("probe.agree", &text.probe.agree, 1),
        max_checks: faults.at_least("probe.of", &text.probe.of, 1),
        interval: faults.duration("probe.every", &text.probe.every),
        online_interval: faults.duration("probe.open", &text.probe.open),
        exhausted_interval: faults.duration("probe.exhausted", &text.probe.exhausted),
        claim_window: faults.duration("probe.claim_window", &text.probe.claim_window),
    };
    if checks.max_checks < checks.min_agreeing {
        faults.add(
            text.probe.of.referenced,
            "probe.of",
            "fewer checks than must agree; write a number that is at least `agree`",
        );
    }
    let mut watch = Vec::new();
    for (n, after) in text.watch.iter().enumerate() {
        let field = format!("watch[{n}]");
        let length = faults.duration(&field, after);
        if watch.last().is_some_and(|last| *last >= length) {
            faults.add(
                after.referenced,
                &field,
                "write a later time than the one before; both count from the confirmation",
            );
        }
        watch.push(length);
    }
    let regimes = text
        .regimes
        .iter()
        .enumerate()
        .map(|(n, regime)| read_regime(n, regime, faults))
        .collect();
    validate_regimes(text, faults);
    Policy {
        version: faults.text("version", &text.version),
        checks,
        watch,
        pauses: PausePolicy {
            max_count: faults.at_least("pauses.times", &text.pauses.times, 0),
            max_each: faults.duration("pauses.each", &text.pauses.each),
            max_total: faults.duration("pauses.total", &text.pauses.total),
        },
        automatic_reply: text
            .automatic_reply
            .as_ref()
            .map(|wait| faults.duration("automatic_reply", wait)),
        regimes,
    }
}

fn validate_regimes(text: &PolicyText, faults: &mut FaultList) {
    let defaults = text.regimes.iter().filter(|r| r.value.default).count();
    if defaults != 1 {
        faults.add(
            text.version.referenced,
            "regimes",
            format!("exactly one regime must have `default: true`; {defaults} have it"),
        );
    }
    for (n, regime) in text.regimes.iter().enumerate() {
        let name = &regime.value.name;
        if text.regimes[..n]
            .iter()
            .any(|r| r.value.name.value == name.value)
        {
            faults.add(
                name.referenced,
                &format!("regimes[{n}].name"),
                "another regime has this name",
            );
        }
    }
}

fn read_regime(n: usize, text: &Spanned<RegimeText>, faults: &mut FaultList) -> Regime {
    let at = |field: &str| format!("regimes[{n}].{field}");
    let regime = &text.value;
    if !regime.default && regime.countries.is_empty() && regime.categories.is_empty() {
        faults.add(
            text.referenced,
            &format!("regimes[{n}]"),
            "it never applies: write `countries` or `categories`, or make it the default",
        );
    }
    let mut countries = Vec::new();
    for (m, country) in regime.countries.iter().enumerate() {
        let fits = country.value.len() == 2
            && country
                .value
                .bytes()
                .all(|symbol| symbol.is_ascii_uppercase());
        if !fits {
            faults.add(
                country.referenced,
                &at(&format!("countries[{m}]")),
                "write two capital letters of ISO 3166-1, such as GB",
            );
        }
        countries.push(country.value.clone());
    }
    let mut categories: Vec<Category> = Vec::new();
    for (m, category) in regime.categories.iter().enumerate() {
        match category.value.parse() {
            Ok(category) => categories.push(category),
            Err(_) => faults.add(
                category.referenced,
                &at(&format!("categories[{m}]")),
                "write A, B or C",
            ),
        }
    }
    if regime.ladder.len() > MAX_RUNGS {
        faults.add(
            text.referenced,
            &at("ladder"),
            format!("a ladder has at most {MAX_RUNGS} rungs"),
        );
    }
    if regime.ladder.is_empty() {
        faults.add(
            text.referenced,
            &at("ladder"),
            "a ladder has at least one rung",
        );
    }
    let mut ladder: Vec<RungRule> = Vec::new();
    for (m, rung) in regime.ladder.iter().enumerate() {
        let rule = read_rung(&at(&format!("ladder[{m}]")), rung, faults);
        if ladder.last().is_some_and(|last| last.after > rule.after) {
            faults.add(
                rung.value.after.referenced,
                &at(&format!("ladder[{m}].after")),
                "write the rungs in the order in which they fire",
            );
        }
        if ladder.iter().any(|other| other.key() == rule.key()) {
            faults.add(
                rung.referenced,
                &at(&format!("ladder[{m}]")),
                "another rung has the same kind and time",
            );
        }
        ladder.push(rule);
    }
    let acknowledge = faults.duration(&at("acknowledge"), &regime.acknowledge);
    let remove = faults.duration(&at("remove"), &regime.remove);
    if remove < acknowledge {
        faults.add(
            regime.remove.referenced,
            &at("remove"),
            "removal cannot be due before an answer is",
        );
    }
    Regime {
        name: faults.text(&at("name"), &regime.name),
        default: regime.default,
        countries,
        categories,
        source: faults.text(&at("source"), &regime.source),
        legal_basis: faults.text(&at("legal_basis"), &regime.legal_basis),
        acknowledge,
        remove,
        received: faults.duration(&at("received"), &regime.received),
        ladder: Ladder::new(ladder),
    }
}

fn read_rung(field: &str, text: &Spanned<RungText>, faults: &mut FaultList) -> RungRule {
    let rung = match text.value.rung.value.parse() {
        Ok(Rung::Host) | Err(_) => {
            faults.add(
                text.value.rung.referenced,
                &format!("{field}.rung"),
                "write remind, next_contact, upstream, registrar, regulator or supervisor",
            );
            Rung::Remind
        }
        Ok(rung) => rung,
    };
    let when = match text.value.when.as_ref().map(|when| when.value.as_str()) {
        None | Some("unremoved") => RungCondition::Unremoved,
        Some("unacknowledged") => RungCondition::Unacknowledged,
        Some(_) => {
            let at = text
                .value
                .when
                .as_ref()
                .map_or(text.referenced, |when| when.referenced);
            faults.add(
                at,
                &format!("{field}.when"),
                "write unacknowledged or unremoved",
            );
            RungCondition::Unremoved
        }
    };
    RungRule {
        after: faults.duration(&format!("{field}.after"), &text.value.after),
        rung,
        when,
    }
}
