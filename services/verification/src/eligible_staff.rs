//! Who may claim a case: by role, by what they have done with the case, and by which colleagues there are. No
//! I/O. `store::queue::lock_urgent` repeats these rules in SQL.

use domain::enums::AwaitedRole;
use uuid::Uuid;

use crate::case::Case;
use crate::error::CommandRefusal;

/// The active accounts by role. Empty if accounts are kept elsewhere; then a case never counts as without
/// eligible staff.
#[derive(Debug, Default)]
pub(crate) struct EligibleStaff {
    pub(crate) analysts: Vec<Uuid>,
    pub(crate) supervisors: Vec<Uuid>,
}

/// A person who wants to claim a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimant {
    pub(crate) subject: Uuid,
    pub(crate) analyst: bool,
    pub(crate) supervisor: bool,
}

impl EligibleStaff {
    /// A supervisor is awaited if the review asks for one, or if every analyst is barred.
    pub(crate) fn awaited_role(&self, case: &Case) -> AwaitedRole {
        let all_barred = |people: &[Uuid]| people.iter().all(|person| is_barred(case, *person));
        let analysts_barred = !self.analysts.is_empty() && all_barred(&self.analysts);
        if !case.needs_supervisor && !analysts_barred {
            AwaitedRole::Analyst
        } else if all_barred(&self.supervisors) && (analysts_barred || !self.supervisors.is_empty())
        {
            AwaitedRole::NoEligibleStaff
        } else {
            AwaitedRole::Supervisor
        }
    }

    /// Whether this person may claim the case, or decide it once they have claimed it.
    pub(crate) fn check_may_claim(
        &self,
        case: &Case,
        claimant: Claimant,
    ) -> Result<(), CommandRefusal> {
        let has_role = match self.awaited_role(case) {
            AwaitedRole::Analyst => claimant.analyst,
            AwaitedRole::Supervisor => claimant.supervisor,
            AwaitedRole::NoEligibleStaff => claimant.analyst || claimant.supervisor,
        };
        if !has_role {
            return Err(CommandRefusal::ROLE_REQUIRED);
        }
        let colleagues = if case.needs_supervisor {
            &self.supervisors
        } else {
            &self.analysts
        };
        let no_colleague_left = !colleagues.is_empty()
            && colleagues
                .iter()
                .all(|person| case.excluded_staff.contains(person) || is_barred(case, *person));
        let is_excluded = case.excluded_staff.contains(&claimant.subject);
        if is_barred(case, claimant.subject) || (is_excluded && !no_colleague_left) {
            return Err(CommandRefusal::ANOTHER_ANALYST_NEEDED);
        }
        Ok(())
    }
}

/// A person who reported the case never decides it, and the person who gave the first verdict never gives the
/// second.
fn is_barred(case: &Case, subject: Uuid) -> bool {
    case.submitted_by.contains(&subject)
        || case
            .first_verdict
            .is_some_and(|(first, _)| first.uuid() == subject)
}
