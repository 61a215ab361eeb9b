//! Fail points: known bugs that can be activated so that `./dev crash` can show that its checks detect each
//! of them; and a clock skew for a process.
//!
//! Read once from the environment, in debug builds only: a release build contains none of it. Call
//! [`is_active`] only at the place where the bug would be.

use std::sync::OnceLock;

use time::Duration;

use crate::config::env_var;

/// Environment variable that names the active fail point.
pub const FAILPOINT_VARIABLE: &str = "TAKEDOWN_FAILPOINT";
/// Environment variable with the seconds by which the process's clock is ahead.
pub const CLOCK_SKEW_VARIABLE: &str = "TAKEDOWN_CLOCK_SKEW";

/// A bug that can be activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// A worker overwrites the row with the state it had read, ignoring its lease token and `apply`.
    NoFence,
    /// The cursor is committed before the effect.
    CursorFirst,
    /// The relay reads `seq > last`.
    NaiveCursor,
    /// Times are compared with the process's clock instead of the database's.
    AppClock,
    /// An expired lease is never taken over.
    ForgetLease,
}

impl Failpoint {
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
        Self::ALL
            .into_iter()
            .find(|failpoint| failpoint.as_str() == text)
    }
}

/// Whether this fail point is active in this process.
pub fn is_active(failpoint: Failpoint) -> bool {
    static ACTIVE: OnceLock<Option<Failpoint>> = OnceLock::new();
    cfg!(debug_assertions)
        && *ACTIVE.get_or_init(|| Failpoint::parse(&env_var(FAILPOINT_VARIABLE)?))
            == Some(failpoint)
}

/// By how much this process's clock is ahead.
pub fn clock_skew() -> Duration {
    static SKEW: OnceLock<Duration> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return Duration::ZERO;
    }
    let read = || {
        Some(Duration::seconds(
            env_var(CLOCK_SKEW_VARIABLE)?.parse().ok()?,
        ))
    };
    *SKEW.get_or_init(|| read().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fail_point_is_active_unless_the_environment_names_one() {
        for failpoint in Failpoint::ALL {
            assert!(!is_active(failpoint), "{failpoint:?}");
            assert_eq!(Failpoint::parse(failpoint.as_str()), Some(failpoint));
        }
        assert_eq!(clock_skew(), Duration::ZERO);
    }
}
