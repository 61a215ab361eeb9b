//! The result of a verification.

use std::fmt;

use super::PositionGap;

/// Largest number of faults in a report; further ones are only counted.
const MAX_FAULTS: usize = 100;

/// Where a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultLocation {
    /// The leaf with this index.
    Leaf(u64),
    /// The checkpoint of this size.
    Checkpoint(u64),
}

impl fmt::Display for FaultLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(index) => write!(f, "leaf {index}"),
            Self::Checkpoint(size) => write!(f, "checkpoint {size}"),
        }
    }
}

/// A difference from what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub location: FaultLocation,
    /// Stable code for programs.
    pub code: &'static str,
    /// Description for people.
    pub detail: String,
}

/// What was verified, and the faults that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerificationReport {
    /// Leaves that were read.
    pub leaves: u64,
    /// Checkpoints that were read.
    pub checkpoints: u64,
    /// Size of the largest valid checkpoint.
    pub covered: u64,
    /// The note of that checkpoint. With it a later verification can detect that the log was truncated.
    pub newest_note: Option<String>,
    /// Positions without a leaf. They are expected if staff dropped parked events; otherwise they need an
    /// explanation.
    pub gaps: Vec<PositionGap>,
    /// In the order in which they were found: the first names the first bad leaf.
    pub faults: Vec<Fault>,
    /// Number of faults beyond the first hundred.
    pub omitted_faults: u64,
}

impl VerificationReport {
    /// True if there are no faults.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn fault(
        &mut self,
        location: FaultLocation,
        code: &'static str,
        detail: impl Into<String>,
    ) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault {
                location,
                code,
                detail: detail.into(),
            });
        } else {
            self.omitted_faults += 1;
        }
    }
}
