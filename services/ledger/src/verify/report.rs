//! What a verifier found, and where. Must not judge.

use std::fmt;

use super::Hole;

/// Faults kept; beyond them they are only counted.
const KEPT: usize = 100;

/// Where a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The leaf with this index.
    Leaf(u64),
    /// The checkpoint of this size.
    Checkpoint(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(index) => write!(f, "leaf {index}"),
            Self::Checkpoint(size) => write!(f, "checkpoint {size}"),
        }
    }
}

/// Something that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub sentence: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub leaves: u64,
    pub checkpoints: u64,
    /// Leaves under the largest checkpoint that holds.
    pub covered: u64,
    /// The note of that checkpoint. Whoever keeps it can tell next time that nothing was cut off since.
    pub newest: Option<String>,
    /// Positions without a leaf: no fault where people dropped what could not be heard, and a question otherwise.
    pub holes: Vec<Hole>,
    /// In the order in which they were met: the first one names the first bad leaf.
    pub faults: Vec<Fault>,
    /// Faults beyond the first hundred.
    pub more: u64,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn fault(&mut self, place: Place, code: &'static str, sentence: impl Into<String>) {
        if self.faults.len() < KEPT {
            self.faults.push(Fault {
                place,
                code,
                sentence: sentence.into(),
            });
        } else {
            self.more += 1;
        }
    }
}
