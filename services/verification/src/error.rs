//! Everything that can go wrong here, and the one road from it to the outside.
//! Must not carry a URL, a hash, a name or a password.

use std::time::Duration;

use platform::batch::{Class, Fault};
use platform::error::{Kind, Problem};
use platform::sealed::SealedError;

use crate::lifecycle::Misfit;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("input was refused")]
    Invalid(#[from] domain::Invalid),
    #[error("the command was refused: {}", .0.code)]
    Refused(#[from] Refusal),
    #[error("the caller may not")]
    Denied(#[source] Problem),
    #[error("the database refused")]
    Db(#[from] sqlx::Error),
    #[error("a sealed value does not open")]
    Sealed(#[from] SealedError),
    #[error("row {id} of {table} has a bad {column}")]
    BadRow {
        table: &'static str,
        column: &'static str,
        id: String,
    },
    /// An event that can never be applied; the reason is a fixed phrase.
    #[error("an event cannot be applied: {0}")]
    Rotten(&'static str),
    /// Another transaction did the same at the same moment; the next try sees what it did.
    #[error("another transaction came first")]
    Raced,
    #[error("too much at once")]
    Full,
    #[error("the password hash failed")]
    Password,
    #[error("the server ended")]
    Serve(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A request that is well formed and cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct Refusal {
    pub kind: Kind,
    pub code: &'static str,
    pub detail: &'static str,
}

macro_rules! refusals {
    ($($name:ident $kind:ident $code:literal $detail:literal;)*) => {
        impl Refusal {$(
            pub(crate) const $name: Self = Self { kind: Kind::$kind, code: $code, detail: $detail };
        )*}
    };
}

refusals! {
    CASE_UNKNOWN NotFound "case_unknown" "There is no such case here; check the id.";
    STAFF_UNKNOWN NotFound "staff_unknown" "There is no such member of staff; list the staff and check the subject.";
    LIST_UNKNOWN NotFound "list_unknown" "There is no such version of a list; list them and check name and version.";
    RULE_UNKNOWN NotFound "rule_unknown" "There is no such rule; list the rules and check the id.";

    NOT_WAITING FailedPrecondition "case_not_waiting" "This case waits for nobody; read it again.";
    TAKEN FailedPrecondition "case_claimed" "Somebody has this case in hand; take another one.";
    NOT_CLAIMED FailedPrecondition "case_not_claimed" "This case is not claimed; claim it first.";
    ON_HOLD FailedPrecondition "case_on_hold" "A police hold stops this case; release the hold first.";
    NOT_ON_HOLD FailedPrecondition "case_not_on_hold" "There is no police hold on this case.";
    NO_VERDICT FailedPrecondition "case_undecided" "This case has no verdict to take back.";
    OTHER_VERDICT FailedPrecondition "verdict_does_not_fit" "A case under review takes uphold, withdraw, second look or, where a page changed, gone; any other takes a category, a reason, second look or needs information.";
    NO_CHANGED_PAGE FailedPrecondition "page_not_in_question" "Gone is an answer to a question about a changed page, and none is open in this case; uphold or withdraw the verdict, or pass it on for a second look.";
    UNDO_NOT_YOURS Forbidden "undo_not_yours" "You may take back a verdict that you alone gave, for a short time and while nobody questions it; any other a supervisor withdraws.";
    WITHDRAW_OWN FailedPrecondition "withdraw_by_another" "You stand behind this verdict; by this hotline's rules another supervisor has to withdraw it.";
    STANDS FailedPrecondition "verdict_stands" "A verdict stands; withdraw it before the case is assessed again.";
    NOT_FOR_YOU FailedPrecondition "another_analyst_needed" "You have reported or judged this case already; somebody else has to take it.";
    NOT_YOUR_ROLE Forbidden "role_required" "This case asks for another role; reviews without a contact are a supervisor's, all else an analyst's.";
    CLAIM_FOREIGN FailedPrecondition "claim_lost" "This claim does not hold; the case was given to somebody else or put back. Claim it again.";
    CLAIM_OVER FailedPrecondition "claim_expired" "The claim has run out; claim the case again.";
    CLAIM_SPENT Conflict "claim_spent" "This claim ended with another verdict; read the case again.";
    STALE FailedPrecondition "version_stale" "It has changed since you read it; read it again and decide on what it shows now.";
    BUDGET_SPENT Exhausted "exposure_budget_spent" "You have opened as many URLs as a shift allows; let a colleague go on.";
    HOLD_PAST Invalid "hold_until_past" "`until` lies in the past; send a time to come.";

    OWN_LIST FailedPrecondition "approver_is_importer" "You added to this version; another supervisor has to approve it.";
    OWN_RULE FailedPrecondition "approver_is_proposer" "You proposed this rule; another supervisor has to approve it.";
    RULE_RETIRED FailedPrecondition "rule_retired" "This rule was retired; propose a new one.";

    NAME_TAKEN Conflict "name_taken" "There is somebody with this name; choose another one.";
    OWN_ACCOUNT FailedPrecondition "own_account" "You cannot revoke yourself; another operator has to.";
    SIGN_IN Unauthenticated "sign_in_refused" "Name and password do not fit; try again.";
    SIGN_IN_LATER Exhausted "sign_in_later" "Too many failed sign-ins for this name; try again later.";
    NO_CREDENTIAL Unauthenticated "credential_missing" "Sign in first, and send the token for `verification` as a bearer credential.";
    BAD_CREDENTIAL Unauthenticated "credential_invalid" "This token does not hold here; exchange your session for a new one with the audience `verification`.";
    NO_SESSION Unauthenticated "session_over" "This session is over; sign in again.";
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        Self::Refused(match misfit {
            Misfit::NotWaiting => Refusal::NOT_WAITING,
            Misfit::Taken => Refusal::TAKEN,
            Misfit::NotClaimed => Refusal::NOT_CLAIMED,
            Misfit::OnHold => Refusal::ON_HOLD,
            Misfit::NotOnHold => Refusal::NOT_ON_HOLD,
            Misfit::NoVerdict => Refusal::NO_VERDICT,
            Misfit::Stands => Refusal::STANDS,
            Misfit::OtherVerdict => Refusal::OTHER_VERDICT,
        })
    }
}

impl Error {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(invalid) => invalid.code,
            Self::Refused(refusal) => refusal.code,
            Self::Denied(_) => "role_required",
            Self::Db(_) => "database",
            Self::Sealed(error) => error.code(),
            Self::BadRow { .. } => "bad_row",
            Self::Rotten(_) => "event_rotten",
            Self::Raced => "raced",
            Self::Full => "exhausted",
            Self::Password => "password_hash",
            Self::Serve(_) => "server",
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

impl Fault for Error {
    fn class(&self) -> Class {
        match self {
            Self::Db(error) => Class::of(error),
            Self::Invalid(_)
            | Self::Refused(_)
            | Self::Denied(_)
            | Self::Sealed(_)
            | Self::BadRow { .. }
            | Self::Rotten(_) => Class::Item,
            Self::Raced => Class::Retry,
            Self::Full | Self::Password | Self::Serve(_) => Class::Whole,
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
                    Refusal::SIGN_IN_LATER => problem.retry_after(Duration::from_mins(1)),
                    _ => problem,
                }
            }
            Error::Denied(problem) => problem,
            Error::Db(error) => error.into(),
            Error::Full => Self::of(Kind::Exhausted).retry_after(Duration::from_secs(1)),
            Error::Raced => Self::of(Kind::Unavailable),
            internal @ (Error::Sealed(_)
            | Error::BadRow { .. }
            | Error::Rotten(_)
            | Error::Password
            | Error::Serve(_)) => {
                let code = internal.code();
                tracing::error!(error = %internal, error.code = code, "a request failed on our side");
                let told = Self::of(Kind::Internal);
                Self::new(Kind::Internal, code, told.detail)
            }
        }
    }
}
