//! What the demo knows of each case: the truth of the street by the case ids that receipts gave. Only the played
//! analysts and the final check look into it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::id::CaseId;
use proto::v1::Receipt;

use crate::street::files::{Street, Truth, Verdict};

#[derive(Default)]
struct Learned {
    /// By case id, the truth's key for it.
    keys: HashMap<CaseId, String>,
    /// By the truth's key, the case id.
    ids: HashMap<String, CaseId>,
    accepted: u64,
    refused: u64,
    opened: u64,
    faults: Faults,
    /// Cases that a first analyst has passed on, and who that was.
    passed_on: HashMap<CaseId, Analyst>,
    /// Who decided at last.
    decided: HashMap<CaseId, Analyst>,
}

/// One of the played analysts, by number.
pub type Analyst = usize;

/// Where the system said something else than the truth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Accepted though it must be refused, or the reverse.
    pub acceptance: Vec<String>,
    /// One URL in two cases, or two URLs in one case.
    pub partition: Vec<String>,
}

pub struct Knowledge {
    verdicts: HashMap<String, Verdict>,
    truths: HashMap<String, Option<Truth>>,
    learned: Mutex<Learned>,
}

/// What receipts said in all.
pub struct Receipts {
    pub accepted: u64,
    pub refused: u64,
    pub cases: u64,
    pub opened: u64,
    pub faults: Faults,
}

impl Knowledge {
    pub fn of(street: &Street) -> Self {
        let mut verdicts = HashMap::new();
        let mut truths = HashMap::new();
        for entry in &street.entries {
            if let Some(truth) = &entry.truth {
                verdicts.insert(truth.case.clone(), truth.verdict);
            }
            truths.insert(entry.report.external_id.clone(), entry.truth.clone());
        }
        Self {
            verdicts,
            truths,
            learned: Mutex::default(),
        }
    }

    /// A report was accepted.
    pub fn accepted(&self, external_id: &str, receipt: &Receipt) {
        let mut learned = self.lock();
        learned.accepted += 1;
        learned.opened += u64::from(receipt.opened_case);
        let Ok(case) = receipt.case_id.parse::<CaseId>() else {
            learned.faults.partition.push(external_id.to_owned());
            return;
        };
        let Some(Some(truth)) = self.truths.get(external_id) else {
            learned.faults.acceptance.push(external_id.to_owned());
            return;
        };
        let key = learned
            .keys
            .entry(case)
            .or_insert_with(|| truth.case.clone())
            .clone();
        let id = *learned.ids.entry(truth.case.clone()).or_insert(case);
        if key != truth.case || id != case {
            learned.faults.partition.push(external_id.to_owned());
        }
    }

    /// A report was refused.
    pub fn refused(&self, external_id: &str) {
        let mut learned = self.lock();
        learned.refused += 1;
        if !matches!(self.truths.get(external_id), Some(None)) {
            learned.faults.acceptance.push(external_id.to_owned());
        }
    }

    /// What is right about a case; none while its receipt is still on the way.
    pub fn verdict(&self, case: CaseId) -> Option<Verdict> {
        let learned = self.lock();
        self.verdicts.get(learned.keys.get(&case)?).copied()
    }

    /// A first analyst passes a case on.
    pub fn pass_on(&self, case: CaseId, by: Analyst) {
        self.lock().passed_on.insert(case, by);
    }

    /// That was not taken.
    pub fn not_passed_on(&self, case: CaseId, by: Analyst) {
        let mut learned = self.lock();
        if learned.passed_on.get(&case) == Some(&by) {
            learned.passed_on.remove(&case);
        }
    }

    pub fn was_passed_on(&self, case: CaseId) -> bool {
        self.lock().passed_on.contains_key(&case)
    }

    /// A verdict of this analyst's was taken.
    pub fn decided(&self, case: CaseId, by: Analyst) {
        self.lock().decided.insert(case, by);
    }

    /// Whether one analyst passed it on and another one decided.
    pub fn had_two_looks(&self, case: CaseId) -> bool {
        let learned = self.lock();
        match (learned.passed_on.get(&case), learned.decided.get(&case)) {
            (Some(first), Some(second)) => first != second,
            _ => false,
        }
    }

    pub fn receipts(&self) -> Receipts {
        let learned = self.lock();
        Receipts {
            accepted: learned.accepted,
            refused: learned.refused,
            cases: learned.keys.len() as u64,
            opened: learned.opened,
            faults: learned.faults.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
