//! A case in memory while its row is locked: its facts, its claim, its decision. No I/O.

use domain::enums::{Category, HashKind, Media, NotActionableReason, ReviewReason};
use domain::id::{CaseId, DecisionId, PoliceHoldId, ReportId, Subject};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::lifecycle::{Command, State, TransitionError, Waiting};

/// The verdict on a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaseVerdict {
    Actionable(Category),
    NotActionable(NotActionableReason),
}

impl CaseVerdict {
    pub(crate) const fn is_actionable(self) -> bool {
        matches!(self, Self::Actionable(_))
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Actionable(category) => category.as_str(),
            Self::NotActionable(reason) => reason.as_str(),
        }
    }

    pub(crate) const fn category(self) -> Option<Category> {
        match self {
            Self::Actionable(category) => Some(category),
            Self::NotActionable(_) => None,
        }
    }

    pub(crate) const fn reason(self) -> Option<NotActionableReason> {
        match self {
            Self::Actionable(_) => None,
            Self::NotActionable(reason) => Some(reason),
        }
    }
}

/// A verdict, or what an analyst may decide instead of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubmittedVerdict {
    Actionable(Category),
    NotActionable(NotActionableReason),
    SecondOpinion,
    NeedsInformation,
    Uphold,
    Offline,
    Withdraw,
}

impl SubmittedVerdict {
    /// As it is stored with the claim that it ended.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Actionable(category) => format!("actionable:{category}"),
            Self::NotActionable(reason) => format!("not_actionable:{reason}"),
            Self::SecondOpinion => "second_opinion".to_owned(),
            Self::NeedsInformation => "needs_information".to_owned(),
            Self::Uphold => "uphold".to_owned(),
            Self::Offline => "offline".to_owned(),
            Self::Withdraw => "withdraw".to_owned(),
        }
    }
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerdictWithBasis {
    pub(crate) verdict: CaseVerdict,
    /// `analyst`, `list:<name>@<version>` or `rule:<id>@<version>`.
    pub(crate) basis: String,
    pub(crate) approvers: Vec<Uuid>,
}

/// Basis of a decision by analysts. The other bases are `list:<name>@<version>` and `rule:<id>@<version>`.
pub(crate) const ANALYST: &str = "analyst";

/// A decision as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecisionRecord {
    pub(crate) id: DecisionId,
    pub(crate) verdict: CaseVerdict,
    /// `analyst`, `list:<name>@<version>` or `rule:<id>@<version>`.
    pub(crate) basis: String,
    /// Subjects who gave the verdict, or who proposed, imported or approved the list or rule that did.
    pub(crate) approvers: Vec<Uuid>,
    pub(crate) at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) body: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) expires_at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) by: Subject,
    pub(crate) token: Uuid,
    pub(crate) until: OffsetDateTime,
}

/// The last claim that ended, so that a repeated decision is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedClaim {
    pub(crate) token: Uuid,
    /// The decision, or what else ended the claim.
    pub(crate) result: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoliceHold {
    pub(crate) id: PoliceHoldId,
    /// None once it has ended.
    pub(crate) until: Option<OffsetDateTime>,
}

