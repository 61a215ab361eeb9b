//! Known mistakes, planted on purpose, so that `./dev crash` can show that its count at the outside catches each; and a
//! process whose clock is wrong, which no mistake is needed for.
//!
//! Read once from the environment, in a debug build alone: a release build has none of it. Must not be asked for but
//! where the mistake would be made.

use std::sync::OnceLock;

use time::Duration;

use crate::config::variable;

/// Names a plant.
pub const PLANT: &str = "TAKEDOWN_PLANT";
/// Seconds by which the process's clock is ahead.
pub const SKEW: &str = "TAKEDOWN_CLOCK_SKEW";

/// A mistake that somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A worker overwrites the row with what it had read, without its token and without `apply`.
    NoFence,
    /// The cursor is committed before the effect.
    CursorFirst,
    /// The relay reads `seq > last`.
    NaiveCursor,
    /// Times are compared by the process's clock.
    AppClock,
    /// A lease that has run out is never taken over.
    ForgetLease,
}

impl Plant {
    pub const ALL: [Self; 5] = [
        Self::NoFence,
        Self::CursorFirst,
        Self::NaiveCursor,
        Self::AppClock,
        Self::ForgetLease,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoFence => "no-fence",
            Self::CursorFirst => "cursor-first",
            Self::NaiveCursor => "naive-cursor",
            Self::AppClock => "app-clock",
            Self::ForgetLease => "forget-lease",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plant| plant.as_str() == text)
    }
}

/// Whether this mistake is planted in this process.
pub fn is(plant: Plant) -> bool {
    static PLANTED: OnceLock<Option<Plant>> = OnceLock::new();
    cfg!(debug_assertions)
        && *PLANTED.get_or_init(|| Plant::parse(&variable(PLANT)?)) == Some(plant)
}

/// By how much this process's clock is ahead.
pub fn skew() -> Duration {
    static AHEAD: OnceLock<Duration> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return Duration::ZERO;
    }
    let read = || Some(Duration::seconds(variable(SKEW)?.parse().ok()?));
    *AHEAD.get_or_init(|| read().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_planted_where_nobody_asked() {
        for plant in Plant::ALL {
            assert!(!is(plant), "{plant:?}");
            assert_eq!(Plant::parse(plant.as_str()), Some(plant));
        }
        assert_eq!(skew(), Duration::ZERO);
    }
}
