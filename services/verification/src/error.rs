//! The errors of the service, and their conversion to a gRPC status. An error never carries a URL, a hash, a
//! name or a password.

use std::time::Duration;

use platform::batch::{BatchError, ErrorClass};
use platform::error::{Kind, Problem};
use platform::sealed::SealedError;

use crate::lifecycle::TransitionError;

/// Why a call, an event or a timer failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid input")]
    Invalid(#[from] domain::Invalid),
    #[error("the command was refused: {}", .0.code)]
    Refused(#[from] CommandRefusal),
    #[error("the caller lacks a role")]
    Denied(#[source] Problem),
    #[error("database error")]
    Db(#[from] sqlx::Error),
    #[error("a sealed value cannot be opened")]
    Sealed(#[from] SealedError),
    #[error("row {id} of {table} has an invalid {column}")]
    BadRow {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    /// An event that can never be applied. The reason is a fixed phrase.
    #[error("an event cannot be applied: {0}")]
    UnprocessableEvent(&'static str),
    /// A concurrent transaction inserted the same row; a retry sees it.
    #[error("a concurrent transaction came first")]
    Concurrent,
    #[error("too many requests at once")]
    Overloaded,
    #[error("password hashing failed")]
    Password,
}

/// Why a well-formed request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct CommandRefusal {
    pub kind: Kind,
    pub code: &'static str,
    pub detail: &'static str,
}

macro_rules! refusals {
    ($($name:ident: $kind:ident, $code:literal, $detail:literal;)*) => {
        impl CommandRefusal {$(
            pub(crate) const $name: Self = Self { kind: Kind::$kind, code: $code, detail: $detail };
        )*}
    };
}

refusals! {
    CASE_UNKNOWN: NotFound, "case_unknown", "There is no case with this id; check the id.";
    STAFF_UNKNOWN: NotFound, "staff_unknown", "There is no member of staff with this subject; list the staff and check the subject.";
    LIST_UNKNOWN: NotFound, "list_unknown", "This version of the hash list does not exist; list the hash lists and check name and version.";
    RULE_UNKNOWN: NotFound, "rule_unknown", "There is no rule with this id; list the rules and check the id.";

    NOT_WAITING: FailedPrecondition, "case_not_waiting", "This case does not wait for a member of staff; read it again.";
    ALREADY_CLAIMED: FailedPrecondition, "case_claimed", "Another person has claimed this case; claim another one.";
    NOT_CLAIMED: FailedPrecondition, "case_not_claimed", "You have not claimed this case; claim it first.";
    ON_POLICE_HOLD: FailedPrecondition, "case_on_hold", "This case is on police hold; release the hold first.";
    NOT_ON_POLICE_HOLD: FailedPrecondition, "case_not_on_hold", "This case is not on police hold.";
    NO_VERDICT: FailedPrecondition, "case_undecided", "This case has no verdict that could be withdrawn.";
    DECISION_NOT_ALLOWED: FailedPrecondition, "verdict_does_not_fit", "A case under review takes uphold, withdraw, second opinion or, if a page changed, offline; any other case takes a category, a reason, second opinion or needs information.";
    NO_CHANGED_PAGE: FailedPrecondition, "page_not_in_question", "Offline answers a review of a changed page, and this case has none open; uphold or withdraw the verdict, or pass the case on for a second opinion.";
    UNDO_NOT_YOURS: Forbidden, "undo_not_yours", "You may withdraw a verdict yourself if you alone gave it, for a short time and while it is not under review; otherwise a supervisor withdraws it.";
    WITHDRAW_OWN: FailedPrecondition, "withdraw_by_another", "You approved this verdict; by this hotline's rules another supervisor has to withdraw it.";
    VERDICT_STANDS: FailedPrecondition, "verdict_stands", "A verdict stands; withdraw it before the case is assessed again.";
    ANOTHER_ANALYST_NEEDED: FailedPrecondition, "another_analyst_needed", "You have reported or assessed this case already; another person has to take it.";
    ROLE_REQUIRED: Forbidden, "role_required", "This case needs another role: a supervisor for reviews without a contact, an analyst for all other cases.";
    CLAIM_LOST: FailedPrecondition, "claim_lost", "This claim is not valid; the case was released or another person has claimed it. Claim it again.";
    CLAIM_EXPIRED: FailedPrecondition, "claim_expired", "The claim has expired; claim the case again.";
    CLAIM_SPENT: Conflict, "claim_spent", "This claim ended with another verdict; read the case again.";
    LIST_CHANGED: FailedPrecondition, "list_changed", "The list version has changed since you read it; read it again and approve what it has now.";
    RULE_CHANGED: FailedPrecondition, "rule_changed", "The rule has changed since you read it; read it again and approve what it has now.";
    STALE: FailedPrecondition, "version_stale", "The case has changed since you read it; read it again and decide on its present version.";
    BUDGET_SPENT: Exhausted, "exposure_budget_spent", "You have revealed as many URLs as a shift allows; pass the work to a colleague.";

    OWN_LIST: FailedPrecondition, "approver_is_importer", "You added hashes to this version; another supervisor has to approve it.";
    OWN_RULE: FailedPrecondition, "approver_is_proposer", "You proposed this rule; another supervisor has to approve it.";
    RULE_RETIRED: FailedPrecondition, "rule_retired", "This rule is retired; propose a new one.";

    NAME_TAKEN: Conflict, "name_taken", "Another account has this name; choose another one.";
    OWN_ACCOUNT: FailedPrecondition, "own_account", "You cannot revoke your own account; another operator has to.";
    SIGN_IN: Unauthenticated, "sign_in_refused", "Name and password do not match; try again.";
    SIGN_IN_LATER: Exhausted, "sign_in_later", "Too many failed sign-ins for this name; try again later.";
    NO_CREDENTIAL: Unauthenticated, "credential_missing", "Sign in first, and send the token for `verification` as a bearer credential.";
    BAD_CREDENTIAL: Unauthenticated, "credential_invalid", "This token is not valid here; exchange your session for a new one with the audience `verification`.";
    NO_SESSION: Unauthenticated, "session_over", "This session has ended; sign in again.";
}

impl From<TransitionError> for Error {
    fn from(error: TransitionError) -> Self {
        Self::Refused(match error {
            TransitionError::NotWaiting => CommandRefusal::NOT_WAITING,
            TransitionError::AlreadyClaimed => CommandRefusal::ALREADY_CLAIMED,
            TransitionError::NotClaimed => CommandRefusal::NOT_CLAIMED,
            TransitionError::OnPoliceHold => CommandRefusal::ON_POLICE_HOLD,
            TransitionError::NotOnPoliceHold => CommandRefusal::NOT_ON_POLICE_HOLD,
            TransitionError::NoVerdict => CommandRefusal::NO_VERDICT,
            TransitionError::VerdictStands => CommandRefusal::VERDICT_STANDS,
            TransitionError::DecisionNotAllowed => CommandRefusal::DECISION_NOT_ALLOWED,
        })
    }
}

impl Error {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(invalid) => invalid.code,
            Self::Refused(refusal) => refusal.code,
            Self::Denied(_) => "role_required",
            Self::Db(_) => "database",
            Self::Sealed(error) => error.code(),
            Self::BadRow { .. } => "bad_row",
            Self::UnprocessableEvent(_) => "event_unprocessable",
            Self::Concurrent => "raced",
            Self::Overloaded => "exhausted",
            Self::Password => "password_hash",
        }
    }

    pub(crate) fn bad_row(
        table: &'static str,
        column: &'static str,
        id: impl std::fmt::Display,
    ) -> Self {
        Self::BadRow {
            table,
            column,
            id: format!("{id}"),
        }
    }
}

impl BatchError for Error {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Db(error) => ErrorClass::from_sqlx(error),
            Self::Invalid(_)
            | Self::Refused(_)
            | Self::Denied(_)
            | Self::Sealed(_)
            | Self::BadRow { .. }
            | Self::UnprocessableEvent(_) => ErrorClass::Item,
            Self::Concurrent => ErrorClass::Retry,
            Self::Overloaded | Self::Password => ErrorClass::WholeBatch,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => {
                Self::new(Kind::Invalid, invalid.code, invalid.detail).field(invalid.field)
            }
            Error::Refused(refusal) => {
                let problem = Self::new(refusal.kind, refusal.code, refusal.detail);
                match refusal {
                    CommandRefusal::SIGN_IN_LATER => problem.retry_after(Duration::from_mins(1)),
                    _ => problem,
                }
            }
            Error::Denied(problem) => problem,
            Error::Db(error) => error.into(),
            Error::Overloaded => {
                Self::from_kind(Kind::Exhausted).retry_after(Duration::from_secs(1))
            }
            Error::Concurrent => Self::from_kind(Kind::Unavailable),
            internal @ (Error::Sealed(_)
            | Error::BadRow { .. }
            | Error::UnprocessableEvent(_)
            | Error::Password) => {
                let code = internal.code();
                tracing::error!(error = %internal, error.code = code, "a request failed with an internal error");
                let internal = Self::from_kind(Kind::Internal);
                Self::new(Kind::Internal, code, internal.detail)
            }
        }
    }
}