/// What a report contains; it never changes.
#[derive(Debug, Clone)]
pub(crate) struct StoredReport {
    pub(crate) id: ReportId,
    pub(crate) media: Option<Media>,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) wrapped_key: Vec<u8>,
    /// A `CaseContent`: the URL and the hashes.
    pub(crate) sealed_content: Vec<u8>,
    /// W3C Trace Context of the report, if it was traced.
    pub(crate) traceparent: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) id: CaseId,
    pub(crate) state: State,
    pub(crate) version: i64,
    pub(crate) first_report: StoredReport,
    pub(crate) reports: i32,
    pub(crate) withdrawn_reports: i32,
    pub(crate) self_reported: bool,
    pub(crate) under_13: bool,
    pub(crate) hash_kinds: HashKinds,
    pub(crate) claim: Option<Claim>,
    pub(crate) claim_attempts: i32,
    /// The last claim that ended.
    pub(crate) ended_claim: Option<EndedClaim>,
    /// Staff who reported it. They never decide it.
    pub(crate) submitted_by: Vec<Uuid>,
    /// Staff who passed it on or decided it before. They must not claim it as long as a colleague can.
    pub(crate) excluded_staff: Vec<Uuid>,
    /// Bases of withdrawn decisions.
    pub(crate) withdrawn_bases: Vec<String>,
    /// The first of two verdicts; a second analyst has to confirm it.
    pub(crate) first_verdict: Option<(Subject, Category)>,
    pub(crate) decision: Option<DecisionRecord>,
    pub(crate) proof: Option<Proof>,
    /// Reason of the latest open review.
    pub(crate) review: Option<ReviewReason>,
    pub(crate) needs_supervisor: bool,
    pub(crate) dispatch_closed: bool,
    /// Dispatch has opened the case: the expiry of the proof no longer matters.
    pub(crate) dispatch_opened: bool,
    /// A report arrived that dispatch must be notified of once the verdict is neither on hold nor under
    /// review.
    pub(crate) reannounce_due: bool,
    pub(crate) police_hold: Option<PoliceHold>,
    pub(crate) matched_version: i64,
    /// The last event received about the case: the cause of the events that follow.
    pub(crate) cause: Uuid,
}

impl Case {
    /// A new case without any report: the caller counts the first one too.
    pub(crate) fn new(id: CaseId, first_report: StoredReport, cause: Uuid) -> Self {
        Self {
            id,
            state: State::Unclaimed(Waiting::Queued),
            version: 1,
            first_report,
            reports: 0,
            withdrawn_reports: 0,
            self_reported: false,
            under_13: false,
            hash_kinds: HashKinds::default(),
            claim: None,
            claim_attempts: 0,
            ended_claim: None,
            submitted_by: Vec::new(),
            excluded_staff: Vec::new(),
            withdrawn_bases: Vec::new(),
            first_verdict: None,
            decision: None,
            proof: None,
            review: None,
            needs_supervisor: false,
            dispatch_closed: false,
            dispatch_opened: false,
            reannounce_due: false,
            police_hold: None,
            matched_version: 0,
            cause,
        }
    }

    /// Applies a command. A change of state also changes the version, so that decisions on the previous state
    /// are refused.
    pub(crate) fn apply(&mut self, command: Command) -> Result<(), TransitionError> {
        let before = self.state;
        let next = before.apply(command)?;
        if next != before {
            self.state = next;
            self.version += 1;
            if !before.awaits_verdict() && next.awaits_verdict() {
                self.reset_decision();
            }
        }
        Ok(())
    }

    /// Removes a withdrawn decision, so that the case is assessed as if for the first time: by other people
    /// if there are any, and by every list and rule except the one that was wrong.
    fn reset_decision(&mut self) {
        self.first_verdict = None;
        self.excluded_staff.clear();
        self.proof = None;
        self.request_match();
        if let Some(decision) = self.decision.take() {
            if decision.basis == ANALYST {
                self.excluded_staff = decision.approvers;
            }
            self.withdrawn_bases.push(decision.basis);
        }
    }

    /// Ends the claim and records how.
    pub(crate) fn end_claim(&mut self, result: String) {
        if let Some(claim) = self.claim.take() {
            self.ended_claim = Some(EndedClaim {
                token: claim.token,
                result,
            });
        }
    }

    /// Whether a list or a rule may decide the case now.
    pub(crate) fn awaits_match(&self) -> bool {
        matches!(
            self.state,
            State::Unclaimed(Waiting::Queued | Waiting::NeedsInformation)
        )
    }

    /// Has the next timer round match the case against lists and rules again.
    pub(crate) fn request_match(&mut self) {
        self.matched_version = 0;
    }
}

/// A set of hash kinds, as bits in the order of [`HashKind::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HashKinds(pub(crate) i16);

impl HashKinds {
    pub(crate) fn add(&mut self, kind: HashKind) {
        self.0 |= Self::bit(kind);
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = HashKind> {
        HashKind::ALL
            .iter()
            .copied()
            .filter(move |kind| self.0 & Self::bit(*kind) != 0)
    }

    const fn bit(kind: HashKind) -> i16 {
        match kind {
            HashKind::Md5 => 1,
            HashKind::Sha1 => 2,
            HashKind::Sha256 => 4,
            HashKind::Pdq => 8,
        }
    }
}
