//! The escalation policy as data: deadlines, ladders, pauses, the checks of a claim and the watch, per
//! regime, each with its source. A policy defines when something happens; the commands act.

mod ladder;
mod parse;
#[cfg(test)]
mod tests;
mod text;

use domain::enums::Category;
use time::{Duration, OffsetDateTime};

pub use ladder::{Ladder, RungCondition, RungIdx, RungKey, RungRule};
pub use parse::{PolicyFault, lint, parse};

/// Maximum number of rungs in a ladder.
pub const MAX_RUNGS: usize = 24;

/// A whole policy file.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Identifies this text; changes with it.
    pub version: String,
    pub checks: CheckPolicy,
    /// Checks after a confirmed removal, as ascending times since the confirmation. The case closes after the
    /// last.
    pub watch: Vec<Duration>,
    pub pauses: PausePolicy,
    /// Time from an automatic reply to the next contact, unless a person answers first. `None`: an automatic
    /// reply is recorded without effect.
    pub automatic_reply: Option<Duration>,
    pub regimes: Vec<Regime>,
}

/// How a claim of removal is checked, and how often online content is checked. In YAML: `probe`.
#[derive(Debug, Clone)]
pub struct CheckPolicy {
    /// Number of checks that must find the URL offline. In YAML: `agree`.
    pub min_agreeing: i32,
    /// Number of checks of one claim. In YAML: `of`.
    pub max_checks: i32,
    /// Time between two checks of a claim. In YAML: `every`.
    pub interval: Duration,
    /// Time between checks while the URL is online without a claim. In YAML: `open`.
    pub online_interval: Duration,
    /// As `online_interval`, once every rung has fired. In YAML: `exhausted`.
    pub exhausted_interval: Duration,
    /// How long a claim under check defers the providers' rungs.
    pub claim_window: Duration,
}

/// How far a provider's answers may pause the ladder within one episode.
#[derive(Debug, Clone)]
pub struct PausePolicy {
    /// In YAML: `times`.
    pub max_count: i32,
    /// In YAML: `each`.
    pub max_each: Duration,
    /// In YAML: `total`.
    pub max_total: Duration,
}

/// Deadlines and ladder of one law or code of practice.
#[derive(Debug, Clone)]
pub struct Regime {
    pub name: String,
    /// Applies if no other regime matches.
    pub default: bool,
    /// Countries of the provider; empty for all.
    pub countries: Vec<String>,
    /// Severities; empty for all.
    pub categories: Vec<Category>,
    /// The text of the law or code that the figures are based on.
    pub source: String,
    /// Legal basis as stated in notices.
    pub legal_basis: String,
    /// Time from the notice to the provider's first answer.
    pub acknowledge: Duration,
    /// Time from the notice to removal.
    pub remove: Duration,
    /// Time from the report to confirmed removal. Never pauses.
    pub received: Duration,
    pub ladder: Ladder,
}

impl Policy {
    /// The regime for a provider's country and a severity: the first that matches both, else the default.
    pub fn regime_for(&self, country: &str, category: Category) -> &Regime {
        let matches = |regime: &&Regime| {
            (!regime.countries.is_empty() || !regime.categories.is_empty())
                && (regime.countries.is_empty() || regime.countries.iter().any(|c| c == country))
                && (regime.categories.is_empty() || regime.categories.contains(&category))
        };
        self.regimes
            .iter()
            .find(matches)
            .unwrap_or_else(|| self.default_regime())
    }

    /// The regime of this name; the default if the policy no longer has it.
    pub fn regime(&self, name: &str) -> &Regime {
        self.regimes
            .iter()
            .find(|regime| regime.name == name)
            .unwrap_or_else(|| self.default_regime())
    }

    /// Time of the watch's check number `step`, from 0, after a removal that was confirmed at `confirmed`.
    pub fn watch_at(&self, step: i32, confirmed: OffsetDateTime) -> Option<OffsetDateTime> {
        let step = usize::try_from(step).ok()?;
        self.watch.get(step).map(|after| confirmed + *after)
    }

    fn default_regime(&self) -> &Regime {
        self.regimes
            .iter()
            .find(|regime| regime.default)
            .expect("a policy that was parsed has a default regime")
    }
}
