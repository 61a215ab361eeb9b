//! What must come out of a street, derived from who lives there and what is right about each report. Pure; knows
//! nothing of the system's figures.
//!
//! Where two providers are asked at the same moment, who acts first is chance; such a figure is a span.
//! The rungs are those of the demo's policy, whose hours are seconds.

mod fate;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use domain::word::Rung;
use serde::Serialize;

use super::files::{Provider, Street, Verdict};
use fate::fate;

/// From and up to, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Span {
    pub least: u64,
    pub most: u64,
}

impl Span {
    pub fn has(self, figure: u64) -> bool {
        (self.least..=self.most).contains(&figure)
    }

    fn add(&mut self, other: Self) {
        self.least += other.least;
        self.most += other.most;
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{}", self.least)
        } else {
            write!(f, "{} to {}", self.least, self.most)
        }
    }
}

/// The figures of a whole street, by the names that the demo prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Expected {
    pub accepted: u64,
    pub refused: u64,
    pub cases: u64,
    pub joined: u64,
    pub actionable: u64,
    pub not_actionable: u64,
    pub confirmed_removed: u64,
    pub open: u64,
    pub false_claims: Span,
    pub moved: Span,
    pub reappeared: Span,
    pub escalated_by_rung: BTreeMap<String, u64>,
}

/// What the street must give. `last_rung` is where the policy's ladder ends.
pub fn expect(street: &Street, last_rung: Rung) -> Expected {
    let providers: HashMap<&str, &Provider> = street
        .providers
        .iter()
        .map(|p| (p.id.as_str(), p))
        .collect();
    let mut expected = Expected::default();
    let mut cases: BTreeMap<&str, (Verdict, &str)> = BTreeMap::new();
    for entry in &street.entries {
        match &entry.truth {
            None => expected.refused += 1,
            Some(truth) => {
                expected.accepted += 1;
                cases.insert(&truth.case, (truth.verdict, &truth.provider));
            }
        }
    }
    expected.cases = cases.len() as u64;
    expected.joined = expected.accepted - expected.cases;
    let mut fates = HashMap::new();
    for (verdict, provider) in cases.into_values() {
        if !verdict.is_actionable() {
            expected.not_actionable += 1;
            continue;
        }
        expected.actionable += 1;
        let fate = *fates
            .entry(provider)
            .or_insert_with(|| fate(&providers, provider));
        expected.false_claims.add(fate.false_claims);
        expected.moved.add(fate.moved);
        expected.reappeared.add(fate.reappeared);
        if fate.removed {
            expected.confirmed_removed += 1;
        } else {
            expected.open += 1;
            *expected
                .escalated_by_rung
                .entry(last_rung.to_string())
                .or_default() += 1;
        }
    }
    expected
}
