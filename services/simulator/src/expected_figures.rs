//! The figures that a run of a scenario must produce, derived from its providers and the correct outcome of each report.
//! Pure; independent of the system's own figures.
//!
//! Where two providers are notified at the same time, chance decides which acts first; such a figure is a range. The
//! rungs are those of the demo's policy, whose hours are seconds.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use domain::enums::Rung;
use serde::Serialize;

use super::expected_outcome::expected_outcome;
use super::scenario::{Scenario, ScenarioProvider, TrueVerdict};

/// An inclusive range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CountRange {
    pub least: u64,
    pub most: u64,
}

impl CountRange {
    pub const fn exactly(count: u64) -> Self {
        Self {
            least: count,
            most: count,
        }
    }

    pub fn contains(self, count: u64) -> bool {
        (self.least..=self.most).contains(&count)
    }

    fn add(&mut self, other: Self) {
        self.least += other.least;
        self.most += other.most;
    }
}

impl fmt::Display for CountRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{}", self.least)
        } else {
            write!(f, "{} to {}", self.least, self.most)
        }
    }
}

/// The figures of a whole scenario, with the names that the demo prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExpectedFigures {
    pub accepted: u64,
    pub refused: u64,
    pub cases: u64,
    pub joined: u64,
    pub actionable: u64,
    pub not_actionable: u64,
    pub confirmed_removed: u64,
    pub open: u64,
    pub false_claims: CountRange,
    pub moved: CountRange,
    pub reappeared: CountRange,
    pub escalated_by_rung: BTreeMap<String, u64>,
}

impl ExpectedFigures {
    /// `last_rung` is the end of the policy's ladder.
    pub fn from_scenario(scenario: &Scenario, last_rung: Rung) -> Self {
        let providers: HashMap<&str, &ScenarioProvider> = scenario
            .providers
            .iter()
            .map(|p| (p.id.as_str(), p))
            .collect();
        let mut expected = Self::default();
        let mut cases: BTreeMap<&str, (TrueVerdict, &str)> = BTreeMap::new();
        for entry in &scenario.reports {
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
        let mut outcomes = HashMap::new();
        for (verdict, provider) in cases.into_values() {
            if !verdict.is_actionable() {
                expected.not_actionable += 1;
                continue;
            }
            expected.actionable += 1;
            let outcome = *outcomes
                .entry(provider)
                .or_insert_with(|| expected_outcome(&providers, provider));
            expected.false_claims.add(outcome.false_claims);
            expected.moved.add(outcome.moved);
            expected.reappeared.add(outcome.reappeared);
            if outcome.removed {
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
}
