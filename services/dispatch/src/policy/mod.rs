//! Escalation as data: clocks, ladders, pauses, the checks of a claim and the watch, per regime, each with its source.
//! Must not act: a policy only says when.

mod lint;
#[cfg(test)]
mod tests;
mod text;

use domain::word::{Category, Rung};
use time::{Duration, OffsetDateTime};

pub use lint::{Fault, lint, parse};

/// The most rungs a ladder may have: each has a bit in the case row.
pub const MAX_RUNGS: usize = 24;

/// A whole policy file.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Names this text; changes with it.
    pub version: String,
    pub probe: Probe,
    /// Looks after a confirmed removal, each since the confirmation, growing. The case closes after the last.
    pub watch: Vec<Duration>,
    pub pauses: Pauses,
    /// From a machine's answer in somebody's absence to the next contact, where no person answers first. None: such an
    /// answer is written down and moves nothing.
    pub automatic_reply: Option<Duration>,
    pub regimes: Vec<Regime>,
}

/// How a claim of removal is checked, and how often what is up is looked at.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Checks that must find it gone.
    pub agree: i32,
    /// Of so many.
    pub of: i32,
    /// Between two of them.
    pub every: Duration,
    /// While it is up and nobody claims otherwise.
    pub open: Duration,
    /// As `open`, once every rung has fired.
    pub exhausted: Duration,
    /// How long a claim under check keeps the providers' rungs from firing.
    pub claim_window: Duration,
}

/// How far a provider's word may stop its clock, within one episode.
#[derive(Debug, Clone)]
pub struct Pauses {
    pub times: i32,
    pub each: Duration,
    pub total: Duration,
}

/// One law's or code's clocks.
#[derive(Debug, Clone)]
pub struct Regime {
    pub name: String,
    /// Holds where no other fits.
    pub default: bool,
    /// Of the provider; none for all.
    pub countries: Vec<String>,
    /// Severities; none for all.
    pub categories: Vec<Category>,
    /// The text of law or code that the figures stand on.
    pub source: String,
    /// What the notice says about it.
    pub legal_basis: String,
    /// From the notice to the provider's first answer.
    pub acknowledge: Duration,
    /// From the notice to removal.
    pub remove: Duration,
    /// From the report to confirmed removal. Never pauses.
    pub received: Duration,
    pub ladder: Vec<RungRule>,
}

/// One rung.
#[derive(Debug, Clone)]
pub struct RungRule {
    /// Since the episode was dispatched.
    pub after: Duration,
    pub rung: Rung,
    pub when: When,
}

/// Which notices a rung goes past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// No answer has come.
    Unacknowledged,
    /// It is not gone.
    Unremoved,
}

impl RungRule {
    /// What tells it from every other rung of its ladder, as it is kept: the rung and its milliseconds.
    pub fn mark(&self) -> String {
        format!("{}/{}", self.rung, self.after.whole_milliseconds())
    }

    /// The clock from received to confirmed never pauses, and these rungs keep to it.
    pub fn never_pauses(&self) -> bool {
        matches!(self.rung, Rung::Regulator | Rung::Supervisor)
    }
}

impl Policy {
    /// The regime that holds for a provider's country and a severity: the first that fits both, else the default.
    pub fn regime_for(&self, country: &str, category: Category) -> &Regime {
        let fits = |regime: &&Regime| {
            (!regime.countries.is_empty() || !regime.categories.is_empty())
                && (regime.countries.is_empty() || regime.countries.iter().any(|c| c == country))
                && (regime.categories.is_empty() || regime.categories.contains(&category))
        };
        self.regimes
            .iter()
            .find(fits)
            .unwrap_or_else(|| self.default_regime())
    }

    /// By name; a name that the policy no longer has stands for the default.
    pub fn regime(&self, name: &str) -> &Regime {
        self.regimes
            .iter()
            .find(|regime| regime.name == name)
            .unwrap_or_else(|| self.default_regime())
    }

    /// The look of the watch with this number, for a removal confirmed then.
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
