//! The ladder of a regime: its rungs in the order in which they fire, each reached by its own index.

use std::ops::Index;

use domain::enums::Rung;
use time::Duration;

/// One rung of a ladder.
#[derive(Debug, Clone)]
pub struct RungRule {
    /// Time since the start of the episode.
    pub after: Duration,
    pub rung: Rung,
    pub when: RungCondition,
}

/// Which notices a rung applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RungCondition {
    /// The provider has not answered.
    Unacknowledged,
    /// The content is not removed.
    Unremoved,
}

/// Identifies a rung within its ladder, also after the policy has got more rungs or fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungKey {
    pub rung: Rung,
    /// As in the policy, which counts in whole milliseconds.
    pub after: Duration,
}

impl RungRule {
    /// What is recorded when the rung has fired.
    pub fn key(&self) -> RungKey {
        RungKey {
            rung: self.rung,
            after: self.after,
        }
    }

    /// Whether the rung keeps its deadline during pauses, like the time from received to confirmed.
    pub fn ignores_pauses(&self) -> bool {
        matches!(self.rung, Rung::Regulator | Rung::Supervisor)
    }
}

/// Position of a rung in a ladder. Only a ladder makes one, and nothing else accepts it:
///
/// ```
/// # use dispatch::policy::{Ladder, RungIdx};
/// fn first(ladder: &Ladder, rungs: &[u8], rung: RungIdx) -> u8 {
///     let _rule = &ladder[rung];
///     rungs[0]
/// }
/// ```
///
/// ```compile_fail
/// # use dispatch::policy::{Ladder, RungIdx};
/// fn first(ladder: &Ladder, rungs: &[u8], rung: RungIdx) -> u8 {
///     let _rule = &ladder[rung];
///     rungs[rung]
/// }
/// ```
///
/// ```compile_fail
/// # use dispatch::policy::{Ladder, RungIdx};
/// fn first(ladder: &Ladder, rungs: &[u8], rung: RungIdx) -> u8 {
///     let _rule = &ladder[0];
///     rungs[0]
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RungIdx(usize);

/// The rungs of a regime, in the order in which they fire.
#[derive(Debug, Clone)]
pub struct Ladder(Vec<RungRule>);

impl Ladder {
    pub(super) fn new(rules: Vec<RungRule>) -> Self {
        Self(rules)
    }

    pub fn rules(&self) -> &[RungRule] {
        &self.0
    }

    /// The positions of all rungs, in order.
    pub fn indices(&self) -> impl Iterator<Item = RungIdx> + use<> {
        (0..self.0.len()).map(RungIdx)
    }

    /// The rungs before this one.
    pub fn before(&self, rung: RungIdx) -> &[RungRule] {
        &self.0[..rung.0]
    }
}

impl Index<RungIdx> for Ladder {
    type Output = RungRule;

    fn index(&self, rung: RungIdx) -> &RungRule {
        &self.0[rung.0]
    }
}
