//! Reading a policy: every mistake is told with its line and field, all at once.

use std::fmt;

use domain::word::{Category, Rung};
use serde_saphyr::{Location, Spanned};
use time::Duration;

use super::text::{PolicyText, RegimeText, RungText};
use super::{MAX_RUNGS, Pauses, Policy, Probe, Regime, RungRule, When};

/// Longer than any clock of a case; a time this far from now can still be told.
const LONGEST: Duration = Duration::days(3650);
/// More checks, or pauses, than anybody means.
const MOST: i32 = 1000;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1; 0 where the parser could not tell.
    pub line: u64,
    /// A path such as `regimes[2].ladder[0].after`; empty for the whole text.
    pub field: String,
    /// A sentence that says what to write instead.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.detail),
            field => write!(f, "line {}: {field}: {}", self.line, self.detail),
        }
    }
}

/// Every mistake in a policy; none for a good one.
pub fn lint(yaml: &str) -> Vec<Fault> {
    parse(yaml).err().unwrap_or_default()
}

/// A policy, or every mistake in it.
pub fn parse(yaml: &str) -> Result<Policy, Vec<Fault>> {
    let text: PolicyText = serde_saphyr::from_str(yaml).map_err(|error| {
        vec![Fault {
            line: error.location().map_or(0, |at| at.line()),
            field: String::new(),
            detail: error.without_snippet().to_string(),
        }]
    })?;
    let mut faults = Faults::default();
    let policy = policy(&text, &mut faults);
    if faults.0.is_empty() {
        Ok(policy)
    } else {
        faults.0.sort_by_key(|fault| fault.line);
        Err(faults.0)
    }
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, at: Location, field: &str, detail: impl Into<String>) {
        self.0.push(Fault {
            line: at.line(),
            field: field.to_owned(),
            detail: detail.into(),
        });
    }

    /// A length of time above zero; where it is none, the fault is kept and reading goes on.
    fn duration(&mut self, field: &str, text: &Spanned<String>) -> Duration {
        match duration(&text.value) {
            Some(length) if length.is_positive() && length <= LONGEST => length,
            _ => {
                self.add(
                    text.referenced,
                    field,
                    "write a length of time above zero such as 90s, 15m, 4h or 7d, of ten years at most",
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
        if !(least..=MOST).contains(&number.value) {
            self.add(
                number.referenced,
                field,
                format!("write a number from {least} to {MOST}"),
            );
        }
        number.value
    }
}

/// A number and one of `ms`, `s`, `m`, `h`, `d`.
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

fn policy(text: &PolicyText, faults: &mut Faults) -> Policy {
    let probe = Probe {
        agree: faults.at_least("probe.agree", &text.probe.agree, 1),
        of: faults.at_least("probe.of", &text.probe.of, 1),
        every: faults.duration("probe.every", &text.probe.every),
        open: faults.duration("probe.open", &text.probe.open),
        exhausted: faults.duration("probe.exhausted", &text.probe.exhausted),
        claim_window: faults.duration("probe.claim_window", &text.probe.claim_window),
    };
    if probe.of < probe.agree {
        faults.add(
            text.probe.of.referenced,
            "probe.of",
            "fewer checks are made than must agree; write at least as many as `agree`",
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
                "each look comes later than the one before; both count from the confirmation",
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
    judge_regimes(text, faults);
    Policy {
        version: faults.text("version", &text.version),
        probe,
        watch,
        pauses: Pauses {
            times: faults.at_least("pauses.times", &text.pauses.times, 0),
            each: faults.duration("pauses.each", &text.pauses.each),
            total: faults.duration("pauses.total", &text.pauses.total),
        },
        automatic_reply: text
            .automatic_reply
            .as_ref()
            .map(|wait| faults.duration("automatic_reply", wait)),
        regimes,
    }
}

fn judge_regimes(text: &PolicyText, faults: &mut Faults) {
    let defaults = text.regimes.iter().filter(|r| r.value.default).count();
    if defaults != 1 {
        faults.add(
            text.version.referenced,
            "regimes",
            format!("exactly one regime has `default: true`; here {defaults} have"),
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

fn read_regime(n: usize, text: &Spanned<RegimeText>, faults: &mut Faults) -> Regime {
    let at = |field: &str| format!("regimes[{n}].{field}");
    let regime = &text.value;
    if !regime.default && regime.countries.is_empty() && regime.categories.is_empty() {
        faults.add(
            text.referenced,
            &format!("regimes[{n}]"),
            "it never holds: name `countries` or `categories`, or make it the default",
        );
    }
    let mut countries = Vec::new();
    for (m, country) in regime.countries.iter().enumerate() {
        let fits = country.value.len() == 2
            && country
                .value
                .bytes()
                .all(|letter| letter.is_ascii_uppercase());
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
                "rungs stand in the order in which they fire",
            );
        }
        if ladder.iter().any(|other| other.mark() == rule.mark()) {
            faults.add(
                rung.referenced,
                &at(&format!("ladder[{m}]")),
                "another rung does the same at the same time",
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
        ladder,
    }
}

fn read_rung(field: &str, text: &Spanned<RungText>, faults: &mut Faults) -> RungRule {
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
        None | Some("unremoved") => When::Unremoved,
        Some("unacknowledged") => When::Unacknowledged,
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
            When::Unremoved
        }
    };
    RungRule {
        after: faults.duration(&format!("{field}.after"), &text.value.after),
        rung,
        when,
    }
}
