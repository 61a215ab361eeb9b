//! The correct verdict of a case, as `truth.csv` writes it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use domain::enums::{Category, NotActionableReason};

/// The correct verdict of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrueVerdict {
    Actionable(Category),
    NotActionable(NotActionableReason),
    /// The first analyst asks for a second opinion; the second decides category B. Written `analyst:second_look`.
    SecondOpinion,
}

impl TrueVerdict {
    pub fn is_actionable(self) -> bool {
        !matches!(self, Self::NotActionable(_))
    }
}

impl fmt::Display for TrueVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actionable(category) => write!(f, "actionable:{category}"),
            Self::NotActionable(reason) => write!(f, "not_actionable:{reason}"),
            Self::SecondOpinion => f.write_str("analyst:second_look"),
        }
    }
}

impl FromStr for TrueVerdict {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some(("actionable", category)) => Ok(Self::Actionable(category.parse()?)),
            Some(("not_actionable", reason)) => Ok(Self::NotActionable(reason.parse()?)),
            Some(("analyst", "second_look")) => Ok(Self::SecondOpinion),
            _ => bail!(
                "`{text}` is not a verdict; write actionable:A|B|C, not_actionable:REASON or analyst:second_look"
            ),
        }
    }
}
