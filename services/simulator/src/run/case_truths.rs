//! The correct outcome of each case by its case id, learned from the receipts. Only the simulated analysts and the final
//! comparison read it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::id::CaseId;
use proto::v1::Receipt;

use crate::scenario::{GroundTruth, Scenario, TrueVerdict};

#[derive(Default)]
struct ObservedCases {
    /// The scenario's case name by case id.
    names: HashMap<CaseId, String>,
    /// The case id by the scenario's case name.
    ids: HashMap<String, CaseId>,
    accepted: u64,
    refused: u64,
    opened: u64,
    errors: ReceiptErrors,
    /// The analyst who asked for a second opinion.
    second_opinion_requested_by: HashMap<CaseId, AnalystIdx>,
    /// The analyst whose verdict was recorded last.
    decided_by: HashMap<CaseId, AnalystIdx>,
}

/// Index of a simulated analyst.
pub type AnalystIdx = usize;

/// Reports, by external id, whose receipt contradicts the scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceiptErrors {
    /// Accepted although it must be refused, or the reverse.
    pub acceptance: Vec<String>,
    /// One URL in two cases, or two URLs in one case.
    pub case_assignment: Vec<String>,
}

pub struct CaseTruths {
    verdict_by_name: HashMap<String, TrueVerdict>,
    truth_by_report: HashMap<String, Option<GroundTruth>>,
    observed: Mutex<ObservedCases>,
}

/// Totals over all receipts.
pub struct ReceiptTotals {
    pub accepted: u64,
    pub refused: u64,
    pub cases: u64,
    pub opened: u64,
    pub errors: ReceiptErrors,
}

impl CaseTruths {
    pub fn from_scenario(scenario: &Scenario) -> Self {
        let mut verdict_by_name = HashMap::new();
        let mut truth_by_report = HashMap::new();
        for entry in &scenario.reports {
            if let Some(truth) = &entry.truth {
                verdict_by_name.insert(truth.case.clone(), truth.verdict);
            }
            truth_by_report.insert(entry.report.external_id.clone(), entry.truth.clone());
        }
        Self {
            verdict_by_name,
            truth_by_report,
            observed: Mutex::default(),
        }
    }

    /// Records the receipt of an accepted report.
    pub fn record_receipt(&self, external_id: &str, receipt: &Receipt) {
        let mut observed = self.lock();
        observed.accepted += 1;
        observed.opened += u64::from(receipt.opened_case);
        let Ok(case) = receipt.case_id.parse::<CaseId>() else {
            observed.errors.case_assignment.push(external_id.to_owned());
            return;
        };
        let Some(Some(truth)) = self.truth_by_report.get(external_id) else {
            observed.errors.acceptance.push(external_id.to_owned());
            return;
        };
        let name = observed
            .names
            .entry(case)
            .or_insert_with(|| truth.case.clone())
            .clone();
        let id = *observed.ids.entry(truth.case.clone()).or_insert(case);
        if name != truth.case || id != case {
            observed.errors.case_assignment.push(external_id.to_owned());
        }
    }

    /// Records a refused report.
    pub fn record_refusal(&self, external_id: &str) {
        let mut observed = self.lock();
        observed.refused += 1;
        if !matches!(self.truth_by_report.get(external_id), Some(None)) {
            observed.errors.acceptance.push(external_id.to_owned());
        }
    }

    /// The correct verdict of a case; `None` until a receipt has named its id.
    pub fn verdict(&self, case: CaseId) -> Option<TrueVerdict> {
        let observed = self.lock();
        self.verdict_by_name
            .get(observed.names.get(&case)?)
            .copied()
    }

    /// Records that an analyst asks for a second opinion.
    pub fn record_second_opinion_request(&self, case: CaseId, by: AnalystIdx) {
        self.lock().second_opinion_requested_by.insert(case, by);
    }

    /// Reverts [`Self::record_second_opinion_request`] after verification refused it.
    pub fn remove_second_opinion_request(&self, case: CaseId, by: AnalystIdx) {
        let mut observed = self.lock();
        if observed.second_opinion_requested_by.get(&case) == Some(&by) {
            observed.second_opinion_requested_by.remove(&case);
        }
    }

    pub fn awaits_second_opinion(&self, case: CaseId) -> bool {
        self.lock().second_opinion_requested_by.contains_key(&case)
    }

    /// Records that verification accepted this analyst's verdict.
    pub fn record_decision(&self, case: CaseId, by: AnalystIdx) {
        self.lock().decided_by.insert(case, by);
    }

    /// True if one analyst asked for a second opinion and another one decided.
    pub fn had_second_opinion(&self, case: CaseId) -> bool {
        let observed = self.lock();
        let first = observed.second_opinion_requested_by.get(&case);
        match (first, observed.decided_by.get(&case)) {
            (Some(first), Some(second)) => first != second,
            _ => false,
        }
    }

    pub fn receipt_totals(&self) -> ReceiptTotals {
        let observed = self.lock();
        ReceiptTotals {
            accepted: observed.accepted,
            refused: observed.refused,
            cases: observed.names.len() as u64,
            opened: observed.opened,
            errors: observed.errors.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ObservedCases> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
