//! The word on a case, as a street's truth spells it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use domain::word::{Category, NotActionableReason};

/// What is right about a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Actionable(Category),
    NotActionable(NotActionableReason),
    /// The first analyst passes it on; the second decides B.
    SecondLook,
}

impl Verdict {
    pub fn is_actionable(self) -> bool {
        !matches!(self, Self::NotActionable(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actionable(category) => write!(f, "actionable:{category}"),
            Self::NotActionable(reason) => write!(f, "not_actionable:{reason}"),
            Self::SecondLook => f.write_str("analyst:second_look"),
        }
    }
}

impl FromStr for Verdict {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("actionable", category)) => Ok(Self::Actionable(category.parse()?)),
            Some(("not_actionable", reason)) => Ok(Self::NotActionable(reason.parse()?)),
            Some(("analyst", "second_look")) => Ok(Self::SecondLook),
            _ => bail!(
                "`{text}` is no verdict; write actionable:A|B|C, not_actionable:REASON or analyst:second_look"
            ),
        }
    }
}
