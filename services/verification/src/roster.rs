//! Who may have a case in hand: by role, by what they have to do with the case, and by who else is there.
//! Must not read or write anything. The queue's own filter (`store::queue::lock_urgent`) says the same in SQL.

use uuid::Uuid;

use crate::case::Case;
use crate::error::Refusal;

/// The accounts that are there. Empty where accounts are kept elsewhere: then nobody is known to be missing.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    pub(crate) analysts: Vec<Uuid>,
    pub(crate) supervisors: Vec<Uuid>,
}

/// Who wants a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeker {
    pub(crate) subject: Uuid,
    pub(crate) analyst: bool,
    pub(crate) supervisor: bool,
}

/// Whom a case waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaits {
    Analyst,
    Supervisor,
    /// Everybody who is there reported it or gave the first of its two verdicts.
    Nobody,
}

impl Awaits {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Analyst => "analyst",
            Self::Supervisor => "supervisor",
            Self::Nobody => "nobody",
        }
    }
}

impl Roster {
    /// A supervisor's where the question is one, and where no analyst may ever take it.
    pub(crate) fn awaits(&self, case: &Case) -> Awaits {
        let ruled_out = |people: &[Uuid]| people.iter().all(|one| is_ruled_out(case, *one));
        let analysts_are_out = !self.analysts.is_empty() && ruled_out(&self.analysts);
        if !case.for_supervisor && !analysts_are_out {
            Awaits::Analyst
        } else if ruled_out(&self.supervisors) && (analysts_are_out || !self.supervisors.is_empty())
        {
            Awaits::Nobody
        } else {
            Awaits::Supervisor
        }
    }

    /// Whether this person may take the case, or decide it once they have it.
    pub(crate) fn may_take(&self, case: &Case, seeker: Seeker) -> Result<(), Refusal> {
        let has_role = match self.awaits(case) {
            Awaits::Analyst => seeker.analyst,
            Awaits::Supervisor => seeker.supervisor,
            Awaits::Nobody => seeker.analyst || seeker.supervisor,
        };
        if !has_role {
            return Err(Refusal::NOT_YOUR_ROLE);
        }
        let colleagues = if case.for_supervisor {
            &self.supervisors
        } else {
            &self.analysts
        };
        let is_alone = !colleagues.is_empty()
            && colleagues
                .iter()
                .all(|one| case.not_for.contains(one) || is_ruled_out(case, *one));
        let was_at_it = case.not_for.contains(&seeker.subject);
        if is_ruled_out(case, seeker.subject) || (was_at_it && !is_alone) {
            return Err(Refusal::NOT_FOR_YOU);
        }
        Ok(())
    }
}

/// Whoever reported a case does not decide it, and nobody is the second of two after themselves.
fn is_ruled_out(case: &Case, subject: Uuid) -> bool {
    case.submitted_by.contains(&subject)
        || case.first.is_some_and(|(first, _)| first.uuid() == subject)
}
